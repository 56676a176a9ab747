"""A promise of all calls beside that of the kept ones: which thresholds keep both, and how it may not be broken."""

from __future__ import annotations

import numpy as np
import pytest
from protege.certify import Promise, most_wrong, scan, table
from protege.evaluate import Judged
from protege.specialist import promised
from scipy.stats import binom

BOTH = Promise(0.10, 0.05, of_all=0.05)


def judged(agreed: bool, confidence: float | None) -> Judged:
    return Judged("", "", "", "", agreed=agreed, confidence=confidence, valid=confidence is not None)


@pytest.mark.parametrize(
    ("n", "epsilon", "delta"), [(50, 0.05, 0.05), (73, 0.05, 0.025), (200, 0.05, 0.025), (400, 0.02, 0.01)]
)
def test_the_most_wrong_answers_are_the_most_that_the_exact_test_allows(n: int, epsilon: float, delta: float) -> None:
    most = most_wrong(n, epsilon, delta)
    assert binom.cdf(most + 1, n, epsilon) > delta
    assert most == -1 or binom.cdf(most, n, epsilon) <= delta


def test_the_stricter_of_the_two_bounds_decides() -> None:
    """Of 300 calls the surest half is right, and of the others one in ten is wrong: few of the kept, many of all."""
    calls = [judged(i < 150 or i % 10 != 9, 1 - i / 1_000) for i in range(300)]
    kept, both = scan(calls, Promise(0.10, 0.025)), scan(calls, BOTH)
    assert (kept.kept, kept.errors) == (300, 15)
    assert both.errors == most_wrong(300, 0.05, 0.025) < 15 and both.kept == 150 + 10 * both.errors + 9
    assert (both.epsilon, both.epsilon_all, both.delta) == (0.10, 0.05, 0.05)
    words = "at most 10.0%, and at most 5.0% of all calls are kept and disagree, with 95% confidence."
    assert both.reason.endswith(words) and promised(0.10, 0.05, 0.05) + "." == words
    assert "of all calls" not in kept.reason


def test_each_bound_has_half_of_delta_and_answers_handed_back_count_among_all_calls() -> None:
    rights = [judged(True, 0.9)] * 60
    assert scan(rights, BOTH).threshold is None  # .95 ** 60 > .025
    assert scan([*rights, *[judged(False, None)] * 20], BOTH).threshold == 0.0
    assert scan(rights, Promise(0.10, 0.05)).threshold == 0.0


def test_the_refusal_tells_how_many_calls_are_missing_for_both() -> None:
    found = scan([judged(True, 0.9)] * 60, BOTH)
    assert found.threshold is None and 12 <= found.missing <= 25


@pytest.mark.parametrize("risk", [(0.101, 0.5), (0.051, 1.0)])
def test_neither_bound_is_broken_more_often_than_delta(risk: tuple[float, float]) -> None:
    """Answers that are wrong with this probability whatever their confidence, and this share of the calls answered."""
    wrong_share, coverage = risk
    random, n, runs = np.random.default_rng(1), 200, 3_000
    answered = random.random((runs, n)) < coverage
    wrong = (answered & (random.random((runs, n)) < wrong_share)).cumsum(axis=1)
    right = answered.cumsum(axis=1) - wrong
    bounds = np.full(n + 1, n + 1)
    needed = table(n, BOTH.epsilon, BOTH.delta_each)
    bounds[: len(needed)] = needed
    passes = (right >= bounds[wrong]) & (wrong <= most_wrong(n, 0.05, BOTH.delta_each))
    broken = passes & (wrong_share * np.arange(1, n + 1) / n * coverage > 0.05) if wrong_share < 0.1 else passes
    assert broken.any(axis=1).mean() <= 0.05 + 3 * (0.05 * 0.95 / runs) ** 0.5
