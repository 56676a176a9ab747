"""The calibrated scan: a test of all thresholds at once, with P(disagreement among kept answers > ε) ≤ δ.

Sort the answers by confidence and walk down them, counting right and wrong ones. A table says how many right ones a
threshold must keep with s wrong ones: g[s]. It is made so that answers that are wrong with probability ε, whatever
their confidence, ever reach it with probability δ at most. The loosest threshold that reaches it is taken. There is no
grid, no start and no order of tests, and the threshold may be chosen by looking: docs/guarantee.md has the proof that
risk ε everywhere is the worst case.

Each g[s] is the count that an exact binomial test at one level α asks for, and never less than a fifth of the calls; α
is the largest for which the table holds. In spirit this is the sup-type band of Dvoretzky, Kiefer and Wolfowitz, made
exact for one walk.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter
from scipy.stats import binom

from ..evaluate import Judged
from ..specialist import promised
from ..stats.intervals import clopper_pearson
from .certificate import Certificate
from .of_all import most_wrong
from .promise import Promise

SHARE = 0.2
"""A threshold keeps at least this share of the calls; stricter ones would take from α and keep next to nothing."""
HALVINGS = 40
"""Bisections of α; the table changes at finitely many α."""
MOST_CALLS = 5_000
"""More calls than this are not asked for."""
GROWTH = 1.15
"""The step in which the number of calls that would be enough is sought."""


@dataclass(frozen=True, slots=True)
class End:
    """A threshold between two levels of confidence, and what it keeps."""

    threshold: float
    right: int
    wrong: int


def scan(judged: Sequence[Judged], promise: Promise) -> Certificate:
    """The loosest threshold that the table allows.

    judged: independent calls that neither trained the specialist nor its confidence, and by which nothing was chosen.
    Answers that are not valid are not kept, and count among the calls. Raises ValueError if ε or δ lies outside (0, 1).
    """
    found, n = list(ends(judged)), len(judged)
    passed = _passing(found, n, promise)
    if not passed:
        return _refusal(found, n, promise)
    end = passed[-1]
    kept = end.right + end.wrong
    bound = promised(promise.epsilon, promise.of_all, promise.delta)
    return Certificate(
        threshold=end.threshold,
        kept=kept,
        errors=end.wrong,
        n=n,
        upper_bound=promise.epsilon,
        missing=0,
        reason=f"{kept} of {n} held-out calls are kept and {end.wrong} of them disagree: {bound}.",
        epsilon=promise.epsilon,
        delta=promise.delta,
        epsilon_all=promise.of_all,
    )


@functools.lru_cache(maxsize=64)
def table(n: int, epsilon: float, delta: float) -> tuple[int, ...]:
    """g: to be certified, a threshold that keeps s wrong answers must keep g[s] right ones, of n calls.

    Empty if no number of right answers is enough. Raises ValueError if a level lies outside (0, 1).
    """
    if not (0 < epsilon < 1 and 0 < delta < 1):
        raise ValueError("epsilon and delta must lie strictly within 0 and 1")
    if (1 - epsilon) ** n > delta:
        return ()
    levels = _levels(n, epsilon, delta)
    low, high = 0.0, delta
    if _crossing(_bounds(levels, high), n, epsilon) > delta:
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if _crossing(_bounds(levels, middle), n, epsilon) <= delta else (low, middle)
    else:
        low = high
    return _bounds(levels, low)


def ends(judged: Sequence[Judged]) -> Iterator[End]:
    """Each threshold that parts two levels of confidence, strictest first; the last keeps all valid answers.

    A threshold lies halfway to the next level, so that the last digits of a log-probability decide nothing.
    """
    answers = [(j.confidence, j.agreed) for j in judged if j.valid and j.confidence is not None]
    answers.sort(key=lambda answer: answer[0], reverse=True)
    levels = [(level, [agreed for _, agreed in tied]) for level, tied in itertools.groupby(answers, lambda a: a[0])]
    right = wrong = 0
    for (level, tied), following in itertools.zip_longest(levels, levels[1:]):
        right, wrong = right + sum(tied), wrong + len(tied) - sum(tied)
        yield End((level + following[0]) / 2 if following else 0.0, right, wrong)


def refused_early(validation: Sequence[Judged], promise: Promise) -> Certificate | None:
    """The refusal that is certain enough before any held-out call is looked at; None if the scan may pass.

    It refuses if each threshold that keeps a fifth of the validation calls or more disagrees so often that ε lies below
    the exact 95% interval. It can only refuse, so it costs no part of δ.
    """
    most = [end for end in ends(validation) if end.right + end.wrong >= SHARE * len(validation)]
    counts = [(end.wrong, end.right + end.wrong) for end in most]
    if not counts or any(clopper_pearson(wrong, kept)[0] <= promise.epsilon for wrong, kept in counts):
        return None
    wrong, kept = min(counts, key=lambda count: count[0] / count[1])
    reason = (
        f"At best {kept} of {len(validation)} validation calls are kept and {wrong} of them disagree: "
        f"more than the {promise.epsilon:.0%} allowed. More calls alone will not help."
    )
    return Certificate(None, 0, 0, 0, 1.0, 0, reason, promise.epsilon, promise.delta)


def _passing(found: Iterable[End], n: int, promise: Promise) -> list[End]:
    """Those of the thresholds, of n calls, that keep the promise; where it has two bounds, both."""
    needed = table(n, promise.epsilon, promise.delta_each)
    most = n if promise.of_all is None else most_wrong(n, promise.of_all, promise.delta_each)
    return [end for end in found if end.wrong <= most and end.wrong < len(needed) and end.right >= needed[end.wrong]]


def _levels(n: int, epsilon: float, delta: float) -> NDArray[np.float64]:
    """Row s: the chance of at most s errors in 1, 2, … n calls. As many rows as can fall to δ."""
    rows = int(binom.ppf(delta, n, epsilon)) + 1
    return binom.cdf(np.arange(rows)[:, None], np.arange(1, n + 1)[None, :], epsilon)


def _bounds(levels: NDArray[np.float64], alpha: float) -> tuple[int, ...]:
    """The right answers needed by each number of wrong ones, for tests at level alpha."""
    bounds, least, n = list[int](), math.ceil(SHARE * levels.shape[1]), levels.shape[1]
    for wrong, row in enumerate(levels):
        kept = int(np.searchsorted(-row, -alpha)) + 1  # the fewest calls whose chance of so few errors is alpha or less
        least = max(least, kept - wrong)
        if least + wrong > n:
            break
        bounds.append(least)
    return tuple(bounds)


def _crossing(bounds: Sequence[int], n: int, epsilon: float) -> float:
    """The chance that n calls, each wrong with probability ε, ever have s wrong ones and bounds[s] right ones.

    Error by error: `at[r]` is the chance that the s-th error comes after r right answers and no bound was reached.
    """
    if not bounds:
        return 0.0
    right = 1 - epsilon
    at = np.zeros(bounds[-1] + 1)
    at[0], crossed = 1.0, 0.0
    for wrong, bound in enumerate(bounds):
        before = at[:bound]
        crossed += float(before @ right ** np.arange(bound, 0, -1))
        following = np.asarray(lfilter([epsilon], [1.0, -right], before))
        at = np.zeros_like(at)
        at[: min(bound, n - wrong)] = following[: n - wrong]
    return crossed


def _refusal(found: Sequence[End], n: int, promise: Promise) -> Certificate:
    epsilon = promise.epsilon
    wide = [end for end in found if end.right + end.wrong >= SHARE * n]
    if not wide:
        missing = max(0, math.ceil(math.log(promise.delta_each) / math.log(1 - epsilon)) - n)
        few = f"Needs {missing} more held-out calls at the least." if missing else "More calls alone will not help."
        reason = f"Too few of {n} answers have the right structure and enough confidence to be kept. {few}"
        return Certificate(None, 0, 0, n, 1.0, missing, reason, epsilon, promise.delta)
    best = min(wide, key=lambda end: (end.wrong / (end.right + end.wrong), -end.right))
    kept, missing = best.right + best.wrong, _missing(wide, n, promise)
    reason = f"At best {kept} of {n} held-out calls are kept and {best.wrong} of them disagree: "
    if missing:
        reason += f"too few to show at most {epsilon:.0%}. Needs about {missing} more held-out calls."
    else:
        also = "" if promise.of_all is None else f", or they are more than {promise.of_all:.0%} of all calls"
        reason += f"more than the {epsilon:.0%} allowed{also}. More calls alone will not help."
    bound = clopper_pearson(best.wrong, kept, 1 - 2 * promise.delta)[1]
    return Certificate(None, kept, best.wrong, n, bound, missing, reason, epsilon, promise.delta)


def _missing(found: Sequence[End], n: int, promise: Promise) -> int:
    """The calls that are missing if right and wrong answers come as they came; 0 if MOST_CALLS would not be enough."""
    more = n * GROWTH
    while more <= MOST_CALLS:
        grown = (End(0.0, int(end.right * more / n), math.ceil(end.wrong * more / n)) for end in found)
        if _passing(grown, math.ceil(more), promise):
            return math.ceil(more) - n
        more *= GROWTH
    return 0
