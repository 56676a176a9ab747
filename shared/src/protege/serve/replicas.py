"""Engines alike as one: for answering many calls soonest. Agents are served by one engine."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Sequence

from ..specialist import Specialist
from .engine import Completion, Engine


class Replicas:
    """Engines alike, each answering one call at a time. An `Engine`, and a context manager."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._idle: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        for engine in engines:
            self._idle.put(engine)

    @property
    def name(self) -> str:
        """As each of them is named."""
        return self._engines[0].name

    @property
    def tells_end(self) -> bool:
        """As each of them does."""
        return self._engines[0].tells_end

    @property
    def count(self) -> int:
        """How many calls are answered at once."""
        return len(self._engines)

    def fingerprint(self, specialist: Specialist) -> str:
        """As each of them has it."""
        return self._engines[0].fingerprint(specialist)

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """As an `Engine`'s. The time-out is for the answer alone, not for the wait for a free engine."""
        engine = self._idle.get()
        try:
            return engine.complete(specialist, prompt, timeout_s=timeout_s)
        finally:
            self._idle.put(engine)

    def close(self) -> None:
        """End them."""
        with contextlib.ExitStack() as stack:
            for engine in self._engines:
                stack.callback(engine.close)

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
