"""Why an answer ended, in one word whatever its provider, framework or tracer calls it."""

from __future__ import annotations

from typing import Any

import pytest
from protege.common.reasons import reason_of

SAID: dict[str | None, list[Any]] = {
    "stop": [
        "stop", "STOP", " Stop ", "stopstop", "stop,stop", ["stop", "stop"], "['stop']", '["stop"]', "end_turn",
        "endTurn", "end_turnend_turn", "stop_sequence", "stopSequence", "eos_token", "COMPLETE", "FINISH_REASON_STOP",
        "FinishReason.STOP", "<FinishReason.STOP: 1>", "CompletionsFinishReason.STOPPED",
    ],
    "tool_calls": [
        "tool_calls", "tool-calls", "toolUse", "TOOL_CALL", "function_call", "ToolCalls", "tool_callstool_calls",
        "tool_calls\n",
    ],
    "length": ["length", "MAX_TOKENS", "maxTokens", "max_output_tokens", "lengthlength", "ERROR_LIMIT"],
    "content_filter": ["SAFETY", "ContentFilter", "content-filter", "contentFiltered", "guardrail_intervened"],
    None: [None, "", [], {}, {"type": "stop"}, "null", "None"],
    "stoplength": ["stoplength"],
    "pause_turn": ["pause_turn"],
    "malformed_function_call": ["MALFORMED_FUNCTION_CALL"],
}  # fmt: skip


@pytest.mark.parametrize("reason", SAID)
def test_a_reason_has_one_name(reason: str | None) -> None:
    assert {str(said): reason_of(said) for said in SAID[reason]} == {str(said): reason for said in SAID[reason]}
