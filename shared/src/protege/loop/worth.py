"""What a specialist's answers are worth."""

from __future__ import annotations

from ..cluster import MACHINE_USD_PER_HOUR, teacher_usd
from ..rollout.policy import price_as_of
from .run import Run


def saving_usd(run: Run, coverage: float, latency_ms: float | None) -> float | None:
    """US dollars saved by each call that is asked; None if a cost is unknown.

    That is the teacher's cost of those kept, less this machine's time for all.
    """
    teacher = teacher_usd(run.task, price_as_of(run.workspace, run.task.id))
    if teacher is None or latency_ms is None:
        return None
    return coverage * teacher - latency_ms / 3_600_000 * MACHINE_USD_PER_HOUR
