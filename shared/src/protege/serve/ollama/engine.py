"""The engine that asks an Ollama.

Prompts are ours, rendered as in tuning, and sent raw: the model's template in Ollama has no part in an answer. Every
answer is asked for with the same options and one deadline. At most `AT_ONCE` are asked for at a time; a caller that
waits half of its time for a turn gives up. A server that is busy or restarting is asked again for a second and a half.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import orjson

from ...errors import EngineBusy, EngineError, EngineTimeout, EngineUnreachable, NotServed
from ...ollama.api import GREEDY, Ollama
from ...ollama.replies import Reply
from ...specialist import Specialist
from ..engine import Completion
from .models import LOAD_S, NAME, Imported, imported, server_at

AT_ONCE = 4
"""Answers that a program asks of a server at a time. Other callers wait here, which costs the server nothing."""
PAUSES_S = (0.1, 0.2, 0.4, 0.8)
"""Pauses between tries, if the server is busy or away."""
FRESH_S = 1.0
"""Age at which the server's version and models are asked for again: two requests of a millisecond."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a server said of itself. models: digests by name."""

    at_s: float
    version: str
    models: dict[str, str]


class OllamaEngine:
    """Asks each specialist where it was imported to. Makes no connection before the first question."""

    name = NAME
    tells_end = False

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._servers: dict[str, Ollama] = {}
        self._turns: dict[str, threading.BoundedSemaphore] = {}
        self._seen: dict[str, _Seen] = {}
        self._loading: set[str] = set()
        self._lock = threading.Lock()

    def fingerprint(self, specialist: Specialist) -> str:
        """Over engine, version, weights and options, as they are now (a second ago at most).

        Raises NotServed if the model is gone, or another stands under its name.
        """
        where = imported(specialist)
        seen = self._look(where)
        digest = seen.models.get(where.model)
        if digest is None:
            raise NotServed(f"{where.model} is gone from Ollama.", "`protege serve` brings it back.")
        if digest != where.digest:
            raise NotServed(f"Another model stands under {where.model}.", "`protege serve` brings ours back.")
        return fingerprint(seen.version, where)

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """As `Engine.complete`."""
        begin_s = time.monotonic()
        until_s = begin_s + timeout_s
        where = imported(specialist)
        with self._turn(where, timeout_s / 2):
            try:
                reply = self._persistently(where, specialist, prompt, until_s)
            except EngineTimeout:
                self._load(where)
                raise
        return _completion(reply, (time.monotonic() - begin_s) * 1000)

    def answers(self, address: str) -> bool:
        """Whether the server is there."""
        try:
            self._server(address).version(FRESH_S)
        except EngineError:
            return False
        return True

    def close(self) -> None:
        """Give the connections back."""
        for server in self._servers.values():
            server.close()

    def __enter__(self) -> OllamaEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _persistently(self, where: Imported, specialist: Specialist, prompt: str, until_s: float) -> Reply:
        """Ask, and if the server is busy or starting again, ask again. Its version must stay what it was."""
        certain: str | None = None
        pauses = iter(PAUSES_S)
        while True:
            try:
                now = self.fingerprint(specialist)
                if now != (certain := certain or now):
                    raise NotServed("Another version of Ollama took its place.", "`protege improve` calibrates again.")
                return self._ask(where, specialist, prompt, until_s)
            except (EngineBusy, EngineUnreachable):
                self._seen.pop(where.address, None)
                pause_s = next(pauses, None)
                if pause_s is None or time.monotonic() + pause_s >= until_s:
                    raise
                # Not in step with the others who were turned away.
                time.sleep(pause_s * random.uniform(0.75, 1.25))

    def _ask(self, where: Imported, specialist: Specialist, prompt: str, until_s: float) -> Reply:
        bos = specialist.base.bos
        if where.adds_tokens and bos:
            prompt = prompt.removeprefix(bos)  # Ollama puts it there
        left_s = until_s - time.monotonic()
        if left_s <= 0:
            raise EngineTimeout("Ollama did not answer in time.")
        return self._server(where.address).generate(
            where.model, prompt, max_tokens=specialist.max_tokens, timeout_s=left_s, keep_alive=where.keep_alive
        )

    def _look(self, where: Imported) -> _Seen:
        seen = self._seen.get(where.address)
        if seen is None or time.monotonic() - seen.at_s > FRESH_S:
            server = self._server(where.address)
            seen = _Seen(time.monotonic(), server.version(), server.models())
            self._seen[where.address] = seen
        return seen

    def _load(self, where: Imported) -> None:
        """Load the model in a thread: Ollama gives up a load when its caller goes away, so that a model which loads
        slower than callers wait would never be in memory."""
        with self._lock:
            if where.model in self._loading:
                return
            self._loading.add(where.model)

        def load() -> None:
            try:
                with contextlib.suppress(EngineError):
                    self._server(where.address).load(where.model, keep_alive=where.keep_alive, timeout_s=LOAD_S)
            finally:
                self._loading.discard(where.model)

        if where.keep_alive != "0":
            threading.Thread(target=load, name="protege-load", daemon=True).start()

    def _server(self, address: str) -> Ollama:
        with self._lock:
            if address not in self._servers:
                self._servers[address] = server_at(address)
            return self._servers[address]

    @contextmanager
    def _turn(self, where: Imported, patience_s: float) -> Iterator[None]:
        with self._lock:
            turns = self._turns.setdefault(where.address, threading.BoundedSemaphore(self._at_once))
        if not turns.acquire(timeout=max(0.0, patience_s)):
            raise EngineBusy("Ollama is well; too many answers are asked of it at once.")
        try:
            yield
        finally:
            turns.release()


def fingerprint(version: str, where: Imported) -> str:
    """SHA-256 (hex) over all that we can name of what the log-probabilities depend on."""
    made_of = {
        "engine": NAME,
        "version": version,
        "file": where.file,
        "context": where.context,
        "adds_tokens": where.adds_tokens,
        "options": GREEDY,
    }
    return hashlib.sha256(orjson.dumps(made_of, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _completion(reply: Reply, latency_ms: float) -> Completion:
    if reply.text and not reply.logprobs:
        raise EngineError("This Ollama tells no log-probabilities.", "Update it: 0.12.11 or newer.")
    finish: Literal["stop", "length"] = "length" if reply.done_reason == "length" else "stop"
    return Completion(
        text=reply.text,
        tokens=reply.tokens,
        token_logprobs=reply.logprobs,
        finish_reason=finish,
        input_tokens=reply.input_tokens,
        output_tokens=reply.output_tokens,
        latency_ms=latency_ms,
        runners_up=reply.runners_up,
    )
