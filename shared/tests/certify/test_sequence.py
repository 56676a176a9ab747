"""The threshold and its guarantee, on hand-made calls and on many synthetic draws whose true risk is known."""

from __future__ import annotations

import numpy as np
import pytest
from protege.certify import Certificate, calibrate, calls_needed, early_refusal, grid_from, hindsight_coverage
from protege.evaluate import Judged
from protege.stats.intervals import upper_bound
from scipy.stats import norm

EPSILON = DELTA = 0.05


def judged(confidence: float | None, agreed: bool = True) -> Judged:
    return Judged("c", "", "", "", agreed=agreed, confidence=confidence, valid=confidence is not None)


def calls(right: int, wrong: int = 0, confidence: float = 0.9) -> list[Judged]:
    return [judged(confidence)] * right + [judged(confidence, False)] * wrong


@pytest.mark.parametrize(("errors", "epsilon", "needed"), [(0, 0.05, 59), (1, 0.05, 93), (2, 0.05, 124)])
def test_so_many_calls_are_needed_at_five_percent(errors: int, epsilon: float, needed: int) -> None:
    assert calls_needed(errors, epsilon) == needed
    assert calibrate(calls(needed - errors, errors), (0.5,)).threshold == 0.5
    assert calibrate(calls(needed - errors - 1, errors), (0.5,)).threshold is None


def test_so_many_calls_are_needed_at_one_percent() -> None:
    assert [calls_needed(errors, 0.01) for errors in (0, 1)] == [299, 473]


def test_the_certificate_gives_the_counts_behind_it() -> None:
    found = calibrate([*calls(98, 1), *calls(20, 20, confidence=0.1)], (0.5, 0.0))
    assert found.threshold == 0.5
    assert (found.kept, found.errors, found.n, found.missing) == (99, 1, 139, 0)
    assert found.upper_bound == upper_bound(1, 99, 0.05) <= EPSILON
    assert found.coverage == 99 / 139
    assert found.to_record()["n"] == 139


def test_calibration_is_not_asked_where_validation_alone_tells_that_it_would_fail() -> None:
    refused = early_refusal(calls(30, 10), (0.5, 0.0))
    assert refused is not None
    assert refused.threshold is None and refused.coverage == 0 and "10 of them disagree" in refused.reason
    assert calibrate(calls(300, 100), (0.5, 0.0)).threshold is None


@pytest.mark.parametrize("validation", [calls(38, 2), calls(4, 2), calls(40, 40, 0.3), []])
def test_calibration_is_asked_where_it_may_pass(validation: list[Judged]) -> None:
    # Few errors, too few calls to tell, errors below the strictest threshold only, or no call at all.
    assert early_refusal(validation, (0.5, 0.0)) is None


def test_testing_stops_at_the_first_threshold_that_fails() -> None:
    # At .5 there are 10 errors in 110; at 0, with 1,000 right answers more, the whole would pass again.
    split = [*calls(100), *calls(0, 10, 0.6), *calls(1000, 0, 0.3)]
    assert calibrate(split, (0.8, 0.5, 0.0)).threshold == 0.8
    assert calibrate(split, (0.5, 0.0)).threshold is None


def test_ties_with_the_threshold_are_kept_as_they_are_live() -> None:
    assert calibrate(calls(100, confidence=0.7), (0.7,)).kept == 100


def test_answers_that_are_not_valid_are_not_kept() -> None:
    found = calibrate([*calls(80), *([judged(None, False)] * 20)], (0.0,))
    assert (found.kept, found.errors, found.n) == (80, 0, 100)


def test_too_few_calls_say_how_many_are_missing() -> None:
    found = calibrate(calls(40), (0.0,))
    assert found.threshold is None and found.missing == 19
    assert "19 more" in found.reason
    assert calibrate([], (0.0,)).missing == 59
    one_error = calibrate([*calls(39, 1), *calls(40, 0, 0.1)], (0.5,))
    assert one_error.missing == 2 * 93 - 80  # half of what comes is kept at this threshold
    assert calibrate(calls(60, 1), (0.0,)).missing > 0


def test_the_missing_calls_are_enough_where_things_go_on_as_seen() -> None:
    found = calibrate(calls(97, 3), (0.0,))
    assert found.threshold is None
    n = 100 + found.missing
    assert calibrate(calls(n - int(0.03 * n), int(0.03 * n)), (0.0,)).threshold == 0.0


def test_too_many_errors_say_that_more_calls_do_not_help() -> None:
    found = calibrate(calls(80, 20), (0.0,))
    assert found.threshold is None and found.missing == 0
    assert "will not help" in found.reason
    assert calibrate([judged(None, False)] * 200, (0.0,)).missing == 0


