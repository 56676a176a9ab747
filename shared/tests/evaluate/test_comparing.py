"""Two specialists on the same calls."""

from __future__ import annotations

import json
import math
import random

import pytest
from protege.errors import BadInput
from protege.evaluate import Judged, compare
from protege.evaluate.comparing import mcnemar
from protege.stats.intervals import clopper_pearson, difference, paired_difference, wilson


def judged(call_id: str, agreed: bool, confidence: float = 0.5, latency_ms: float | None = 10.0) -> Judged:
    answer = "yes" if agreed else "no"
    return Judged(call_id, f"p{call_id}", answer, "yes", agreed, confidence, valid=True, latency_ms=latency_ms)


def split(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[Judged], list[Judged]]:
    sorts = [(True, True)] * both + [(True, False)] * only_first + [(False, True)] * only_second
    sorts += [(False, False)] * neither
    first = [judged(str(i), a) for i, (a, _) in enumerate(sorts)]
    return first, [judged(str(i), b, latency_ms=30.0) for i, (_, b) in enumerate(sorts)]


def test_calls_are_paired_by_id_whatever_their_order() -> None:
    first, second = split(80, 12, 3, 5)
    found = compare(first, second[::-1])
    assert (found.n, found.both, found.only_first, found.only_second, found.neither) == (100, 80, 12, 3, 5)
    assert (found.first, found.second) == (0.92, 0.83)
    assert found.first_interval == clopper_pearson(92, 100)
    assert found.difference == pytest.approx(0.09)
    assert found.interval == paired_difference(80, 12, 3, 5)
    assert found.interval[0] > 0 and found.p_value < 0.05
    assert found.latency_ms == -20
    assert found == compare(first, second)


def test_what_only_one_was_asked_is_left_out_and_nothing_in_common_is_an_error() -> None:
    first, second = split(4, 0, 0, 0)
    assert compare(first[:3], second[1:]).left_out == 2
    with pytest.raises(BadInput, match="no call in common"):
        compare(first[:2], second[2:])
    with pytest.raises(BadInput):
        compare([], [])


def test_examples_are_where_they_part_those_first_that_the_other_was_surest_of() -> None:
    first = [judged("1", True), judged("2", True), judged("3", False, 0.7), judged("4", True)]
    second = [judged("1", False, 0.2), judged("2", False, 0.9), judged("3", True), judged("4", True)]
    assert [(e.agreed, e.prompt) for e in compare(first, second).examples] == [
        ("first", "p2"),
        ("first", "p1"),
        ("second", "p3"),
    ]


def test_the_record_is_json() -> None:
    record = json.loads(json.dumps(compare(*split(3, 1, 1, 0)).to_record()))
    assert record["n"] == 5 and len(record["examples"]) == 2


def test_mcnemar_is_the_exact_binomial_over_the_pairs_that_differ() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(3, 3) == 1
    assert mcnemar(0, 5) == pytest.approx(2 / 2**5)
    assert mcnemar(1, 9) == mcnemar(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)


def test_wilson_solves_the_score_equation() -> None:
    for successes, n in ((0, 10), (3, 10), (81, 263), (10, 10)):
        for bound in wilson(successes, n):
            if 0 < bound < 1:
                z = (successes / n - bound) / math.sqrt(bound * (1 - bound) / n)
                assert abs(z) == pytest.approx(1.959964, abs=1e-5)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == 1
    assert wilson(0, 0) == (0, 1)
    with pytest.raises(ValueError, match="successes"):
        wilson(3, 2)


def test_the_difference_of_two_samples_is_newcombes() -> None:
    low, high = difference((56, 70), (48, 80))  # Newcombe 1998, table II, (a), method 10
    assert (low, high) == (pytest.approx(0.0524, abs=1e-4), pytest.approx(0.3339, abs=1e-4))
    assert difference((48, 80), (56, 70)) == (pytest.approx(-high), pytest.approx(-low))
    assert difference((0, 0), (1, 2)) == (-1, 1)
    assert difference((10, 10), (0, 10))[1] == 1


def test_the_paired_difference_uses_that_answers_go_together() -> None:
    # Altman and others, "Statistics with confidence", 2nd edition (2000), table 6.2
    assert paired_difference(14, 5, 0, 22) == (pytest.approx(0.011, abs=1e-3), pytest.approx(0.226, abs=1e-3))
    low, high = paired_difference(80, 10, 4, 6)
    assert low < 0.06 < high
    assert paired_difference(80, 4, 10, 6) == (pytest.approx(-high), pytest.approx(-low))
    independent = difference((90, 100), (84, 100))
    assert high - low < independent[1] - independent[0]
    assert paired_difference(0, 0, 0, 0) == (-1, 1)
    assert paired_difference(10, 0, 0, 0) == (pytest.approx(-wilson(0, 10)[1]), pytest.approx(wilson(0, 10)[1]))
    with pytest.raises(ValueError, match="negative"):
        paired_difference(1, -1, 0, 0)


def test_the_paired_interval_holds_the_true_difference_about_as_often_as_it_says() -> None:
    drawn = random.Random(7)
    held = 0
    for _ in range(400):
        sorts = drawn.choices(range(4), weights=(0.8, 0.1, 0.04, 0.06), k=150)
        low, high = paired_difference(*(sorts.count(i) for i in range(4)))
        held += low <= 0.06 <= high
    assert held / 400 > 0.93
