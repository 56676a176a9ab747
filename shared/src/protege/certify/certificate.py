"""What the held-out calls showed of a specialist."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluate import Judged
from ..specialist import Proof
from .promise import DELTA, EPSILON


@dataclass(frozen=True, slots=True)
class Certificate:
    """What calibration showed."""

    threshold: float | None
    """Answers with at least this confidence may be kept; None if no threshold is certified."""
    kept: int
    """Calibration calls that the threshold keeps; without one, those that the strictest threshold keeps."""
    errors: int
    """Of those kept, how many disagree with the teacher."""
    n: int
    """Calibration calls."""
    upper_bound: float
    """Their disagreement is at most this, with probability 1 - delta."""
    missing: int
    """How many more calibration calls a threshold needs at the least; 0 if there is one, or if more would not help."""
    reason: str
    """All that in words."""
    epsilon: float = EPSILON
    delta: float = DELTA
    failed: float | None = None
    """The threshold at which the sequence ended; None if all passed."""
    epsilon_all: float | None = None
    """Of all calls at most this share is kept and wrong; None if nothing is promised of all calls."""
    proof: Proof = "held-out"
    """Which calls show it. Where the shadow's do, the counts are of the calls asked there."""

    @property
    def coverage(self) -> float:
        """The share of calibration calls that the route keeps; 0 without a threshold."""
        return self.kept / self.n if self.n and self.threshold is not None else 0.0

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def hindsight_coverage(judged: Sequence[Judged], epsilon: float = EPSILON, of_all: float | None = None) -> float:
    """The largest share of calls that some threshold would have kept with observed disagreement ≤ ε.

    of_all: where given, also with at most this share of all calls kept and wrong.

    An oracle that has seen the answers: no guarantee, only what a certified coverage is measured against.
    """
    answers = sorted(((j.confidence, not j.agreed) for j in judged if j.kept_at(0.0)), reverse=True)
    best = kept = wrong = 0
    for _, group in itertools.groupby(answers, key=lambda answer: answer[0]):
        for _, disagreed in group:
            kept, wrong = kept + 1, wrong + disagreed
        if wrong <= epsilon * kept and (of_all is None or wrong <= of_all * len(judged)):
            best = kept
    return best / len(judged) if judged else 0.0
