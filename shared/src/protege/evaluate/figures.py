"""The figures of judged answers."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import mannwhitneyu

from ..stats.intervals import clopper_pearson
from ..task import Example
from .differences import Confusion, FieldDifference, confusions, field_differences
from .graders import Grader
from .judging import Judged
from .reliability import Reliability, reliability
from .slices import Slice, slices

EXAMPLES = 3
"""The most samples of each outcome."""
WORST = 10
"""The most wrong answers shown."""
CURVE_POINTS = 100
"""The most points of the risk–coverage curve."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a threshold keeps."""

    threshold: float
    n: int
    """Calls kept."""
    coverage: float
    """The share of all calls that is kept."""
    disagreed: int
    """Kept calls that disagree with the teacher."""
    disagreement: float
    """`disagreed / n`."""
    interval: tuple[float, float]
    """The exact 95% interval of the disagreement."""


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Keeping calls with at least this confidence covers this share of calls, at this risk of disagreement."""

    threshold: float
    coverage: float
    risk: float


@dataclass(frozen=True, slots=True)
class AnswerSample:
    """One call, for people to look at."""

    outcome: str
    """What became of it: "right", "wrong" or "handed back"."""
    prompt: str
    """The first characters of its slots."""
    answer: str
    teacher: str
    confidence: float | None
    correction: str = ""
    """What a person says is right; empty if nobody did."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """The calls whose answer a person corrected."""

    n: int
    as_corrected: int
    """Answered as the person says is right."""
    as_teacher: int
    """Answered as the teacher did, whom the person corrected."""

    @property
    def neither(self) -> int:
        """Answered otherwise: these alone are disagreements."""
        return self.n - self.as_corrected - self.as_teacher


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A specialist's figures on calls that it was never trained on.

    Latencies and tokens are of the calls that were answered; None if none was.
    """

    grader: str
    """What "agreed" means: the grader's name."""
    similarity: bool
    """Whether the grader only measures likeness."""
    n: int
    """All calls, including those that could not be answered."""
    agreed: int
    agreement: float
    """`agreed / n`."""
    interval: tuple[float, float]
    """The exact (Clopper–Pearson) 95% interval of the agreement."""
    score: float
    """The mean of the grader's score."""
    valid: float
    """The share of answers with the right structure."""
    auroc: float | None
    """How well confidence separates valid answers that agree from those that do not; None if all do, or none."""
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    input_tokens: float | None
    """Mean of a call."""
    output_tokens: float | None
    """Mean of a call."""
    curve: tuple[CurvePoint, ...]
    """Risk against coverage."""
    examples: tuple[AnswerSample, ...]
    kept: Kept | None = None
    """What the route's threshold keeps; None without a threshold."""
    aurc: float | None = None
    """The area under the risk–coverage curve; None without a valid answer."""
    reliability: Reliability | None = None
    """Agreement by confidence."""
    slices: tuple[Slice, ...] = ()
    """Agreement by kind of call."""
    confusions: tuple[Confusion, ...] = ()
    fields: tuple[FieldDifference, ...] = ()
    worst: tuple[AnswerSample, ...] = ()
    """Wrong answers, the most confident first."""
    corrected: Corrected | None = None
    """The calls that people corrected; None if they corrected none."""

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def evaluate(
    judged: Sequence[Judged],
    grader: Grader,
    *,
    threshold: float | None = None,
    kept: Kept | None = None,
    timed: Sequence[Judged] | None = None,
    examples: Iterable[Example] = (),
) -> Evaluation:
    """The figures of judged answers; with a threshold, also what it keeps, and samples of what is handed back.

    kept: what the threshold keeps, if it was found on these answers, which would flatter it. timed: those that were
    asked one at a time, for the latencies; all by default. examples: those that were judged; agreement by length, node
    and time needs them.
    """
    n, agreed = len(judged), sum(j.agreed for j in judged)
    asked_alone = judged if timed is None else timed
    latencies = sorted(j.latency_ms for j in asked_alone if j.latency_ms is not None)
    return Evaluation(
        grader=grader.name,
        similarity=grader.similarity,
        n=n,
        agreed=agreed,
        agreement=agreed / n if n else 0.0,
        interval=clopper_pearson(agreed, n),
        score=_mean(_score(j, grader) for j in judged) or 0.0,
        valid=_mean(float(j.valid) for j in judged) or 0.0,
        auroc=auroc(judged),
        latency_p50_ms=statistics.median(latencies) if latencies else None,
        latency_p95_ms=latencies[math.ceil(0.95 * len(latencies)) - 1] if latencies else None,
        input_tokens=_mean(j.input_tokens for j in judged if j.input_tokens is not None),
        output_tokens=_mean(j.output_tokens for j in judged if j.output_tokens is not None),
        curve=risk_coverage(judged),
        examples=_examples(judged, threshold),
        kept=kept if threshold is None or kept else _kept(judged, threshold),
        aurc=aurc(judged),
        reliability=reliability(judged),
        slices=slices(judged, examples),
        confusions=confusions(judged),
        fields=field_differences(judged),
        worst=_worst(judged),
        corrected=_corrected(judged),
    )


