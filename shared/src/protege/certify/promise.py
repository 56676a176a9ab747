"""What a route promises."""

from __future__ import annotations

from dataclasses import dataclass

EPSILON = 0.05
DELTA = 0.05


@dataclass(frozen=True, slots=True)
class Promise:
    """P(disagreement among kept answers > epsilon) ≤ delta."""

    epsilon: float = EPSILON
    delta: float = DELTA
    scanned: bool = True
    """Whether every threshold is looked at (`scan`). If not, a fixed sequence is tested (`sequence`): the first of a
    cascade needs that, since the calls below its threshold go on to the second."""
