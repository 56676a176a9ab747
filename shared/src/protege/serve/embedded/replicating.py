"""One specialist served by as many engines as the machine has cores for."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import psutil

from ...errors import EngineError, ResourceError
from ...specialist import Specialist
from ..replicas import Replicas
from .engine import EmbeddedEngine, Options, memory_needed, physical_cores, serve

if TYPE_CHECKING:
    from ...workspace import Workspace

MOST = 16
"""Engines at most."""


def replicate(workspace: Workspace, specialist: Specialist) -> Replicas:
    """As many engines for this specialist as there are cores, and as memory allows.

    Engines of one thread together answer more than one engine with all threads: on two cores 5.2 calls a second against
    4.2 (SmolLM2-135M merged, 25 tokens an answer), though each call takes longer. The number of threads changes no
    answer and no log-probability. Raises as `serve`, where not even one can be had.
    """
    cores = physical_cores()
    fitting = psutil.virtual_memory().available // memory_needed(workspace, specialist)
    count = max(1, min(cores, fitting, MOST))
    options = Options(threads=max(1, cores // count))
    with ThreadPoolExecutor(count, "protege-replicas") as pool:
        starting = [pool.submit(serve, workspace, [specialist], options=options) for _ in range(count)]
    return Replicas(_started(starting))


def _started(starting: Sequence[Future[EmbeddedEngine]]) -> list[EmbeddedEngine]:
    """Those that came up; raises the first one's failure where none did."""
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
