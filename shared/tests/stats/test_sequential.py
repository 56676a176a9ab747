"""Tests that may be looked at after every call: they promise little, and keep it."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
from protege.stats.sequential import ABOVE, BELOW, Alarm, answers_needed, shown_below

EPSILON = 0.05


def stream(share: float, n: int, seed: int) -> list[bool]:
    chance = random.Random(seed)
    return [chance.random() < share for _ in range(n)]


def levels(disagreed: list[bool]) -> list[float]:
    alarm, found = Alarm(EPSILON), list[float]()
    for one in disagreed:
        alarm = alarm.after(one)
        found.append(alarm.level)
    return found


def test_no_bet_is_expected_to_gain_where_its_hypothesis_holds() -> None:
    """Exactly, at ε: what makes both of them e-processes. Below ε a bet on more loses, above ε one on less."""
    for share in BELOW:
        q = EPSILON * share
        gain = EPSILON * q / EPSILON + (1 - EPSILON) * (1 - q) / (1 - EPSILON)
        assert gain == pytest.approx(1.0)
    for share in ABOVE:
        q = EPSILON + (1 - EPSILON) * share
        for p in (0.0, 0.02, EPSILON):
            assert p * q / EPSILON + (1 - p) * (1 - q) / (1 - EPSILON) <= 1 + 1e-12


def test_evidence_without_mistakes_is_the_product_of_the_likelihood_ratios() -> None:
    n = 70
    exact = sum(
        (Fraction(1) - Fraction(share).limit_denominator(100) * Fraction(1, 20)) ** n / Fraction(19, 20) ** n
        for share in BELOW
    ) / len(BELOW)
    assert shown_below([False] * n, EPSILON) == pytest.approx(float(exact))


@pytest.mark.parametrize(("n", "enough"), [(74, False), (75, True)])
def test_seventy_five_calls_without_a_mistake_show_it_at_one_in_twenty(n: int, enough: bool) -> None:
    assert (shown_below([False] * n, EPSILON) >= 20) is enough


def test_nothing_seen_shows_nothing() -> None:
    assert shown_below([], EPSILON) == 1.0
    assert Alarm(EPSILON).level == 0.0


def test_of_those_that_disagree_too_often_few_ever_pass_however_often_one_looks() -> None:
    """Looked at after each of 600 calls: at most δ of 400 pass, within chance (24 are the 80th percentile at δ)."""
    passed = sum(shown_below(stream(EPSILON, 600, seed), EPSILON) >= 20 for seed in range(400))
    assert passed <= 24


def test_false_alarms_are_as_rare_as_promised() -> None:
    """The mean of the detector is at most the number of calls; so few of 300 streams of 300 calls reach 3,000."""
    highest = [max(levels(stream(EPSILON, 300, seed))) for seed in range(300)]
    assert sum(level >= 3_000 for level in highest) <= 30
    assert sum(level >= 50_000 for level in highest) <= 3


@pytest.mark.parametrize(("share", "within"), [(0.2, 120), (0.5, 25), (1.0, 12)])
def test_a_jump_is_found_soon_after_a_long_good_time(share: float, within: int) -> None:
    late = 0
    for seed in range(60):
        found = levels(stream(0.02, 500, seed) + stream(share, 3 * within, 1000 + seed))[500:]
        at = next((place for place, level in enumerate(found) if level >= 50_000), len(found))
        late += at > within
    assert late <= 12


def test_the_detector_forgets_and_never_overflows() -> None:
    risen = levels([True] * 2_000)
    assert all(a <= b for a, b in itertools.pairwise(risen)) and risen[-1] < float("inf")
    assert levels([True] * 5 + [False] * 500)[-1] < 30


@pytest.mark.parametrize("disagreed", [0, 1, 3])
def test_the_answers_needed_are_those_after_which_it_is_shown(disagreed: int) -> None:
    so_far = [True] * disagreed + [False] * 20
    needed = answers_needed(so_far, EPSILON, 20, 0.0, 2_000)
    assert needed is not None
    whole = so_far + [False] * (needed - len(so_far))
    assert shown_below(whole, EPSILON) >= 20 > shown_below(whole[:-1], EPSILON)


def test_answers_that_disagree_too_often_are_never_enough() -> None:
    assert answers_needed([], EPSILON, 20, 0.06, 2_000) is None
    assert answers_needed([], EPSILON, 20, 0.01, 100) is None
    assert answers_needed([], EPSILON, 20, 0.01, 2_000) == 129
