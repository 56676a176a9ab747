"""What a route promises: of the kept answers alone, or of them and of all calls."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

EPSILON = 0.05
DELTA = 0.05


@dataclass(frozen=True, slots=True)
class Promise:
    """P(disagreement among kept answers > epsilon, or more than of_all of all calls kept and wrong) ≤ delta."""

    epsilon: float = EPSILON
    delta: float = DELTA
    scanned: bool = True
    """Whether every threshold is looked at (`scan`). If not, a fixed sequence is tested (`sequence`): the first of a
    cascade needs that, since the calls below its threshold go on to the second."""
    of_all: float | None = None
    """At most this share of all calls may be kept and wrong; None: nothing is promised of all calls."""

    @property
    def delta_each(self) -> float:
        """The δ of each bound: half, where there are two, since the threshold is chosen by both (a union bound)."""
        return self.delta if self.of_all is None else self.delta / 2

    def to_record(self) -> dict[str, Any]:
        """The fields that say something: a promise of before there was another has the record that it had."""
        return {name: value for name, value in asdict(self).items() if value is not None}
