"""Whether a confidence of .9 is right nine times in ten."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ..stats.intervals import clopper_pearson
from .judging import Judged

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of like confidence: their mean confidence, and the share that agrees with its exact 95% interval."""

    n: int
    confidence: float
    agreement: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Reliability:
    """Confidence against agreement, over the valid answers; the least sure bin first.

    ece: expected calibration error, the bins' mean distance of confidence from agreement, weighted by their answers
    (Naeini, Cooper and Hauskrecht, AAAI 2015; with bins of equal count, Nixon et al., 2019). It grows with the number
    of bins, and is above 0 by chance alone. brier: mean squared distance of confidence from what came true (Brier,
    1950), 0 at best.
    """

    bins: tuple[Bin, ...]
    ece: float
    brier: float


def reliability(judged: Sequence[Judged]) -> Reliability | None:
    """In BINS bins of about equal count; equal confidences stay together. None without a valid answer."""
    answers = sorted((j.confidence, j.agreed) for j in judged if j.valid and j.confidence is not None)
    if not answers:
        return None
    bins = tuple(_bin(group) for group in _equal_counts(answers))
    return Reliability(
        bins=bins,
        ece=sum(b.n * abs(b.confidence - b.agreement) for b in bins) / len(answers),
        brier=statistics.fmean((confidence - agreed) ** 2 for confidence, agreed in answers),
    )


def _equal_counts(answers: Sequence[tuple[float, bool]]) -> list[list[tuple[float, bool]]]:
    """A bin is full at a tenth of the answers; those of equal confidence with the last one are let in."""
    groups: list[list[tuple[float, bool]]] = [[]]
    for _, tied in itertools.groupby(answers, key=lambda answer: answer[0]):
        if len(groups[-1]) * BINS >= len(answers):
            groups.append([])
        groups[-1].extend(tied)
    return groups


def _bin(answers: Sequence[tuple[float, bool]]) -> Bin:
    n, right = len(answers), sum(agreed for _, agreed in answers)
    confidence = statistics.fmean(confidence for confidence, _ in answers)
    return Bin(n, confidence, right / n, clopper_pearson(right, n))
