"""Messages, tool calls, reasons, tokens and times in every known form are OpenAI's; others are refused by name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protege.call import Call, Request
from protege.chat.answer import answer_text
from protege.common import framework_messages
from protege.common.checks import time
from protege.common.messages import answer_from, messages_from
from protege.common.plain_json import loads
from protege.common.reasons import reason_of
from protege.common.tool_calls import tool_call_from
from protege.common.usage import tokens_used
from protege.curate.noise import failed_tools
from protege.errors import BadCall, BadInput

TEXT = "Where is order 17?"


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": [{"type": "text", "text": "Where is "}, {"type": "text", "text": "order 17?"}]},
        {"role": "user", "content": [{"type": "text", "text": TEXT, "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "input_text", "text": TEXT}]},
        {"role": "user", "content": ["Where is ", {"text": "order 17?"}]},
        {"role": "user", "content": {"type": "text", "text": TEXT}},
        {"role": "user", "parts": [{"text": TEXT}]},
        {"role": "user", "parts": [{"type": "text", "content": TEXT}]},
        {"role": "user", "content": [{"text": TEXT}, {"cachePoint": {"type": "default"}}]},
        {"role": "user", "content": [{"type": "text", "text": {"value": TEXT, "annotations": []}}]},
        {"type": "human", "content": TEXT},
        {"type": "human", "data": {"content": TEXT, "additional_kwargs": {}}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "HumanMessage"], "kwargs": {"content": TEXT}},
        {"from": "human", "value": TEXT},
        {"role": "USER", "content": TEXT},
    ],
)
def test_a_text_in_any_form_is_that_text(message: dict[str, Any]) -> None:
    assert messages_from(message) == [{"role": "user", "content": TEXT}]


def test_parts_that_are_no_text_stay_parts() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    for part in (
        image,
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
        {"inlineData": {"mimeType": "image/png", "data": "AA"}},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AA"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA"},
    ):
        (message,) = messages_from({"role": "user", "content": ["this", part]})
        assert message["content"] == [{"type": "text", "text": "this"}, image]


ARGUMENTS = {"order": 17}
TRACK = {"name": "track", "arguments": '{"order":17}'}


@pytest.mark.parametrize(
    "answer",
    [
        {"tool_calls": [{"id": "c1", "type": "function", "function": TRACK}]},
        {"tool_calls": [{"function": {"name": "track", "arguments": ARGUMENTS}}]},
        {"tool_calls": [{"name": "track", "args": ARGUMENTS, "id": "c1", "type": "tool_call"}]},
        {"tool_calls": [{"name": "track", "parameters": ARGUMENTS}]},
        {"tool_calls": [{"tool_name": "track", "tool_kwargs": ARGUMENTS}]},
        {"tool_calls": [{"toolCallId": "c1", "toolName": "track", "input": ARGUMENTS}]},
        {"function_call": TRACK},
        {"additional_kwargs": {"function_call": TRACK}},
        {"additional_kwargs": {"tool_calls": [{"id": "c1", "function": TRACK}]}},
        {"content": [{"type": "tool_use", "id": "t1", "name": "track", "input": ARGUMENTS}]},
        {"content": [{"toolUse": {"toolUseId": "t1", "name": "track", "input": ARGUMENTS}}]},
        {"parts": [{"functionCall": {"name": "track", "args": ARGUMENTS}}]},
        {"parts": [{"type": "tool_call", "id": "c1", **TRACK}]},
        {"content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "track", "args": ARGUMENTS}]},
        {"content": [{"type": "function_call", "call_id": "c1", **TRACK}]},
    ],
)
def test_a_tool_call_in_any_form_is_read_with_its_arguments(answer: dict[str, Any]) -> None:
    assert answer_text(answer_from({"role": "assistant", **answer})) == '{"name":"track","arguments":{"order":17}}'


def test_a_custom_tool_keeps_its_text() -> None:
    for call in (
        {"id": "c1", "type": "custom", "custom": {"name": "track", "input": "17"}},
        {"type": "custom_tool_call", "call_id": "c1", "name": "track", "input": "17"},
    ):
        assert json.loads(tool_call_from(call)["function"]["arguments"]) == {"input": "17"}


def test_a_tool_that_takes_nothing_has_no_arguments() -> None:
    assert tool_call_from({"name": "now", "id": "1"})["function"] == {"name": "now", "arguments": "{}"}


@pytest.mark.parametrize(
    ("answer", "named"),
    [
        ({"tool_calls": [{"name": "track", "payload": ARGUMENTS}]}, "name, payload"),
        ({"tool_calls": [{"id": "c1"}]}, "fields: id"),
        ({"tool_calls": {"name": "track"}}, "not a list"),
        ({"content": [{"type": "hologram", "data": "…"}]}, "hologram"),
        ({"content": [7]}, "neither a text nor an object"),
    ],
)
def test_another_form_of_an_answer_is_refused_by_name(answer: dict[str, Any], named: str) -> None:
    with pytest.raises(BadCall, match=named):
        answer_from({"role": "assistant", **answer})


def _vercel(kind: str, value: Any, call_id: str = "") -> dict[str, Any]:
    output = {"type": "content" if call_id else kind, "value": [{"type": "text", "text": value}] if call_id else value}
    return {"type": kind, "toolCallId": call_id, "output": output} if call_id else output


@pytest.mark.parametrize(
    "result",
    [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"text": "lost"}]}]},
        {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "track", "response": "lost"}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "lost"}]}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "lost"}]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "output": "lost"}]},
        {"type": "function_call_output", "call_id": "c1", "output": "lost"},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "output": _vercel("text", "lost")}]},
        {"role": "tool", "content": [_vercel("tool-result", "lost", "c1")]},
        {"type": "tool", "content": "lost", "tool_call_id": "c1"},
    ],
)
def test_the_result_of_a_tool_is_a_message_of_its_own(result: dict[str, Any]) -> None:
    assert messages_from(result) == [{"role": "tool", "tool_call_id": "c1", "content": "lost"}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "tool_result", "tool_use_id": "c1", "is_error": True, "content": "lost"},
        {"toolResult": {"toolUseId": "c1", "status": "error", "content": [{"text": "lost"}]}},
        {"type": "tool-result", "toolCallId": "c1", "output": _vercel("error-text", "lost")},
    ],
)
def test_that_a_tool_failed_stays_known(part: dict[str, Any]) -> None:
    (message,) = messages_from({"role": "user", "content": [part]})
    assert message == {"role": "tool", "tool_call_id": "c1", "content": "lost", "is_error": True}
    asked = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history = ({"role": "assistant", "content": None, "tool_calls": [asked]}, message)
    assert failed_tools([Call(id="x", request=Request(history))])
    (fine,) = messages_from({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "ok"}]})
    assert "is_error" not in fine


@pytest.mark.parametrize(
    "answer",
    [
        {"content": [{"type": "thinking", "thinking": "hm", "signature": "x"}, {"type": "text", "text": "shipping"}]},
        {"content": "shipping", "reasoning_content": "hm"},
        {"content": "shipping", "thinking": "hm"},
        {"parts": [{"text": "hm", "thought": True}, {"text": "shipping"}]},
        {"parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "shipping"}]},
        {"content": [{"reasoningContent": {"reasoningText": {"text": "hm"}}}, {"text": "shipping"}]},
    ],
)
def test_reasoning_is_no_part_of_an_answer(answer: dict[str, Any]) -> None:
    assert answer_from({"role": "assistant", **answer}) == {"role": "assistant", "content": "shipping"}


def test_a_message_in_openai_s_form_is_left_as_it_is() -> None:
    for message in (
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": TRACK}]},
        {"role": "user", "content": TEXT, "name": "ann", "custom": 1},
    ):
        assert messages_from(message)[0] is message


@pytest.mark.parametrize("message", [7, {"role": "ghost", "content": "boo"}, {"role": "user", "content": 7}, {}])
def test_what_is_no_message_is_refused(message: Any) -> None:
    with pytest.raises(BadInput):
        messages_from(message)


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (["length"], "length"),
        ('["length"]', "length"),
        ("lengthlength", "length"),
        ("STOPSTOPSTOP", "stop"),
        ("max_tokens", "length"),
        ("FinishReason.MAX_TOKENS", "length"),
        ("end_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("own reason", "own reason"),
        ([], None),
        ("", None),
    ],
)
def test_the_end_of_an_answer_has_one_name(written: Any, reason: str | None) -> None:
    assert reason_of(written) == reason
    record = {"messages": [{"role": "user", "content": "x"}], "finish_reason": written}
    assert Call.from_record(record).finish_reason == reason


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 80}}, (100, 9, 80)),
        ({"input_tokens": 100, "output_tokens": 9, "input_tokens_details": {"cached_tokens": 80}}, (100, 9, 80)),
        ({"input_tokens": 20, "output_tokens": 9, "cache_read_input_tokens": 80}, (100, 9, 80)),
        ({"input_tokens": 90, "output_tokens": 9, "cache_read_input_tokens": 10}, (100, 9, 10)),
        ({"prompt_tokens": 100, "completion_tokens": 9, "cache_read_input_tokens": 80}, (100, 9, 80)),
        ({"input_tokens": 10, "output_tokens": 9, "cache_creation_input_tokens": 90}, (100, 9, None, 90)),
        ({"inputTokens": 20, "outputTokens": 9, "cacheReadInputTokens": 80}, (100, 9, 80)),
        ({"input_tokens": 100, "output_tokens": 9, "input_token_details": {"cache_read": 80}}, (100, 9, 80)),
        ({"prompt_tokens": 100, "completion_tokens": 9, "prompt_cache_hit_tokens": 80}, (100, 9, 80)),
        ({"input": 20, "output": 9, "input_cached_tokens": 80}, (100, 9, 80)),
        (
            {"promptTokenCount": 100, "candidatesTokenCount": 9, "thoughtsTokenCount": 5, "cachedContentTokenCount": 8},
            (100, 14, 8, None, 5),
        ),
        (
            {"prompt_tokens": 1, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}},
            (1, 9, None, None, 7),
        ),
        ({"input_tokens": 1, "output_tokens": 2, "prompt_tokens_details": {"cached_tokens": "many"}}, (1, 2)),
        ({"prompt_eval_count": 5, "eval_count": 3}, (5, 3)),
        ({}, (None, None)),
    ],
)
def test_cached_and_reasoning_tokens_are_part_of_what_was_read_and_written(
    usage: dict[str, Any], tokens: tuple[int | None, ...]
) -> None:
    assert tokens_used(usage) == (*tokens, *(None,) * (5 - len(tokens)))
    call = Call.from_record({"messages": [{"role": "user", "content": "x"}], "usage": usage})
    assert Call.from_record(call.to_record()) == call


def test_a_time_in_a_smaller_unit_is_converted_and_one_of_another_age_refused() -> None:
    seconds = 1_760_000_000
    for written in (seconds, seconds * 1_000, seconds * 10**6, seconds * 10**9, str(seconds * 1_000), "1760000000.0"):
        assert time({"time": written}) == seconds
    assert time({"time": "2025-10-09T08:53:20.123456789Z"}) == pytest.approx(seconds, abs=1)
    for written in (5e9, -1, 1e22, "9999-01-01", "99999999999999999999", True, "yesterday", float("nan")):
        with pytest.raises(BadCall, match="time is"):
            time({"time": written})


def test_a_call_that_stands_in_the_content_and_beside_it_is_one() -> None:
    part = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}}
    beside = {"name": "weather", "args": {"city": "Oslo"}, "id": "toolu_1", "type": "tool_call"}
    for message in (
        {"type": "ai", "content": [part], "tool_calls": [beside]},
        {"type": "AIMessage", "content": [{"type": "text", "text": "I look."}, part], "tool_calls": [beside]},
        {"role": "assistant", "content": [part], "additional_kwargs": {"tool_calls": [beside]}},
    ):
        assert [call["id"] for call in answer_from(message)["tool_calls"]] == ["toolu_1"]


def test_an_item_of_responses_goes_by_the_id_that_its_result_names() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "ok"}
    (made,), (told,) = messages_from(call), messages_from(result)
    assert made["tool_calls"][0]["id"] == told["tool_call_id"] == "call_1"


@pytest.mark.parametrize(
    "message",
    [
        {"role": ["user"], "content": "x"},
        {"type": ["a"], "content": "x"},
        {"type": {"a": 1}, "content": "x"},
    ],
)
def test_a_role_that_is_no_word_is_refused_as_one(message: dict[str, Any]) -> None:
    with pytest.raises(BadCall, match="no known role"):
        messages_from(message)


def test_a_part_whose_type_is_no_word_stays_as_it_is() -> None:
    part = {"type": {"a": 1}, "x": 2}
    assert messages_from({"role": "user", "content": [part]}) == [{"role": "user", "content": [part]}]


def test_large_integers_stay_what_they_are() -> None:
    assert loads('{"account": 123456789012345678901234}') == {"account": 123456789012345678901234}
    assert loads(b"[18446744073709551616, 1.5, true]") == [18446744073709551616, 1.5, True]


def test_tokens_that_are_added_up_stay_within_what_can_be_read_again() -> None:
    used = {"input_tokens": 10**9, "cache_read_input_tokens": 10**9, "output_tokens": 1}
    record = {"messages": [{"role": "user", "content": "q"}], "response": {"role": "assistant", "content": "a"}}
    call = Call.from_record({**record, "usage": used})
    assert Call.from_record(call.to_record()).input_tokens == 10**9


def test_parts_without_end_are_read_in_linear_time(monkeypatch: pytest.MonkeyPatch):
    looked = 0
    looks = framework_messages._invocation

    def counted(part: Any) -> Any:
        nonlocal looked
        looked += 1
        return looks(part)

    monkeypatch.setattr(framework_messages, "_invocation", counted)
    (message,) = messages_from({"role": "user", "parts": [{"text": "a"}] * 1000})
    assert message["content"] == "a" * 1000 and looked <= 2000


def test_a_framework_message_without_parts_is_empty():
    for kind, role in (("request", "user"), ("response", "assistant")):
        assert messages_from({"kind": kind, "parts": []}) == [{"role": role, "content": ""}]
