"""A fixed sequence of thresholds, for the first of a cascade: P(disagreement among kept answers > ε) ≤ δ.

Learn-then-test (Angelopoulos, Bates, Candès, Jordan, Lei: "Learn then Test", arXiv:2110.01052) with fixed-sequence
testing. A grid of thresholds is fixed before the calibration calls are looked at. From the strictest down, each is
tested at level δ: H0 "of the answers kept here more than ε disagree" against the exact binomial. The first threshold
that fails ends the sequence; the last that passed is the route's. A certificate is wrong only if the first true H0 of
the sequence is rejected, which has probability δ at most, so the number of thresholds needs no correction. Taking the
best of all thresholds that pass would break the bound (tests/bench/guarantee.py shows by how much).
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..asking.confidence import keeps
from ..evaluate import Judged
from ..stats.intervals import clopper_pearson, upper_bound
from .certificate import Certificate
from .promise import DELTA, EPSILON

# Where the sequence starts matters most. Too strict a start keeps so few calls that one stray error ends the sequence;
# too loose a start fails for a specialist that is right only about the calls it is sure of. Mean certified coverage in
# simulation (errors at lower scores, a tenth of them at any; 400–1,500 draws; tests/bench/routing.py), by the number
# of 260 calibration calls that the start is expected to keep:
#     error, AUROC     70    100    124    153    181    208
#     .025, .98      .645   .887   .955   .976   .983   .977
#     .05,  .98      .506   .747   .845   .914   .931   .924
#     .10,  .98      .301   .499   .590   .682   .735   .721
#     .10,  .95      .242   .422   .479   .557   .557   .428
#     .19,  .82      .034   .027   .016   .006   .002   .000
# With 160 calls 124–140 did best. With 200 calls, 153 did better than 170 (.421 against .194 at an error of .12 and
# AUROC .95). With 400 calls, 181 did better than 160 (of 300 draws .93 gave a route against .85 at an error of .10 and
# AUROC .98; .99 against .96 at .04 and .90). With 600 calls, 300 did best at an error of .10 (.82 against .75 at AUROC
# .95), and 181 at .19 (.088 against .013). Hence the start keeps what bears three errors (153 at ε = δ = .05), or four
# (181) if that is at most 70% of the calls, or 40% of the calls if that is more, and never above 85%. Choosing the
# start by the validation split's errors (40–110 calls) did no better than these fixed numbers. Steps of .02 beat .05 by
# up to .03 and .1 by up to .07: more tests cost little, because they depend on each other.
START_ERRORS = 3
ROOM_ERRORS = 4
ROOM_SHARE = 0.7
START_SHARE = 0.4
START_MOST = 0.85
STEP = 0.02
MOST_CALLS = 100_000
"""A specialist that would need more calls than this needs fewer errors instead."""


def grid_from(
    validation: Sequence[Judged],
    *,
    calibration_calls: int | None = None,
    epsilon: float = EPSILON,
    delta: float = DELTA,
) -> tuple[float, ...]:
    """The thresholds to test, strictest first, from the confidences of the validation split alone.

    The last is 0: keep all answers of a right structure. calibration_calls: how many calls the tests will be made on
    (their number only, never what came of them); without it the start keeps 60%.
    """
    levels = sorted((j.confidence for j in validation if j.valid and j.confidence is not None), reverse=True)
    start = 0.6
    if calibration_calls:
        least, roomy = (calls_needed(n, epsilon, delta) / calibration_calls for n in (START_ERRORS, ROOM_ERRORS))
        start = min(max(least, roomy if roomy <= ROOM_SHARE else 0.0, START_SHARE), START_MOST)
    steps = math.ceil((1 - start) / STEP)
    cuts = [_cut(levels, math.ceil((start + i * STEP) * len(validation))) for i in range(steps)]
    return tuple(dict.fromkeys([*cuts, 0.0]))


def calibrate(
    judged: Sequence[Judged], grid: Sequence[float], *, epsilon: float = EPSILON, delta: float = DELTA
) -> Certificate:
    """Test the grid's thresholds on the calibration calls, strictest first, up to the first that fails.

    judged: calls that neither trained the specialist nor made the grid. Answers that are not valid are not kept.
    Raises ValueError if the grid is empty or does not fall strictly, or a level lies outside (0, 1).
    """
    if not grid or any(a <= b for a, b in itertools.pairwise(grid)):
        raise ValueError("the grid must hold thresholds that fall strictly")
    if not (0 < epsilon < 1 and 0 < delta < 1):
        raise ValueError("epsilon and delta must lie strictly within 0 and 1")
    right, wrong = _levels(judged, agreed=True), _levels(judged, agreed=False)
    passed: Certificate | None = None
    kept, errors, bound, failed = 0, 0, 1.0, None
    for threshold in grid:
        errors = _kept(wrong, threshold)
        kept = errors + _kept(right, threshold)
        bound = upper_bound(errors, kept, delta)
        if bound > epsilon:
            failed = threshold
            break
        passed = Certificate(threshold, kept, errors, len(judged), bound, 0, "", epsilon, delta)
    if passed is None:
        return _refusal(kept, errors, len(judged), bound, epsilon, delta)
    reason = (
        f"{passed.kept} of {passed.n} calibration calls are kept and {passed.errors} of them disagree: "
        f"at most {passed.upper_bound:.1%}, with {100 * (1 - delta):.4g}% confidence."
    )
    return replace(passed, reason=reason, failed=failed)


def early_refusal(
    validation: Sequence[Judged], grid: Sequence[float], *, epsilon: float = EPSILON
) -> Certificate | None:
    """The refusal that is certain enough before any calibration call is asked; None if calibration may pass.

    It refuses if so many of the validation calls that the strictest threshold keeps disagree that their share exceeds ε
    with 97.5% confidence (Clopper–Pearson). It can only refuse, so it costs no part of δ; answering the calibration
    calls takes a third of the time that measuring a specialist takes.
    """
    kept = [j for j in validation if j.kept_at(grid[0])]
    errors = sum(not j.agreed for j in kept)
    if not kept or clopper_pearson(errors, len(kept))[0] <= epsilon:
        return None
    reason = (
        f"At the strictest threshold {len(kept)} of {len(validation)} validation calls are kept and {errors} of them "
        f"disagree: more than the {epsilon:.0%} allowed. More calls alone will not help."
    )
    return Certificate(None, 0, 0, 0, 1.0, 0, reason, epsilon)


def calls_needed(errors: int, epsilon: float = EPSILON, delta: float = DELTA) -> int:
    """The fewest kept calls that certify ε with so many errors: at ε = δ = .05, 59, 93, 124 with 0, 1, 2."""
    return _fewest(lambda n: errors, errors, epsilon, delta) or MOST_CALLS


def _levels(judged: Sequence[Judged], agreed: bool) -> list[float]:
    """The confidences of those that agreed, or did not, highest first: one sort, not a pass for each threshold."""
    found = [j.confidence for j in judged if j.agreed is agreed and j.valid and j.confidence is not None]
    found.sort(reverse=True)
    return found


def _kept(levels: Sequence[float], threshold: float) -> int:
    """How many of these levels (descending) the threshold keeps."""
    return bisect.bisect_left(levels, True, key=lambda level: not keeps(level, threshold))


def _cut(levels: Sequence[float], count: int) -> float:
    """A threshold that keeps the `count` highest of these levels (descending), and those that tie with the last.

    Halfway to the next level, so that the last digits of a log-probability decide nothing.
    """
    if not 0 < count < len(levels):
        return 0.0
    lower = next((level for level in levels[count:] if level < levels[count - 1]), None)
    return 0.0 if lower is None else (levels[count - 1] + lower) / 2


def _refusal(kept: int, errors: int, n: int, bound: float, epsilon: float, delta: float) -> Certificate:
    missing = _missing(kept, errors, n, epsilon, delta)
    seen = f"At the strictest threshold {kept} of {n} calibration calls are kept and {errors} of them disagree"
    if missing:
        reason = f"{seen}: too few to show at most {epsilon:.0%}. Needs {missing} more calibration calls at the least."
    elif kept == 0:
        reason = f"None of {n} answers has the right structure and enough confidence to be kept."
    else:
        reason = f"{seen}: more than the {epsilon:.0%} allowed. More calls alone will not help."
    return Certificate(None, kept, errors, n, bound, missing, reason, epsilon, delta)


def _missing(kept: int, errors: int, n: int, epsilon: float, delta: float) -> int:
    """The calls that are missing if errors stay as frequent as seen; if too few were kept to tell, if none come."""
    least = calls_needed(0, epsilon, delta)
    if kept == 0:
        return max(0, least - n)
    if kept < least:
        needed = _fewest(lambda m: errors, kept, epsilon, delta)
    else:
        needed = _fewest(lambda m: errors / kept * m, kept, epsilon, delta)
    return math.ceil(needed * n / kept) - n if needed else 0


def _fewest(errors: Callable[[int], float], above: int, epsilon: float, delta: float) -> int | None:
    """The smallest n > above with upper_bound(errors(n), n) ≤ ε, by bisection; None beyond MOST_CALLS."""
    low, high = above, above + 1
    while upper_bound(min(errors(high), high), high, delta) > epsilon:
        low, high = high, high * 2
        if high > MOST_CALLS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if upper_bound(errors(middle), middle, delta) > epsilon:
            low = middle
        else:
            high = middle
    return high
