"""The engine of heads: it reads a head's file once, and answers in the process that asks, in a fraction of a ms.

A head that was taught with an embedding also takes what embedding the prompt takes, some 5 ms.
"""

from __future__ import annotations

import hashlib
import threading
import time
from pathlib import Path
from typing import Any

from ...common.forks import tell_of_forks
from ...embedding import Embedder, embedder_named
from ...errors import BadInput, DoesNotFit, EngineTimeout, MissingDependency, NotServed
from ...heads import FILE, Chooser, Chosen, Opinion, Pointer, read
from ...heads.features import MOST_CHARACTERS, VERSION
from ...heads.head import NO_OTHER
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
        self._heads: dict[str, Chooser] = {}
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """In a child: the lock may be held by a thread that is not here."""
        self._lock = threading.Lock()

    def fingerprint(self, specialist: Specialist) -> str:
        """Over the file, its format, the version of the features, and the embedder and its version.

        Raises NotServed where the file cannot be read, or the embedder is not there; EngineError where that fails.
        """
        digest = _digest_of(specialist)
        made_of = f"{NAME} {VERSION} {digest}"
        if self._head(specialist, digest).taught_by is not None:
            by = _embedder_of(specialist)
            made_of += f" {by.identity} {by.version}"
        return hashlib.sha256(made_of.encode()).hexdigest()

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """The likeliest answer. Its tokens are its parts: for each field the text up to the end of its value."""
        began_s = time.perf_counter()
        head, vector = self._shown(specialist, prompt, timeout_s)
        chosen = head.answer(prompt, vector)
        return _completion(chosen, specialist.max_tokens, _in_time(began_s, timeout_s))

    def opinion(self, specialist: Specialist, prompt: str, answer: str, *, timeout_s: float) -> Opinion:
        """What the head makes of an answer that another specialist gave to the prompt. Raises as `complete`."""
        began_s = time.perf_counter()
        head, vector = self._shown(specialist, prompt, timeout_s)
        if isinstance(head, Pointer):
            raise NotServed(f"{specialist.name} is a pointer, which has no opinion of others' answers.")
        opinion = head.opinion(prompt, answer, vector)
        _in_time(began_s, timeout_s)
        return opinion

    def _shown(self, specialist: Specialist, prompt: str, timeout_s: float) -> tuple[Any, Any]:
        """The head that is asked, and what it needs of its embedder (`Chooser.seen`)."""
        head = self._head(specialist, _digest_of(specialist))
        if len(prompt) > MOST_CHARACTERS:
            raise DoesNotFit(f"The prompt has {len(prompt):,} characters; a head reads {MOST_CHARACTERS:,} at most.")
        if head.taught_by is None:
            return head, None
        by, (name, identity) = _embedder_of(specialist), head.taught_by
        if by.identity != identity:
            fact = f"{specialist.name} was taught with another embedding model than {name} is now."
            raise NotServed(fact, "`protege improve --retrain` teaches it anew.")
        try:
            return head, head.seen(prompt, by, timeout_s=timeout_s)
        except (TypeError, ValueError) as error:
            raise NotServed(f"{name} does not give {specialist.name} what it was taught with: {error}.") from None

    def close(self) -> None:
        """Let go of the heads."""
        with self._lock:
            self._heads.clear()

    def _head(self, specialist: Specialist, digest: str) -> Chooser:
        head = self._heads.get(digest)
        if head is None:
            head = _read_head(self._home / "specialists" / specialist.id / FILE, digest, specialist.name)
            with self._lock:
                while len(self._heads) >= MOST:
                    del self._heads[next(iter(self._heads))]
                self._heads[digest] = head
        return head


def _in_time(began_s: float, timeout_s: float) -> float:
    """The seconds that it took. Raises EngineTimeout if these were too many."""
    took_s = time.perf_counter() - began_s
    if took_s > timeout_s:
        raise EngineTimeout("The head did not answer in time.")
    return took_s


def _digest_of(specialist: Specialist) -> str:
    placed = specialist.placed.get(NAME)
    if placed is None:
        raise NotServed(f"{specialist.name} is no head, or was not placed.", "`protege improve` places it.")
    return str(placed.get("sha256"))


def _embedder_of(specialist: Specialist) -> Embedder:
    """The embedder that it was placed with. Raises NotServed."""
    try:
        return embedder_named(specialist.address)
    except (BadInput, MissingDependency) as error:
        raise NotServed(f"{specialist.name}'s embedder is not here: {error.fact}", error.remedy) from None


def _read_head(path: Path, digest: str, name: str) -> Chooser:
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
    tokens, logprobs, others = (*chosen.pieces, ""), (*chosen.logprobs, 0.0), (*chosen.runners_up, NO_OTHER)
    if tokens[-2] == "":  # the answer ends with a value
        tokens, logprobs, others = tokens[:-1], logprobs[:-1], others[:-1]
    return Completion(
        text="".join(tokens[:most]),
        tokens=tokens[:most],
        token_logprobs=logprobs[:most],
        finish_reason="stop" if len(tokens) <= most else "length",
        input_tokens=chosen.words,
        output_tokens=min(len(tokens), most),
        latency_ms=took_s * 1000,
        runners_up=others[:most],
    )
