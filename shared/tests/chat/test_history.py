"""Earlier turns are shown whatever their arguments are."""

from __future__ import annotations

import json

import pytest
from protege.chat.answer import history_text


@pytest.mark.parametrize("arguments", ["{", "[1]", '{"a":' * 300 + "1" + "}" * 300, "[" * 5_000])
def test_arguments_that_cannot_be_read_are_shown_as_they_were_written(arguments: str) -> None:
    turn = {"role": "assistant", "tool_calls": [{"function": {"name": "find", "arguments": arguments}}]}
    assert json.loads(history_text(turn)) == {"name": "find", "arguments": arguments}
