"""How soon an engine answers the calls of this process, so that a call which would wait too long is not made."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from collections import deque
from collections.abc import Iterator

from ..errors import EngineBusy

REMEMBERED = 9
"""Answers whose pace counts. The median of so few follows a change, and passes over a suspended laptop."""


class Pace:
    """Counts the calls that wait for an engine, and measures how often an answer comes while any do.

    What other processes ask of the same engine shows in that too: answers come more slowly. Safe for many threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting = 0
        self._since_s = 0.0
        self._between_s: deque[float] = deque(maxlen=REMEMBERED)

    @contextlib.contextmanager
    def turn(self, left_s: float, takes_s: float) -> Iterator[None]:
        """A call that waits for the engine.

        takes_s: how long an answer takes, for as long as none was seen. Raises EngineBusy if the answers to the calls
        before it and its own would take longer than `left_s`. A call that is alone is always made.
        """
        with self._lock:
            each_s = statistics.median(self._between_s) if self._between_s else takes_s
            if self._waiting and (self._waiting + 1) * each_s > left_s:
                raise EngineBusy("The engine has more calls than it can answer in time.")
            if not self._waiting:
                self._since_s = time.perf_counter()
            self._waiting += 1
        answered = False
        try:
            yield
            answered = True
        finally:
            self._leave(answered=answered)

    def _leave(self, *, answered: bool) -> None:
        with self._lock:
            self._waiting -= 1
            if answered:  # calls that time out together say nothing of how often an answer comes
                now_s = time.perf_counter()
                self._between_s.append(now_s - self._since_s)
                self._since_s = now_s
