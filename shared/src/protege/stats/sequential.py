"""Tests that may be looked at after every call: e-processes for a share of disagreement.

An e-process starts at 1, is never negative, and under its hypothesis is expected never to grow. So the chance that it
ever reaches 1/α is at most α (Ville 1939; Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe
anytime-valid inference", Statistical Science 2023, §§2–3), however often one looks and whenever one stops. Both here
are mixtures of likelihood ratios of a Bernoulli share q against ε, over a few fixed q: no tuning to what was seen.

`shown_below` speaks against "more than ε disagree", and lets a specialist pass. `Alarm` speaks against "at most ε
disagree" from some unknown call on: an e-detector of the Shiryaev–Roberts kind (Shin, Ramdas and Rinaldo,
"E-detectors", New England Journal of Statistics in Data Science 2024, §2), the sum of the e-processes that begin at
each call. As long as at most ε disagree, it is expected to grow by 1 a call at most, so it is A or more calls on
average to the first false alarm at the level A; where fewer disagree, far more.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

BELOW = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Shares of ε that `shown_below` bets on, equally. The first suits a specialist that makes no mistakes."""
ABOVE = (0.03, 0.06, 0.1, 0.16, 0.3, 0.5, 0.9)
"""How far above ε, as shares of what is left to 1, `Alarm` bets: at ε = .05 on .08, .11, .15, .20, .34, .53 and .91."""


def shown_below(disagreed: Iterable[bool], epsilon: float) -> float:
    """Evidence that at most ε disagree: the largest value that the e-process against "more than ε" ever had, ≥ 1."""
    bets = [epsilon * share for share in BELOW]
    wrong = [math.log(q / epsilon) if q else -math.inf for q in bets]
    right = [math.log((1 - q) / (1 - epsilon)) for q in bets]
    logs, best = [0.0] * len(bets), 0.0
    for one in disagreed:
        step = wrong if one else right
        logs = [log + more for log, more in zip(logs, step, strict=True)]
        best = max(best, max(logs) + math.log(sum(math.exp(log - max(logs)) for log in logs) / len(logs)))
    return math.exp(min(best, 700.0))


MOST = 1e300
"""Enough to decide anything, and far from what a float cannot hold."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Evidence that by now more than ε disagree.

    level: 0 before anything was seen. To be compared with the number of calls that should lie between false alarms.
    """

    epsilon: float
    parts: tuple[float, ...] = (0.0,) * len(ABOVE)

    @property
    def level(self) -> float:
        return sum(self.parts) / len(self.parts)

    def after(self, disagreed: bool) -> Alarm:
        """With one more call."""
        ratios = _ratios(self.epsilon, disagreed)
        grown = ((1 + part) * ratio for part, ratio in zip(self.parts, ratios, strict=True))
        return Alarm(self.epsilon, tuple(min(part, MOST) for part in grown))


def _ratios(epsilon: float, disagreed: bool) -> list[float]:
    bets = [epsilon + (1 - epsilon) * share for share in ABOVE]
    return [q / epsilon if disagreed else (1 - q) / (1 - epsilon) for q in bets]
