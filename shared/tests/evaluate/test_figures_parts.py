"""Where a specialist is weak, in what its answers differ, and what its confidence is worth."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from protege import Call
from protege.evaluate import Judged, evaluate
from protege.evaluate.differences import Confusion, FieldDifference, confusions, field_differences, tools_called
from protege.evaluate.figures import aurc
from protege.evaluate.graders import Exact
from protege.evaluate.reliability import reliability
from protege.evaluate.slices import OTHERS, slices
from protege.stats.intervals import clopper_pearson
from protege.task import Example

DAY_S = 86_400.0


ids = itertools.count()


def judged(answer: str, teacher: str, confidence: float | None = 0.9, call_id: str = "") -> Judged:
    valid, call_id = confidence is not None, call_id or f"c{next(ids)}"
    return Judged(call_id, "p", answer, teacher, agreed=valid and answer == teacher, confidence=confidence, valid=valid)


def sure(confidence: float | None, agreed: bool) -> Judged:
    return judged("yes" if agreed else "no", "yes", confidence)


def row(call_id: str, text: str = "x", **known: Any) -> Example:
    record = {"id": call_id, "messages": [{"role": "user", "content": text}], **known}
    return Example(call_id, Call.from_record(record), "")


# Confidence


def test_the_area_under_the_curve_is_the_mean_risk_of_those_as_sure_or_surer() -> None:
    split = [sure(0.9, True), sure(0.8, False), sure(0.7, True), sure(None, False)]
    assert aurc(split) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)
    assert aurc([sure(0.9, True), sure(0.1, True)]) == 0
    assert aurc([sure(0.5, True), sure(0.5, False)]) == 0.5, "ties come together, in whatever order they stand"
    assert aurc([sure(None, False)]) is None


def test_bins_have_equal_counts_and_exact_intervals() -> None:
    found = reliability([sure((i + 1) / 200, i % 2 == 0) for i in range(200)])
    assert found is not None
    assert [b.n for b in found.bins] == [20] * 10
    assert found.bins[0].confidence == pytest.approx(10.5 / 200)
    assert found.bins[0].agreement == 0.5
    assert found.bins[0].interval == clopper_pearson(10, 20)
    assert found.ece == pytest.approx(sum(abs(b.confidence - 0.5) for b in found.bins) / 10)


def test_equal_confidences_share_a_bin_whatever_their_order() -> None:
    split = [*(sure(1.0, i < 40) for i in range(50)), *(sure(i / 100, True) for i in range(50))]
    found = reliability(split)
    assert found is not None
    assert found.bins[-1].n == 50
    assert found.bins[-1].agreement == 0.8
    assert all(b.n == 10 for b in found.bins[:-1])
    assert reliability(split[::-1]) == found


def test_brier_and_ece_are_zero_where_confidence_came_true_and_none_without_an_answer() -> None:
    found = reliability([sure(1.0, True), sure(0.0, False), sure(None, False)])
    assert found is not None
    assert (found.ece, found.brier) == (0, 0)
    assert reliability([]) is None
    assert reliability([sure(None, False)]) is None


# Kinds of call


def by(kind: str, judged: Sequence[Judged], rows: Sequence[Example] = ()) -> dict[str, tuple[int, int]]:
    return {s.value: (s.n, s.agreed) for s in slices(judged, rows) if s.by == kind}


def test_labels_are_sliced_the_largest_first() -> None:
    split = [*(judged("a", "a") for _ in range(5)), *(judged("a", "b") for _ in range(2)), judged("b", "b")]
    assert list(by("answer", split).items()) == [("a", (5, 5)), ("b", (3, 1))]
    [first, _] = slices(split)
    assert (first.agreement, first.interval) == (1.0, clopper_pearson(5, 5))


def test_many_labels_leave_the_rare_ones_together() -> None:
    split = [judged(f"{i:02}", f"{i:02}") for i in range(20) for _ in range(21 - i)]
    found = by("answer", split)
    assert len(found) == 13
    assert list(found)[-1] == OTHERS
    assert sum(n for n, _ in found.values()) == len(split)


def test_answers_that_do_not_repeat_or_are_all_one_are_no_slices() -> None:
    assert by("answer", [judged(str(i), str(i)) for i in range(10)]) == {}
    assert by("answer", [judged("a", "a") for _ in range(10)]) == {}
    assert slices([]) == ()


def test_tool_calls_are_sliced_by_the_tools() -> None:
    call = json.dumps({"name": "find", "arguments": {"q": "x"}})
    two = json.dumps([{"name": "b", "arguments": {}}, {"name": "a", "arguments": {}}])
    assert by(
        "answer", [judged(call, call), judged("no", call), judged("In words.", "In words."), judged(two, two)]
    ) == {
        "find": (2, 1),
        "a + b": (1, 1),
        "no tool": (1, 1),
    }


def test_length_is_sliced_by_quartiles_in_their_order() -> None:
    split = [judged("a", "a" if i < 6 else "b", call_id=str(i)) for i in range(8)]
    found = by("length", split, [row(str(i), "x" * (10 * i + 10)) for i in range(8)])
    assert list(found.values()) == [(2, 2), (2, 2), (2, 2), (2, 0)]
    assert next(iter(found)).startswith("1: 10–")
    assert by("length", split, [row(str(i), "same") for i in range(8)]) == {}


def test_node_agent_and_framework_are_sliced_where_they_are_known() -> None:
    split = [judged("a", "a", call_id=str(i)) for i in range(4)]
    rows = [row("0", node=["desk", "sort"], agent="one"), row("1", node=["desk", "file"], agent="two"), row("2")]
    assert by("node", split, rows) == {"desk/sort": (1, 1), "desk/file": (1, 1)}
    assert by("agent", split, rows) == {"one": (1, 1), "two": (1, 1)}
    assert by("framework", split, rows) == {}


def test_time_is_sliced_by_day_and_over_two_weeks_by_week() -> None:
    split = [judged("a", "a", call_id=str(i)) for i in range(3)]
    days = by("time", split, [row(str(i), time=DAY_S * i) for i in range(3)])
    assert list(days) == ["1970-01-01", "1970-01-02", "1970-01-03"]
    weeks = by("time", split, [row(str(i), time=DAY_S * 10 * i) for i in range(3)])
    assert list(weeks) == ["week of 1969-12-29", "week of 1970-01-05", "week of 1970-01-19"]
    assert by("time", split, [row(str(i)) for i in range(3)]) == {}


# Differences


def test_confusions_count_what_was_given_for_what() -> None:
    split = [
        *(judged("a", "a") for _ in range(6)),
        *(judged("a", "b") for _ in range(2)),
        judged("b", "a"),
        judged("c", "a", None),
    ]
    assert confusions(split) == (Confusion("b", "a", 2), Confusion("a", "b", 1))


@pytest.mark.parametrize("teacher", ['{"a": 1}', "two\nlines", "x" * 81])
def test_what_is_no_label_has_no_confusions(teacher: str) -> None:
    assert confusions([judged("a", teacher)] * 9) == ()


def test_fields_are_missing_extra_or_different() -> None:
    split = [
        judged('{"a": 1, "b": {"c": "x"}}', '{"a": 1.0, "b": {"c": "x"}}'),
        judged('{"a": true, "b": {"c": "x"}}', '{"a": 1, "b": {"c": "y"}}'),
        judged('{"a": 1, "d": []}', '{"a": 1, "b": {"c": "x"}}'),
        judged("not JSON", '{"a": 1}', None),
    ]
    assert field_differences(split) == (
        FieldDifference("b.c", calls=3, missing=1, different=1),
        FieldDifference("a", calls=3, different=1),
        FieldDifference("d", calls=1, extra=1),
    )


def test_items_of_a_list_are_one_field() -> None:
    [found] = field_differences([judged('{"items": [{"n": 1}, {"n": 3}]}', '{"items": [{"n": 1}, {"n": 2}]}')])
    assert found == FieldDifference("items[].n", calls=1, different=1)
    [shorter] = field_differences([judged('{"items": [1]}', '{"items": [1, 2]}')])
    assert shorter == FieldDifference("items[]", calls=1, missing=1)


def test_arguments_are_told_by_their_tool_in_whatever_order_tools_are_called() -> None:
    def call(name: str, **arguments: Any) -> dict[str, Any]:
        return {"name": name, "arguments": arguments}

    def one(mine: Any, theirs: Any) -> list[FieldDifference]:
        return list(field_differences([judged(json.dumps(mine), json.dumps(theirs))]))

    assert one([call("b"), call("a", x=1)], [call("a", x=1), call("b")]) == []
    assert one(call("find", q="x", n=2), call("find", q="y", n=2)) == [FieldDifference("find.q", calls=1, different=1)]
    assert {(f.field, f.missing, f.extra) for f in one(call("a"), call("b"))} == {("a", 0, 1), ("b", 1, 0)}


def test_numbers_beyond_64_bits_stay_different_and_deep_nesting_is_no_error() -> None:
    [found] = field_differences([judged('{"a": 123456789012345678901}', '{"a": 123456789012345678902}')])
    assert found.different == 1
    assert field_differences([judged("[" * 100_000, "[" * 100_000)]) == ()
    assert tools_called("[" * 100_000) == ()


# All of them


def test_the_surest_wrong_answers_come_first_and_what_is_not_valid_is_none_of_them() -> None:
    split = [sure(0.2, False), sure(0.99, False), sure(0.9, True), sure(None, False)]
    assert [e.confidence for e in evaluate(split, Exact()).worst] == [0.99, 0.2]
    assert len(evaluate([sure(0.5, False)] * 30, Exact()).worst) == 10


def test_the_record_of_all_parts_is_json() -> None:
    split = [judged("a", "a" if i % 3 else "b", i / 10, str(i)) for i in range(10)]
    record = json.loads(
        json.dumps(evaluate(split, Exact(), examples=[row(str(i), "x" * i) for i in range(10)]).to_record())
    )
    assert {s["by"] for s in record["slices"]} == {"answer", "length"}
    assert record["confusions"] == [{"teacher": "b", "specialist": "a", "n": 4}]
    assert record["reliability"]["bins"][0]["n"] == 1
    assert record["aurc"] > 0
    empty = json.loads(json.dumps(evaluate([], Exact()).to_record()))
    assert (empty["aurc"], empty["reliability"], empty["slices"]) == (None, None, [])
