"""The engine of heads: it reads a head's file once, and answers in the process that asks, in a fraction of a ms."""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path

from ...common.forks import tell_of_forks
from ...errors import DoesNotFit, EngineTimeout, NotServed
from ...heads import FILE, Chosen, Head, read
from ...heads.features import MOST_CHARACTERS, VERSION
from ...specialist import Specialist
from ..engine import Completion

NAME = "head"
MOST = 64
"""Heads that are held in memory; beyond that the one that was read first is read again when it is asked."""


class HeadEngine:
    """Serves the heads of one home folder, those whose files are what was tuned. Safe for many threads."""

    name = NAME
    tells_end = True

    def __init__(self, home: Path) -> None:
        self._home = home
        self._heads: dict[str, Head] = {}
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """In a child: the lock may be held by a thread that is not here."""
        self._lock = threading.Lock()

    def fingerprint(self, specialist: Specialist) -> str:
        """Over the file, its format and the version of the features. Raises NotServed where it cannot be read."""
        digest = _digest_of(specialist)
        self._head(specialist, digest)
        return hashlib.sha256(f"{NAME} {VERSION} {digest}".encode()).hexdigest()

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """The likeliest answer. Its tokens are its parts: for each field the text up to the end of its value."""
        began_s = time.perf_counter()
        head = self._head(specialist, _digest_of(specialist))
        if len(prompt) > MOST_CHARACTERS:
            raise DoesNotFit(f"The prompt has {len(prompt):,} characters; a head reads {MOST_CHARACTERS:,} at most.")
        chosen = head.answer(prompt)
        took_s = time.perf_counter() - began_s
        if took_s > timeout_s:
            raise EngineTimeout("The head did not answer in time.")
        return _completion(chosen, specialist.max_tokens, took_s)

    def close(self) -> None:
        """Let go of the heads."""
        with self._lock:
            self._heads.clear()

    def _head(self, specialist: Specialist, digest: str) -> Head:
        head = self._heads.get(digest)
        if head is None:
            head = _read_head(self._home / "specialists" / specialist.id / FILE, digest, specialist.name)
            with self._lock:
                while len(self._heads) >= MOST:
                    del self._heads[next(iter(self._heads))]
                self._heads[digest] = head
        return head


def _digest_of(specialist: Specialist) -> str:
    placed = specialist.placed.get(NAME)
    if placed is None:
        raise NotServed(f"{specialist.name} is no head, or was not placed.", "`protege improve` places it.")
    return str(placed.get("sha256"))


def _read_head(path: Path, digest: str, name: str) -> Head:
    """The head in the file, if it is the one that was tuned. Raises NotServed."""
    try:
        body = path.read_bytes()
        if hashlib.sha256(body).hexdigest() != digest:
            raise ValueError("another file")
        return read(body)
    except (OSError, ValueError) as error:
        fact = f"{name}'s {FILE} cannot be used: {error}."
        raise NotServed(fact, "`protege improve --retrain` makes it again.") from None


def _completion(chosen: Chosen, most: int, took_s: float) -> Completion:
    tokens, logprobs = (*chosen.pieces, ""), (*chosen.logprobs, 0.0)
    if tokens[-2] == "":  # the answer ends with a value
        tokens, logprobs = tokens[:-1], logprobs[:-1]
    return Completion(
        text="".join(tokens[:most]),
        tokens=tokens[:most],
        token_logprobs=logprobs[:most],
        finish_reason="stop" if len(tokens) <= most else "length",
        input_tokens=chosen.words,
        output_tokens=min(len(tokens), most),
        latency_ms=took_s * 1000,
    )
