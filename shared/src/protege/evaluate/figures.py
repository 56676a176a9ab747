"""What judged answers amount to."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..stats.intervals import clopper_pearson
from ..task import Example
from .differences import Confusion, FieldDifference, confusions, field_differences
from .graders import Grader
from .judging import Judged
from .reliability import Reliability, reliability
from .slices import Slice, slices

EXAMPLES = 3
"""Of each sort."""
WORST = 10
CURVE_POINTS = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """What a threshold keeps: `n` calls, of which `disagreed`; the interval is of the share that disagree, at 95%."""

    threshold: float
    n: int
    coverage: float
    disagreed: int
    disagreement: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Keeping the calls whose confidence is at least `threshold` covers this share, at this risk of disagreement."""

    threshold: float
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """One call: the slots' first characters, both answers, and what became of it ("right", "wrong", "handed back")."""

    outcome: str
    prompt: str
    answer: str
    teacher: str
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A specialist's figures on calls that it was never trained on.

    grader: what "agreed" means. similarity: it means likeness only. agreement: agreed / n, over all calls, also those
    that could not be answered, with its exact (Clopper–Pearson) 95% interval. score: mean of the grader's score.
    valid: share of answers of the right structure. auroc: of confidence telling agreed from not, among valid answers;
    None where there is only one sort. curve: risk against coverage; aurc: the area under it, None without an answer.
    reliability: confidence against agreement. slices: agreement by kind of call. confusions, fields: in what wrong
    answers differ. worst: wrong answers, the surest first. kept: at the route's threshold; None without one.
    Latencies and tokens are of the calls that were answered, None where none was.
    """

    grader: str
    similarity: bool
    n: int
    agreed: int
    agreement: float
    interval: tuple[float, float]
    score: float
    valid: float
    auroc: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    input_tokens: float | None
    output_tokens: float | None
    curve: tuple[CurvePoint, ...]
    examples: tuple[AnswerSample, ...]
    kept: Kept | None = None
    aurc: float | None = None
    reliability: Reliability | None = None
    slices: tuple[Slice, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    fields: tuple[FieldDifference, ...] = ()
    worst: tuple[AnswerSample, ...] = ()

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def evaluate(
    judged: Sequence[Judged],
    grader: Grader,
    *,
    threshold: float | None = None,
    examples: Iterable[Example] = (),
) -> Evaluation:
    """The figures of `judged`. With a threshold, also what it keeps, and examples of what is handed back.

    examples: those that were judged; agreement by length, node and time needs them.
    """
    n, agreed = len(judged), sum(j.agreed for j in judged)
    latencies = sorted(j.latency_ms for j in judged if j.latency_ms is not None)
    return Evaluation(
        grader=grader.name,
        similarity=grader.similarity,
        n=n,
        agreed=agreed,
        agreement=agreed / n if n else 0.0,
        interval=clopper_pearson(agreed, n),
        score=_mean(grader.score(j.answer, j.teacher) if j.valid else 0.0 for j in judged) or 0.0,
        valid=_mean(float(j.valid) for j in judged) or 0.0,
        auroc=auroc(judged),
        latency_p50_ms=statistics.median(latencies) if latencies else None,
        latency_p95_ms=latencies[math.ceil(0.95 * len(latencies)) - 1] if latencies else None,
        input_tokens=_mean(j.input_tokens for j in judged if j.input_tokens is not None),
        output_tokens=_mean(j.output_tokens for j in judged if j.output_tokens is not None),
        curve=risk_coverage(judged),
        examples=_examples(judged, threshold),
        kept=None if threshold is None else _kept(judged, threshold),
        aurc=aurc(judged),
        reliability=reliability(judged),
        slices=slices(judged, examples),
        confusions=confusions(judged),
        fields=field_differences(judged),
        worst=_worst(judged),
    )


def auroc(judged: Sequence[Judged]) -> float | None:
    """P(an agreed answer has the higher confidence than one that is not), ties as half (Mann–Whitney)."""
    right = [j.confidence for j in judged if j.agreed and j.confidence is not None]
    wrong = [j.confidence for j in judged if not j.agreed and j.confidence is not None]
    if not right or not wrong:
        return None
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(right, wrong, method="asymptotic").statistic) / (len(right) * len(wrong))


def risk_coverage(judged: Sequence[Judged]) -> tuple[CurvePoint, ...]:
    """Risk at each coverage, strictest first; calls of equal confidence come together; at most CURVE_POINTS points."""
    points = [CurvePoint(level, kept / len(judged), wrong / kept) for level, kept, wrong in _levels(judged)]
    step = math.ceil(len(points) / CURVE_POINTS) if points else 1
    return tuple(points[::-1][::step][::-1])  # thinned from the end, so that the last one, all that is valid, stays


def aurc(judged: Sequence[Judged]) -> float | None:
    """The area under the risk–coverage curve, 0 at best (Geifman, Uziel and El-Yaniv, ICLR 2019, §3).

    The mean, over the valid answers, of the risk of those that are as sure or surer. None without a valid answer.
    """
    area, before = 0.0, 0
    for _, kept, wrong in _levels(judged):
        area += (kept - before) * wrong / kept
        before = kept
    return area / before if before else None


def _levels(judged: Sequence[Judged]) -> Iterator[tuple[float, int, int]]:
    """Each confidence, strictest first, with how many valid answers reach it, and how many of these disagree."""
    answers = sorted(((j.confidence or 0.0, not j.agreed) for j in judged if j.kept_at(0.0)), reverse=True)
    kept = wrong = 0
    for level, group in itertools.groupby(answers, key=lambda answer: answer[0]):
        for _, disagreed in group:
            kept, wrong = kept + 1, wrong + disagreed
        yield level, kept, wrong


def _kept(judged: Sequence[Judged], threshold: float) -> Kept:
    kept = [j for j in judged if j.kept_at(threshold)]
    wrong = sum(not j.agreed for j in kept)
    return Kept(
        threshold=threshold,
        n=len(kept),
        coverage=len(kept) / len(judged) if judged else 0.0,
        disagreed=wrong,
        disagreement=wrong / len(kept) if kept else 0.0,
        interval=clopper_pearson(wrong, len(kept)),
    )


def _examples(judged: Sequence[Judged], threshold: float | None) -> tuple[AnswerSample, ...]:
    """The first few of each sort; without a threshold, only what is not valid is handed back."""
    sorts: dict[str, list[AnswerSample]] = {"right": [], "wrong": [], "handed back": []}
    for j in judged:
        outcome = "handed back" if not j.kept_at(threshold or 0.0) else "right" if j.agreed else "wrong"
        if len(sorts[outcome]) < EXAMPLES:
            sorts[outcome].append(_example(outcome, j))
    return tuple(itertools.chain.from_iterable(sorts.values()))


def _worst(judged: Sequence[Judged]) -> tuple[AnswerSample, ...]:
    wrong = sorted((j for j in judged if j.kept_at(0.0) and not j.agreed), key=lambda j: -(j.confidence or 0.0))
    return tuple(_example("wrong", j) for j in wrong[:WORST])


def _example(outcome: str, j: Judged) -> AnswerSample:
    return AnswerSample(outcome, j.prompt_preview, j.answer, j.teacher, j.confidence)


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return statistics.fmean(found) if found else None
