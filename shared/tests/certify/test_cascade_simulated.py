"""The promise of two together, on pools of calls whose true answers are known: of all that they keep, at most ε."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from protege.certify import Certificate, calibrate, grid_from
from protege.evaluate import Judged
from protege.loop.cascade import is_handed_on

EPSILON = DELTA = 0.05
RUNS, SIZE, VALIDATION, CALIBRATION = 250, 10_000, 150, 700

Pair = tuple[Judged, Judged]
Chances = Callable[[float, bool], tuple[float, float]]
"""A call's hardness (0 to 1), whether the first is wrong: how sure the second is, and its chance to be wrong."""


def alike(hard: float, wrong: bool) -> tuple[float, float]:
    """The second is right about more, and wrong more often where the first is."""
    return 1 - hard, 0.08 if wrong else 0.01 * hard


def opposite(hard: float, wrong: bool) -> tuple[float, float]:
    """The second is wrong only where the first is right."""
    return 1 - hard, 0.0 if wrong else 0.02 * hard


def flat(hard: float, wrong: bool) -> tuple[float, float]:
    """Just as wrong as is not allowed, and its confidence tells nothing."""
    return (hard * 7919) % 1, 0.0505


def judged(number: int, confidence: float | None, agreed: bool) -> Judged:
    return Judged(f"c{number}", "", "", "", agreed, confidence, valid=confidence is not None, latency_ms=1.0)


def pool_of(chances: Chances, chance: random.Random) -> list[Pair]:
    """A first specialist that is wrong about half of its hardest calls, and gives no answer to 3%; and the second."""
    pool: list[Pair] = []
    for number in range(SIZE):
        hard = chance.random()
        wrong = chance.random() < 0.5 * hard**3
        sure, risk = chances(hard, wrong)
        first = judged(number, None if chance.random() < 0.03 else 1 - hard, not wrong)
        pool.append((first, judged(number, sure, chance.random() >= risk)))
    return pool


def certified(validation: list[Judged], calibration: list[Judged]) -> Certificate:
    grid = grid_from(validation, calibration_calls=len(calibration), epsilon=EPSILON, delta=DELTA / 2)
    return calibrate(calibration, grid, epsilon=EPSILON, delta=DELTA / 2)


def wrong_and_kept(pool: list[Pair], first: Certificate, second: Certificate | None) -> tuple[int, int]:
    """Of the whole pool: how many answers of the two are kept, and how many of these disagree."""
    kept: list[bool] = []
    for one, other in pool:
        if first.threshold is not None and one.kept_at(first.threshold):
            kept.append(one.agreed)
        elif second is not None and second.threshold is not None and other.kept_at(second.threshold):
            kept += [other.agreed] if is_handed_on(one, first.failed or 0.0) else []
    return kept.count(False), len(kept)


@pytest.mark.parametrize("chances", [alike, opposite, flat])
def test_of_all_that_both_keep_more_than_epsilon_disagree_as_seldom_as_promised(chances: Chances) -> None:
    chance = random.Random(chances.__name__)
    pool = pool_of(chances, chance)
    broken = seconds = 0
    for _ in range(RUNS):
        validation, calibration = chance.choices(pool, k=VALIDATION), chance.choices(pool, k=CALIBRATION)
        first = certified([one for one, _ in validation], [one for one, _ in calibration])
        second = None
        if first.threshold is not None:
            below = first.failed or 0.0
            validated = [other for one, other in validation if is_handed_on(one, below)]
            second = certified(validated, [other for one, other in calibration if is_handed_on(one, below)])
            seconds += second.threshold is not None
        wrong, kept = wrong_and_kept(pool, first, second)
        broken += wrong > EPSILON * kept
    assert broken / RUNS <= DELTA + 3 * (DELTA * (1 - DELTA) / RUNS) ** 0.5
    if chances is not flat:
        assert seconds > RUNS / 4, "the second answers, so that there is something to break"
