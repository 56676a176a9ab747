"""A call inside the agent: what is told of its troubles, and what is not."""

from __future__ import annotations

import logging
from typing import Any
from unittest.mock import Mock

import pytest
from protege import Attempt
from protege.call import Reply
from protege.capture.calls import OpenCall, Place
from protege.capture.watch import Watch
from protege.common.logs import log_once
from protege.route import Outcome
from pydantic import BaseModel


class _Order(BaseModel):
    number: int


_ASKED = '{"number": "for Ada Kim"}'


def test_the_log_of_a_trouble_holds_nothing_of_the_call(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("protege.common.logs._logged", set())
    with caplog.at_level(logging.DEBUG, "protege.capture"):
        for _ in range(2):
            try:
                _Order.model_validate_json(_ASKED)
            except ValueError as error:
                log_once("Reading a request", error)
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG"], "once"
    assert "Reading a request failed (ValidationError)" in caplog.text
    assert "test_capture.py" in caplog.text, "where it failed is told"
    assert "Ada" not in "".join(record.getMessage() for record in caplog.records)
    assert all(record.exc_info is None for record in caplog.records)


class _Kept:
    """A recorder in memory."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def record(self, call_record: dict[str, Any], /) -> None:
        self.records.append(call_record)


HANDED_BACK = Attempt("s1", "handed_back", "below threshold", 0.4, 5.0, "blue")


def _recorded(outcome: Outcome, shaped: str | None = "red") -> dict[str, Any]:
    """The record of a call that this came of; the teacher answers where the route does not."""
    kept = _Kept()
    router = Mock(answer=Mock(return_value=outcome))
    call = OpenCall(kept, [{"role": "user", "content": "a rose"}], {"model": "large"}, Place("test"))
    with Watch(call, lambda parts: parts[-1]) as watch:
        if watch.routed(lambda: router, lambda _: shaped) is None:
            watch.answered(Reply({"role": "assistant", "content": "rose"}))
    (record,) = kept.records
    return record


def test_the_record_has_what_both_did_in_a_cascade():
    second = Attempt("s2", "kept", "kept", 0.9, 50.0, "red")
    said = {"role": "assistant", "content": "red"}
    record = _recorded(Outcome(said, second, "kept", "v2", "s2", "t", 5, 1, earlier=(HANDED_BACK,)))
    assert [(one["by"], one["outcome"], one["content"]) for one in record["attempts"]] == [
        ("s1", "handed_back", "blue"),
        ("s2", "kept", "red"),
    ]
    assert (record["answered_by"], record["decision"], record["response"]) == ("s2", "kept", said)


def test_of_two_the_one_whose_answer_breaks_the_agent_s_form_has_failed():
    second = Attempt("s2", "kept", "kept", 0.9, 50.0, "red")
    said = {"role": "assistant", "content": "red"}
    record = _recorded(Outcome(said, second, "kept", "v2", "s2", "t", 5, 1, earlier=(HANDED_BACK,)), shaped=None)
    assert [one["outcome"] for one in record["attempts"]] == ["handed_back", "failed"]
    assert (record["answered_by"], record["decision"]) == ("large", "invalid structure")


def test_a_call_that_nobody_was_asked_has_no_attempts():
    record = _recorded(Outcome(None, None, "no live route"))
    assert "attempts" not in record and record["answered_by"] == "large"