def _score(j: Judged, grader: Grader) -> float:
    return grader.score(j.answer, j.correction if j.corrected else j.teacher) if j.valid else 0.0


def _corrected(judged: Sequence[Judged]) -> Corrected | None:
    those = [j for j in judged if j.corrected is not None or j.correction]
    right = sum(bool(j.corrected) for j in those)
    return Corrected(len(those), right, sum(j.agreed for j in those) - right) if those else None


def auroc(judged: Sequence[Judged]) -> float | None:
    """P(an answer that agrees has a higher confidence than one that does not); ties count half (Mann–Whitney)."""
    right = [j.confidence for j in judged if j.agreed and j.confidence is not None]
    wrong = [j.confidence for j in judged if not j.agreed and j.confidence is not None]
    if not right or not wrong:
        return None
    return float(mannwhitneyu(right, wrong, method="asymptotic").statistic) / (len(right) * len(wrong))


def risk_coverage(judged: Sequence[Judged]) -> tuple[CurvePoint, ...]:
    """Risk at each coverage, strictest first, in at most CURVE_POINTS points. Calls of equal confidence share a
    point."""
    points = [CurvePoint(level, kept / len(judged), wrong / kept) for level, kept, wrong in _levels(judged)]
    step = math.ceil(len(points) / CURVE_POINTS) if points else 1
    return tuple(points[::-1][::step][::-1])  # thinned from the end, so that the last point, all valid answers, stays


def aurc(judged: Sequence[Judged]) -> float | None:
    """The area under the risk–coverage curve, 0 at best (Geifman, Uziel and El-Yaniv, ICLR 2019, §3).

    For each valid answer, the risk among those at least as confident; of these the mean. None without a valid answer.
    """
    area, before = 0.0, 0
    for _, kept, wrong in _levels(judged):
        area += (kept - before) * wrong / kept
        before = kept
    return area / before if before else None


def _levels(judged: Sequence[Judged]) -> Iterator[tuple[float, int, int]]:
    """Each confidence, strictest first, with the number of valid answers that reach it and of those that disagree."""
    answers = sorted(((j.confidence or 0.0, not j.agreed) for j in judged if j.kept_at(0.0)), reverse=True)
    kept = wrong = 0
    for level, group in itertools.groupby(answers, key=lambda answer: answer[0]):
        for _, disagreed in group:
            kept, wrong = kept + 1, wrong + disagreed
        yield level, kept, wrong


def _kept(judged: Sequence[Judged], threshold: float) -> Kept:
    return kept_figures([j for j in judged if j.kept_at(threshold)], len(judged), threshold)


def kept_figures(kept: Sequence[Judged], n: int, threshold: float) -> Kept:
    """The figures of the answers that are kept, of n."""
    wrong = sum(not j.agreed for j in kept)
    return Kept(
        threshold=threshold,
        n=len(kept),
        coverage=len(kept) / n if n else 0.0,
        disagreed=wrong,
        disagreement=wrong / len(kept) if kept else 0.0,
        interval=clopper_pearson(wrong, len(kept)),
    )


def _examples(judged: Sequence[Judged], threshold: float | None) -> tuple[AnswerSample, ...]:
    """The first few of each outcome; without a threshold, only invalid answers are handed back."""
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
    return AnswerSample(outcome, j.prompt_preview, j.answer, j.teacher, j.confidence, j.correction)


def _mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return statistics.fmean(listed) if listed else None
