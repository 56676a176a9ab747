"""One specialist served many times over, for answering many calls soonest; agents are served by one engine."""

from __future__ import annotations

import queue
from collections.abc import Callable

from ..specialist import Specialist
from ..workspace import Workspace
from .embedded import EmbeddedEngine, Options, memory_needed, physical_cores, serve
from .engine import Completion

MOST = 16


class Replicas:
    """Engines alike, each of one thread, each answering one call at a time. A context manager.

    Two threads answer one call in less than half again the time of one, so that a core each answers more: on two cores
    5.1 calls a second against 3.7 (SmolLM2-135M merged, 25 tokens an answer). The number of threads changes no answer
    and no log-probability. An engine is started when its first call comes.
    """

    def __init__(self, start: Callable[[], EmbeddedEngine], count: int) -> None:
        self.count = count
        self._start = start
        self._started: list[EmbeddedEngine] = []
        self._idle: queue.LifoQueue[EmbeddedEngine | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """As an `Engine`'s. The time-out is for the answer alone, not for the wait for a free engine."""
        engine = self._idle.get()
        try:
            if engine is None:
                engine = self._start()
                self._started.append(engine)
            return engine.complete(specialist, prompt, timeout_s=timeout_s)
        finally:
            self._idle.put(engine)

    def close(self) -> None:
        """End them."""
        for engine in self._started:
            engine.close()

    def __enter__(self) -> Replicas:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def replicate(workspace: Workspace, specialist: Specialist) -> Replicas:
    """As many engines for this specialist as there are cores, and as memory allows; served as it was certified."""
    import psutil

    fitting = psutil.virtual_memory().available // memory_needed(workspace, specialist)
    count = max(1, min(physical_cores(), fitting, MOST))
    options = Options(threads=1) if count > 1 else None
    return Replicas(lambda: serve(workspace, [specialist], options=options), count)
