"""The scan of all thresholds: its table, what it certifies, and its promise on draws whose true risk is known."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from protege.certify import Promise, calls_needed, refused_early, scan, table
from protege.evaluate import Judged

PROMISE = Promise()


def judged(confidence: float | None, agreed: bool = True) -> Judged:
    return Judged("c", "", "", "", agreed=agreed, confidence=confidence, valid=confidence is not None)


def calls(right: int, wrong: int = 0, confidence: float = 0.9) -> list[Judged]:
    return [judged(confidence)] * right + [judged(confidence, False)] * wrong


def reached(bounds: tuple[int, ...], n: int, epsilon: Fraction) -> Fraction:
    """The chance that a walk of n calls, each wrong with probability ε, ever reaches a bound: by all its paths."""
    chance, total = {(0, 0): Fraction(1)}, Fraction(0)
    for _ in range(n):
        following: dict[tuple[int, int], Fraction] = {}
        for (right, wrong), p in chance.items():
            for place, q in (((right + 1, wrong), 1 - epsilon), ((right, wrong + 1), epsilon)):
                if place[1] < len(bounds) and place[0] >= bounds[place[1]]:
                    total += p * q
                else:
                    following[place] = following.get(place, Fraction(0)) + p * q
        chance = following
    return total


@pytest.mark.parametrize(
    ("n", "epsilon", "delta"), [(59, 0.05, 0.05), (120, 0.05, 0.05), (60, 0.1, 0.1), (90, 0.2, 0.01)]
)
def test_the_table_is_reached_by_chance_with_probability_delta_at_most(n: int, epsilon: float, delta: float) -> None:
    bounds = table(n, epsilon, delta)
    assert bounds and list(bounds) == sorted(bounds)
    chance = float(reached(bounds, n, Fraction(str(epsilon))))
    assert 0.5 * delta < chance <= delta
    looser = tuple(bound - 1 for bound in bounds)
    assert float(reached(looser, n, Fraction(str(epsilon)))) > chance


def test_the_table_of_known_sizes() -> None:
    assert table(58, 0.05, 0.05) == ()
    assert table(200, 0.05, 0.05) == (75, 111, 144, 173)
    assert table(400, 0.05, 0.05)[:4] == (85, 123, 156, 187)
    assert table(2_000, 0.05, 0.05)[0] == 400, "a fifth of the calls at least"


def test_levels_outside_0_and_1_are_refused() -> None:
    for promise in (Promise(0.0), Promise(1.0), Promise(0.05, 0.0), Promise(0.05, 1.0)):
        with pytest.raises(ValueError, match="strictly within"):
            scan(calls(100), promise)


def test_the_loosest_threshold_that_the_table_allows_is_taken() -> None:
    certificate = scan([*calls(150, 1, 0.9), *calls(40, 1, 0.5), *calls(0, 8, 0.1)], PROMISE)
    assert certificate.threshold == pytest.approx(0.3)
    assert (certificate.kept, certificate.errors, certificate.n, certificate.missing) == (192, 2, 200, 0)
    assert certificate.coverage == 0.96 and "192 of 200 held-out calls are kept and 2 of them" in certificate.reason


def test_a_stray_error_among_the_surest_ends_nothing() -> None:
    certificate = scan([*calls(0, 1, 0.99), *calls(190, 0, 0.9), *calls(0, 9, 0.1)], PROMISE)
    assert certificate.kept == 191


def test_equal_confidences_are_never_parted() -> None:
    assert scan([*calls(80, 10, 0.9), *calls(110, 0, 0.5)], PROMISE).threshold is None
    assert scan(calls(198, 2), PROMISE).threshold == 0.0


def test_answers_that_are_not_valid_are_not_kept_and_count_among_the_calls() -> None:
    certificate = scan([*calls(100), *([judged(None, False)] * 50)], PROMISE)
    assert (certificate.threshold, certificate.kept, certificate.n) == (0.0, 100, 150)
    assert scan([*calls(71), *([judged(None, False)] * 79)], PROMISE).threshold is None, "72 at 150"


def test_the_fewest_calls_are_as_many_as_one_exact_test_needs() -> None:
    needed = calls_needed(0)
    assert scan(calls(needed), PROMISE).threshold == 0.0
    few = scan(calls(needed - 1), PROMISE)
    assert few.threshold is None and few.missing >= 1 and "more held-out calls" in few.reason
    nothing = scan([], PROMISE)
    assert nothing.threshold is None and nothing.missing == needed


def test_the_missing_calls_are_enough_if_things_go_on_as_seen() -> None:
    few = scan(calls(96, 3), PROMISE)
    n = 99 + few.missing
    assert few.threshold is None and few.missing > 0
    wrong = -(-3 * n // 99)
    assert scan(calls(n - wrong, wrong), PROMISE).threshold == 0.0


def test_more_calls_do_not_help_one_that_is_wrong_too_often() -> None:
    certificate = scan(calls(160, 40), PROMISE)
    assert certificate.threshold is None and certificate.missing == 0 and "will not help" in certificate.reason
    assert "will not help" in scan([judged(None, False)] * 200, PROMISE).reason


def test_validation_refuses_only_what_no_threshold_could_save() -> None:
    assert refused_early(calls(40, 20), PROMISE) is not None
    assert refused_early([*calls(20, 0, 0.9), *calls(20, 20, 0.5)], PROMISE) is None
    assert refused_early([], PROMISE) is None
    assert refused_early([judged(None, False)] * 40, PROMISE) is None


def risks(profile: str, n: int) -> np.ndarray:
    """The chance that each of n answers is wrong, surest first. Every threshold's true risk is ε or more."""
    place = (np.arange(n) + 0.5) / n
    return {
        "the same everywhere": np.full(n, 0.05),
        "the surest are worse": np.where(place < 0.3, 0.1, 0.05),
        "rising": np.where(place < 0.5, 0.05, 0.3),
        "low at the end": np.where(place < 0.4, 0.08, 0.031),
    }[profile]


@pytest.mark.parametrize("profile", ["the same everywhere", "the surest are worse", "rising", "low at the end"])
def test_a_threshold_that_breaks_the_promise_is_certified_with_probability_delta_at_most(profile: str) -> None:
    n, runs, random = 150, 4_000, np.random.default_rng(3)
    wrong = random.random((runs, n)) < risks(profile, n)
    bounds = np.full(n + 1, n + 1)
    bounds[: len(table(n, 0.05, 0.05))] = table(n, 0.05, 0.05)
    errors = wrong.cumsum(axis=1)
    broken = ((np.arange(1, n + 1) - errors) >= bounds[errors]).any(axis=1).mean()
    assert broken <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5


def test_a_threshold_is_certified_exactly_where_the_table_says() -> None:
    for right, wrong in itertools.product((72, 108, 139), (0, 1, 2)):
        certified = scan([*calls(right, wrong), *calls(0, 150 - right - wrong, 0.1)], PROMISE).threshold is not None
        assert certified == (right >= table(150, 0.05, 0.05)[wrong])
