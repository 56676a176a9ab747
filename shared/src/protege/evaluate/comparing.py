"""Compares two specialists on the same calls: which agrees with the teacher more often, and whether that is chance."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import BadInput
from ..stats.intervals import clopper_pearson, paired_difference
from .judging import Judged

EXAMPLES = 5
"""The most calls shown of each sort: those that only the first, or only the second, answers as the teacher did."""


@dataclass(frozen=True, slots=True)
class Parted:
    """A call that only one of the two answers as the teacher did. Texts as in `Judged`."""

    agreed: str
    """Which of the two agrees with the teacher: "first" or "second"."""
    prompt: str
    first: str
    second: str
    teacher: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two specialists on the same calls."""

    n: int
    """Calls that both were asked."""
    both: int
    """Calls on which both agree with the teacher."""
    only_first: int
    only_second: int
    neither: int
    first: float
    """The share of calls on which the first agrees with the teacher, 0 to 1."""
    first_interval: tuple[float, float]
    """Its exact (Clopper–Pearson) 95% interval."""
    second: float
    second_interval: tuple[float, float]
    difference: float
    """`first` minus `second`, −1 to 1."""
    interval: tuple[float, float]
    """The 95% interval of the difference (Newcombe 1998, paired, method 10)."""
    p_value: float
    """Of McNemar's exact test that both agree equally often."""
    left_out: int
    """Calls that only one of them was asked."""
    latency_ms: float | None
    """Median of the paired differences, first minus second, over the calls that both answered; None without any."""
    examples: tuple[Parted, ...]

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def compare(first: Sequence[Judged], second: Sequence[Judged]) -> Comparison:
    """Compare two specialists on the calls that both were asked, matched by id. Raises BadInput if there are none."""
    others = {j.call_id: j for j in second}
    pairs = [(j, others[j.call_id]) for j in first if j.call_id in others]
    if not pairs:
        raise BadInput("The two specialists have no call in common.", "Ask both the same calls.")
    n = len(pairs)
    both = sum(a.agreed and b.agreed for a, b in pairs)
    only_first = sum(a.agreed and not b.agreed for a, b in pairs)
    only_second = sum(b.agreed and not a.agreed for a, b in pairs)
    neither = n - both - only_first - only_second
    slower = [a.latency_ms - b.latency_ms for a, b in pairs if a.latency_ms is not None and b.latency_ms is not None]
    return Comparison(
        n=n,
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        first=(both + only_first) / n,
        first_interval=clopper_pearson(both + only_first, n),
        second=(both + only_second) / n,
        second_interval=clopper_pearson(both + only_second, n),
        difference=(only_first - only_second) / n,
        interval=paired_difference(both, only_first, only_second, neither),
        p_value=mcnemar(only_first, only_second),
        left_out=len(first) + len(second) - 2 * n,
        latency_ms=statistics.median(slower) if slower else None,
        examples=(*_parted("first", pairs), *_parted("second", pairs)),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """The p-value of McNemar's test (Psychometrika 12, 1947) by the exact binomial; 1 if no pair differs."""
    if only_first + only_second == 0:
        return 1.0
    from scipy.stats import binomtest  # of the extra `discover`: the report reads figures without it

    return float(binomtest(only_first, only_first + only_second).pvalue)


def _parted(agreed: str, pairs: Iterable[tuple[Judged, Judged]]) -> list[Parted]:
    """The calls on which only this one agrees; first those in which the other was most confident."""
    if agreed == "first":
        entries = sorted(((b.confidence or 0.0, a, b) for a, b in pairs if a.agreed and not b.agreed), key=_surest)
    else:
        entries = sorted(((a.confidence or 0.0, a, b) for a, b in pairs if b.agreed and not a.agreed), key=_surest)
    return [Parted(agreed, a.prompt_preview, a.answer, b.answer, a.teacher) for _, a, b in entries[:EXAMPLES]]


def _surest(entry: tuple[float, Judged, Judged]) -> float:
    return -entry[0]
