"""Calibration of confidence: whether answers with a confidence of .9 are right nine times in ten."""

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
    """Answers of similar confidence."""

    n: int
    """Answers in the bin."""
    confidence: float
    """Their mean confidence."""
    agreement: float
    """The share that agrees with the teacher."""
    interval: tuple[float, float]
    """The exact 95% interval of that share."""


@dataclass(frozen=True, slots=True)
class Reliability:
    """Agreement by confidence, over the valid answers."""

    bins: tuple[Bin, ...]
    """The least confident first."""
    ece: float
    """Expected calibration error: the mean distance between the bins' confidence and agreement, weighted by their
    answers (Naeini, Cooper and Hauskrecht, AAAI 2015; with bins of equal count, Nixon et al., 2019). It grows with the
    number of bins, and is above 0 by chance alone."""
    brier: float
    """Mean squared distance between confidence and outcome (Brier, 1950); 0 is best."""


def reliability(judged: Sequence[Judged]) -> Reliability | None:
    """Agreement by confidence in BINS bins of about equal count; equal confidences share a bin. None without a valid
    answer."""
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
    """Groups of about a tenth of the answers each; answers with the same confidence as a group's last join it."""
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