def test_a_grid_that_is_none_is_refused() -> None:
    for grid in ((), (0.5, 0.5), (0.1, 0.5)):
        with pytest.raises(ValueError, match="grid"):
            calibrate(calls(100), grid)
    for level in (0.0, 1.0):
        with pytest.raises(ValueError, match="epsilon"):
            calibrate(calls(100), (0.5,), epsilon=level)


def test_the_grid_falls_to_zero_and_starts_where_a_test_can_pass() -> None:
    validation = [judged((i + 1) / 100) for i in range(100)]
    grid = grid_from(validation, calibration_calls=260)
    assert grid[-1] == 0.0 and list(grid) == sorted(set(grid), reverse=True)
    assert sum(j.kept_at(grid[0]) for j in validation) == 70  # 181 of 260 calls
    assert sum(j.kept_at(grid_from(validation, calibration_calls=600)[0]) for j in validation) == 40
    assert sum(j.kept_at(grid_from(validation, calibration_calls=100)[0]) for j in validation) == 85
    assert sum(j.kept_at(grid_from(validation)[0]) for j in validation) == 60


def test_the_grid_stands_between_confidences_and_never_parts_equal_ones() -> None:
    assert grid_from([judged(1.0)] * 70 + [judged(0.5)] * 30)[0] == 0.75
    assert grid_from([judged(0.9)] * 100) == (0.0,)
    assert grid_from([]) == (0.0,)
    assert grid_from([judged(None, False)] * 90 + [judged(0.5)] * 10) == (0.0,)


def test_hindsight_takes_the_best_of_all_thresholds() -> None:
    split = [*calls(50, 0, 0.9), *calls(0, 10, 0.8), *calls(200, 0, 0.7), *calls(0, 40, 0.1)]
    assert hindsight_coverage(split) == 260 / 300
    assert hindsight_coverage(split, 0.01) == 50 / 300
    assert hindsight_coverage([]) == 0.0
    assert hindsight_coverage([*calls(1, 1, 0.5)]) == 0.0  # one tie of two cannot be parted


# The guarantee, by simulation: confidences are scores of right and wrong answers, a tenth of these as high as the
# right ones, so that the true disagreement above each threshold has a closed form.


class World:
    def __init__(self, error: float, auroc: float, seed: int) -> None:
        self.error, self.shift = error, norm.ppf(auroc) * 2**0.5
        self.random = np.random.default_rng(seed)

    def draw(self, n: int) -> list[Judged]:
        wrong = self.random.random(n) < self.error
        low = wrong & (self.random.random(n) >= 0.1)
        score = norm.cdf(self.random.normal(size=n) - self.shift * low)
        return [judged(float(s), not w) for s, w in zip(score, wrong, strict=True)]

    def risk(self, threshold: float) -> float:
        cut = norm.ppf(threshold)
        right = (1 - self.error) * norm.sf(cut)
        wrong = self.error * (0.1 * norm.sf(cut) + 0.9 * norm.sf(cut + self.shift))
        return float(wrong / (right + wrong)) if right + wrong else 0.0


def broken(found: list[Certificate], world: World) -> float:
    """The share of certificates whose true risk exceeds ε."""
    return sum(c.threshold is not None and world.risk(c.threshold) > EPSILON for c in found) / len(found)


@pytest.mark.parametrize(("error", "auroc"), [(0.06, 0.5), (0.08, 0.9), (0.15, 0.95)])
def test_the_guarantee_is_broken_no_more_often_than_delta(error: float, auroc: float) -> None:
    world, draws = World(error, auroc, seed=1), 400
    found = [calibrate(world.draw(260), grid_from(world.draw(48), calibration_calls=260)) for _ in range(draws)]
    slack = 3 * (DELTA * (1 - DELTA) / draws) ** 0.5
    assert broken(found, world) <= DELTA + slack


def test_taking_the_best_of_all_thresholds_would_break_the_guarantee() -> None:
    world = World(0.0505, 0.5, seed=2)  # confidence tells nothing: every threshold has a risk just above ε
    every = (*(round(0.95 - i * 0.02, 2) for i in range(47)), 0.0)
    scanned: list[Certificate] = []
    tested: list[Certificate] = []
    for _ in range(200):
        split = world.draw(600)
        scanned.append(max((calibrate(split, (threshold,)) for threshold in every), key=lambda c: c.coverage))
        tested.append(calibrate(split, every[every.index(0.49) :]))
    assert broken(scanned, world) > 2 * DELTA
    assert broken(tested, world) <= DELTA + 3 * (DELTA * (1 - DELTA) / 200) ** 0.5


def test_a_good_specialist_is_certified_for_most_of_its_calls() -> None:
    world = World(0.025, 0.98, seed=3)
    coverage = [
        calibrate(world.draw(260), grid_from(world.draw(48), calibration_calls=260)).coverage for _ in range(60)
    ]
    assert np.median(coverage) >= 0.85
