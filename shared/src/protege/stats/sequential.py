"""Tests that can be read after every call: e-processes for a share of disagreement.

An e-process starts at 1, is never negative, and is not expected to grow while its hypothesis holds. So the chance that
it ever reaches 1/α is at most α (Ville 1939; Ramdas, Grünwald, Vovk and Shafer, "Game-theoretic statistics and safe
anytime-valid inference", Statistical Science 2023, §§2–3), however often one looks and whenever one stops. Both tests
here are mixtures of likelihood ratios of a Bernoulli share q against ε, over a few fixed q, so nothing is tuned to the
calls that were seen.

`shown_below` is evidence against "more than ε disagree", and lets a specialist pass. `Alarm` is evidence against "at
most ε disagree" from some unknown call on. It is an e-detector of the Shiryaev–Roberts kind (Shin, Ramdas and Rinaldo,
"E-detectors", New England Journal of Statistics in Data Science 2024, §2): the sum of the e-processes that begin at
each call. While at most ε disagree, it is expected to grow by at most 1 a call, so the first false alarm at level A
comes after A or more calls on average, and after far more if fewer disagree.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

BELOW = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7)
"""The shares of ε that `shown_below` bets on, equally. The first suits a specialist that makes no mistakes."""
ABOVE = (0.03, 0.06, 0.1, 0.16, 0.3, 0.5, 0.9)
"""How far above ε `Alarm` bets, as shares of 1 − ε: at ε = .05 it bets on .08, .11, .15, .20, .34, .53 and .91."""


def shown_below(disagreed: Iterable[bool], epsilon: float) -> float:
    """Evidence that at most ε disagree: the largest value that the e-process against "more than ε" has had, ≥ 1."""
    return math.exp(min(max((0.0, *_below(disagreed, epsilon))), 700.0))


def answers_needed(disagreed: Sequence[bool], epsilon: float, evidence: float, rate: float, most: int) -> int | None:
    """After how many answers in all `shown_below` reaches this evidence; None if not within `most`.

    disagreed: the answers so far. rate: the share of those to come that is expected to disagree, evenly spread.
    """
    to_come = (math.floor(rate * n + 0.5) > math.floor(rate * (n - 1) + 0.5) for n in itertools.count(1))
    stream = itertools.islice(itertools.chain(disagreed, to_come), most)
    target = math.log(evidence)
    return next((n for n, reached in enumerate(_below(stream, epsilon), 1) if reached >= target), None)


def _below(disagreed: Iterable[bool], epsilon: float) -> Iterator[float]:
    """The logarithm of the e-process against "more than ε disagree" after each answer."""
    bets = [epsilon * share for share in BELOW]
    wrong = [math.log(q / epsilon) if q else -math.inf for q in bets]
    right = [math.log((1 - q) / (1 - epsilon)) for q in bets]
    logs = [0.0] * len(bets)
    for answer_disagreed in disagreed:
        step = wrong if answer_disagreed else right
        logs = [log + more for log, more in zip(logs, step, strict=True)]
        most = max(logs)
        yield most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))


MOST = 1e300
"""Enough to decide anything, and far below what a float can hold."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Evidence that by now more than ε disagree."""

    epsilon: float
    parts: tuple[float, ...] = (0.0,) * len(ABOVE)

    @property
    def level(self) -> float:
        """0 before any call. Compare it with the number of calls that should lie between two false alarms."""
        return sum(self.parts) / len(self.parts)

    def after(self, disagreed: bool) -> Alarm:
        """The evidence after one more call."""
        ratios = _ratios(self.epsilon, disagreed)
        grown = ((1 + part) * ratio for part, ratio in zip(self.parts, ratios, strict=True))
        return Alarm(self.epsilon, tuple(min(part, MOST) for part in grown))


def _ratios(epsilon: float, disagreed: bool) -> list[float]:
    bets = [epsilon + (1 - epsilon) * share for share in ABOVE]
    return [q / epsilon if disagreed else (1 - q) / (1 - epsilon) for q in bets]
