"""Tokens that nobody told are estimated, and the call says so."""

from __future__ import annotations

from typing import Any

import pytest
from protege.call import Call
from protege.chat.tokens import counted, estimated_tokens

TOLD: dict[str, Any] = {
    "id": "c",
    "messages": [{"role": "user", "content": "a" * 400}],
    "response": {"role": "assistant", "content": "b" * 40},
}


@pytest.mark.parametrize(
    ("usage", "read", "written", "estimated"),
    [
        ({}, 100, 10, True),
        ({"input_tokens": 7}, 7, 10, True),
        ({"output_tokens": 0}, 100, 0, True),
        ({"input_tokens": 7, "output_tokens": 3}, 7, 3, False),
    ],
)
def test_what_was_told_is_kept_and_the_rest_estimated(usage: dict[str, int], read: int, written: int, estimated: bool):
    call = counted(Call.from_record({**TOLD, "usage": usage}))
    assert (call.input_tokens, call.output_tokens, call.tokens_estimated) == (read, written, estimated)
    assert Call.from_record(call.to_record()) == call
    assert call.to_record()["usage"].get("estimated", False) is estimated


def test_a_call_without_an_answer_used_nothing_that_is_known():
    failed = Call.from_record({**TOLD, "response": None, "error": "HTTP 500"})
    assert counted(failed) is failed


def test_tools_and_their_calls_count_and_images_do_not():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    image = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:" + "x" * 9000}}]}
    assert estimated_tokens([], [tool]) > 10 and estimated_tokens([image]) == 0
    calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    assert estimated_tokens([{"role": "assistant", "content": None, "tool_calls": calls}]) > 10
    assert estimated_tokens([{"role": "user", "content": "请写一个函数"}]) == 5
