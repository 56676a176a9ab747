"""A call inside the agent: what is told of its troubles, and what is not."""

from __future__ import annotations

import logging

import pytest
from protege import capture
from protege.capture import log_once
from pydantic import BaseModel


class _Order(BaseModel):
    number: int


_ASKED = '{"number": "for Ada Kim"}'


def test_the_log_of_a_trouble_holds_nothing_of_the_call(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(capture, "_logged", set())
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
