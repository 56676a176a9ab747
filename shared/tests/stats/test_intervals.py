from __future__ import annotations

import pytest
from protege.stats.intervals import clopper_pearson, upper_bound


@pytest.mark.parametrize(
    ("errors", "n", "low", "high"),
    [  # Clopper and Pearson's interval as R's binom.test prints it
        (0, 10, 0.0, 0.3084971),
        (2, 20, 0.01234853, 0.3169827),
        (5, 10, 0.187086, 0.812914),
        (10, 10, 0.6915029, 1.0),
        (1, 1, 0.025, 1.0),
    ],
)
def test_the_interval_is_the_exact_one(errors: int, n: int, low: float, high: float) -> None:
    assert clopper_pearson(errors, n) == pytest.approx((low, high), abs=1e-6)


def test_nothing_seen_says_nothing() -> None:
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    assert upper_bound(0, 0, 0.05) == 1.0


def test_the_upper_bound_is_the_level_at_which_the_binomial_test_turns() -> None:
    from scipy.stats import binom

    for errors, n in ((0, 59), (1, 93), (2, 124), (7, 260)):
        bound = upper_bound(errors, n, 0.05)
        assert binom.cdf(errors, n, bound) == pytest.approx(0.05)


@pytest.mark.parametrize(("errors", "n", "delta"), [(-1, 5, 0.1), (6, 5, 0.1), (1, 5, 0), (1, 5, 1)])
def test_what_makes_no_sense_is_refused(errors: int, n: int, delta: float) -> None:
    with pytest.raises(ValueError, match="errors"):
        upper_bound(errors, n, delta)
