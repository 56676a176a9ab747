"""Training answers that look wrong are found by what a head would have answered had it not seen them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from protege.common.progress import Silent
from protege.tune.methods.choosing import taught
from protege.tune.methods.doubted import doubts
from protege.tune.methods.head import MOST_TOLD, Shown, doubted, ways_for

KINDS = {"billing": ("invoice", "refund", "receipt"), "access": ("password", "login", "account")}


def tickets() -> list[Shown]:
    rows = [
        Shown(f"\x1fuser\x1fthe {word} for order {number} of {kind} things", kind, f"c{number}{word}")
        for kind, words in KINDS.items()
        for word in words
        for number in range(8)
    ]
    return [rows[at * 7 % len(rows)] for at in range(len(rows))]


def found(rows: list[Shown]) -> dict[str, Any]:
    _, learnt = taught([row.prompt for row in rows], ways_for([row.answer for row in rows]), 17, Silent())
    return doubted(rows, learnt.doubts)


def test_wrong_answers_are_found_and_right_ones_left_alone() -> None:
    rows = tickets()
    assert found(rows) == {"doubted": 0, "doubted_calls": []}
    for at in (3, 20):
        rows[at] = Shown(rows[at].prompt, "access" if rows[at].answer == "billing" else "billing", rows[at].id)
    told = found(rows)
    assert told["doubted"] == 2 and set(told["doubted_calls"]) == {rows[3].id, rows[20].id}


def test_one_wrong_field_is_enough() -> None:
    rows = [
        Shown(row.prompt, json.dumps({"team": row.answer, "urgent": at % 2 == 0, "from": at % 3}), row.id)
        for at, row in enumerate(tickets())
    ]
    wrong = json.loads(rows[5].answer)
    wrong["team"] = "access" if wrong["team"] == "billing" else "billing"
    rows[5] = Shown(rows[5].prompt, json.dumps(wrong), rows[5].id)
    assert rows[5].id in found(rows)["doubted_calls"]


def test_a_class_is_doubted_only_where_another_is_as_likely_as_it_usually_is() -> None:
    sure, unsure = np.log([0.9, 0.1]), np.log([0.4, 0.6])
    held_out = np.array([sure, sure, sure, unsure, np.log([0.1, 0.9]), np.log([0.05, 0.95])])
    given = np.array([0, 0, 0, 0, 1, 0])
    assert np.flatnonzero(doubts(held_out, given)).tolist() == [5]
    assert doubts(held_out, given)[5] == pytest.approx(np.log(0.95 / 0.05))


def test_rows_that_take_no_part_and_classes_that_nobody_gave_are_passed_over() -> None:
    held_out = np.log(np.array([[0.1, 0.2, 0.7], [0.8, 0.1, 0.1], [0.1, 0.8, 0.1]]))
    assert doubts(held_out, np.array([-1, 0, 1])).tolist() == [0, 0, 0]
    assert doubts(held_out, np.array([-1, -1, -1])).tolist() == [0, 0, 0]


def test_no_more_calls_are_named_than_people_look_at() -> None:
    rows = [Shown("", "", f"c{number}") for number in range(80)]
    told = doubted(rows, np.arange(80.0))
    assert told["doubted"] == 79 and len(told["doubted_calls"]) == MOST_TOLD
    assert told["doubted_calls"][:2] == ["c79", "c78"]
