"""The guarantee on pools of answers whose true risk is known, and the sorted calibration beside a plain one."""

from __future__ import annotations

import random
from itertools import accumulate

import pytest
from protege.certify import Certificate, calibrate, grid_from
from protege.evaluate import Judged
from protege.stats.intervals import upper_bound

EPSILON = DELTA = 0.05
RUNS, SIZE = 300, 20_000

# Up to which share of the answers, from the surest on, and at what risk.
WORLDS: dict[str, list[tuple[float, float]]] = {
    "flat just above": [(1.0, 0.0505)],
    "rises late": [(0.7, 0.01), (1.0, 0.4)],
    "confidently wrong": [(0.15, 0.15), (0.8, 0.015), (1.0, 0.5)],
    "not monotone": [(0.3, 0.02), (0.5, 0.15), (0.8, 0.01), (1.0, 0.2)],
}


def judged(confidence: float | None, agreed: bool) -> Judged:
    return Judged("c", "", "", "", agreed=agreed, confidence=confidence, valid=confidence is not None)


def pool_of(steps: list[tuple[float, float]]) -> tuple[list[Judged], list[float]]:
    """The answers, the surest first, and the true risk of keeping the first 1, 2, … of them."""
    risks = [next(risk for until, risk in steps if i < until * SIZE) for i in range(SIZE)]
    wrongs = [-int(-total // 1) for total in accumulate(risks)]  # rounded up: no prefix looks better than it is
    flags = [now > before for before, now in zip([0, *wrongs], wrongs, strict=False)]
    pool = [judged(1 - i / SIZE, not wrong) for i, wrong in enumerate(flags)]
    return pool, [wrong / (i + 1) for i, wrong in enumerate(wrongs)]


@pytest.mark.parametrize("name", WORLDS)
def test_the_guarantee_holds_whatever_the_confidence_is_worth(name: str) -> None:
    pool, risks = pool_of(WORLDS[name])
    chance = random.Random(name)
    broken = 0
    for _ in range(RUNS):
        grid = grid_from(chance.choices(pool, k=93), calibration_calls=500)
        threshold = calibrate(chance.choices(pool, k=500), grid).threshold
        if threshold is not None:
            kept = sum(one.kept_at(threshold) for one in pool)
            broken += risks[kept - 1] > EPSILON
    assert broken / RUNS <= DELTA + 3 * (DELTA * (1 - DELTA) / RUNS) ** 0.5


def plainly(split: list[Judged], grid: tuple[float, ...], epsilon: float) -> tuple[float | None, int, int]:
    """Threshold, kept and errors, by a pass over all calls for each threshold."""
    passed: tuple[float | None, int, int] | None = None
    for threshold in grid:
        kept = [one for one in split if one.kept_at(threshold)]
        errors = sum(not one.agreed for one in kept)
        if upper_bound(errors, len(kept), DELTA) > epsilon:
            return passed or (None, len(kept), errors)
        passed = (threshold, len(kept), errors)
    assert passed is not None
    return passed


def test_calibration_by_sorting_gives_what_a_pass_for_each_threshold_gives() -> None:
    chance = random.Random(7)
    outcomes: set[bool] = set()
    for _ in range(300):
        digits = chance.choice([1, 2, 9])  # few digits: many ties, with the thresholds too
        bend = chance.choice([0.05, 0.2, 1.0])
        split: list[Judged] = []
        for _ in range(chance.randint(0, 400)):
            confidence = round(chance.random() ** bend, digits)
            agreed = chance.random() > chance.choice([0.02, 0.3 * (1 - confidence)])
            split.append(judged(confidence, agreed) if chance.random() < 0.95 else judged(None, False))
        grid = tuple(sorted({0.0, *(round(chance.random(), digits) for _ in range(10))}, reverse=True))
        found = calibrate(split, grid, epsilon=0.1)
        assert (found.threshold, found.kept, found.errors) == plainly(split, grid, 0.1)
        assert found.n == len(split) and isinstance(found, Certificate)
        outcomes.add(found.threshold is None)
    assert outcomes == {True, False}
