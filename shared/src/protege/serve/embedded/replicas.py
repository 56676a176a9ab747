"""One specialist served many times over, for answering many calls soonest; agents are served by one engine."""

from __future__ import annotations

import contextlib
import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from ...errors import EngineError, ResourceError
from ...specialist import Specialist
from ...workspace import Workspace
from ..engine import Completion, Engine
from .engine import EmbeddedEngine, Options, memory_needed, physical_cores, serve

MOST = 16


class Replicas:
    """Engines alike, each answering one call at a time. An `Engine`, and a context manager.

    Engines of one thread together answer more than one engine with all threads: on two cores 5.2 calls a second against
    4.2 (SmolLM2-135M merged, 25 tokens an answer), though each call takes longer. The number of threads changes no
    answer and no log-probability.
    """

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)
        self._idle: queue.SimpleQueue[Engine] = queue.SimpleQueue()
        for engine in engines:
            self._idle.put(engine)

    @property
    def name(self) -> str:
        return self._engines[0].name

    @property
    def tells_end(self) -> bool:
        return self._engines[0].tells_end

    @property
    def count(self) -> int:
        return len(self._engines)

    def fingerprint(self, specialist: Specialist) -> str:
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


def replicate(workspace: Workspace, specialist: Specialist) -> Replicas:
    """As many engines for this specialist as there are cores, and as memory allows; served as it is to be served.

    Raises as `serve` does, where not even one can be had.
    """
    import psutil

    cores = physical_cores()
    fitting = psutil.virtual_memory().available // memory_needed(workspace, specialist)
    count = max(1, min(cores, fitting, MOST))
    options = Options(threads=max(1, cores // count))
    with ThreadPoolExecutor(count, "protege-replicas") as pool:
        starting = [pool.submit(serve, workspace, [specialist], options=options) for _ in range(count)]
    return Replicas(_started(starting))


def _started(starting: Sequence[Future[EmbeddedEngine]]) -> list[EmbeddedEngine]:
    """Those that came up; the first one's failure where none did."""
    engines: list[EmbeddedEngine] = []
    failures: list[Exception] = []
    for future in starting:
        try:
            engines.append(future.result())
        except (EngineError, ResourceError) as error:
            failures.append(error)
    if not engines:
        raise failures[0]
    return engines
