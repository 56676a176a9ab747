"""Streams put together: text, tool calls by index, usage in the last chunk."""

from __future__ import annotations

import time
from typing import Any

from protege.chat.streams import assemble


def chunk(delta: dict[str, Any], reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def piece(index: int | None, arguments: str, name: str | None = None, call_id: str | None = None) -> dict[str, Any]:
    found = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{key: value for key, value in found.items() if value is not None}]}


def test_text_finish_reason_and_usage() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "good"}),
        chunk({"content": "bye"}),
        chunk({}, "stop"),
        {"choices": [], "usage": usage},
    ]
    assert assemble(chunks) == ({"role": "assistant", "content": "goodbye"}, "stop", usage)


def test_tool_calls_are_joined_by_index() -> None:
    message, reason, _ = assemble(
        [
            chunk({"role": "assistant", "content": None}),
            chunk(piece(1, "", "sky", "t2")),
            chunk(piece(0, "", "weather", "t1")),
            chunk(piece(0, '{"city":')),
            chunk(piece(1, "{}")),
            chunk(piece(0, ' "Paris"}')),
            chunk({}, "tool_calls"),
        ]
    )
    assert message is not None
    assert message["content"] is None
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in message["tool_calls"]] == [
        ("t1", "weather", '{"city": "Paris"}'),
        ("t2", "sky", "{}"),
    ]
    assert reason == "tool_calls"


def test_a_name_that_is_sent_with_every_chunk_is_taken_once() -> None:
    message, _, _ = assemble([chunk(piece(0, "", "weather", "t1")), chunk(piece(0, "{}", "weather", "t1"))])
    assert message is not None
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": "{}"}


def test_only_the_first_choice_counts() -> None:
    message, _, _ = assemble([chunk({"content": "a"}), chunk({"content": "b"}, index=1)])
    assert message == {"role": "assistant", "content": "a"}


def test_a_stream_that_broke_off_at_once_gives_nothing() -> None:
    assert assemble([]) == (None, None, None)
    assert assemble([chunk({"role": "assistant", "content": ""})]) == (None, None, None)


def test_a_stream_that_broke_off_gives_what_had_come() -> None:
    assert assemble([chunk({"content": "half"})]) == ({"role": "assistant", "content": "half"}, None, None)


def test_a_refusal_is_kept() -> None:
    message, _, _ = assemble([chunk({"refusal": "I "}), chunk({"refusal": "cannot."}, "stop")])
    assert message == {"role": "assistant", "content": None, "refusal": "I cannot."}


def test_calls_of_one_index_are_told_apart_by_their_ids() -> None:
    for index in (0, None):
        message, _, _ = assemble(
            [
                chunk(piece(index, '{"city": "Oslo"}', "weather", "t1")),
                chunk(piece(index, '{"city": ', "weather", "t2")),
                chunk(piece(index, '"Bergen"}', None, "t2")),
            ]
        )
        assert message is not None
        made = [(call["id"], call["function"]["arguments"]) for call in message["tool_calls"]]
        assert made == [("t1", '{"city": "Oslo"}'), ("t2", '{"city": "Bergen"}')]


def test_the_older_call_of_a_function_and_content_in_parts_are_read() -> None:
    message, reason, _ = assemble(
        [
            chunk({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "I look."}]}),
            chunk({"function_call": {"name": "track", "arguments": ""}}),
            chunk({"function_call": {"arguments": "{}"}}, "function_call"),
        ]
    )
    assert message is not None and reason == "function_call"
    assert message["content"] == "I look."
    assert message["tool_calls"][0]["function"] == {"name": "track", "arguments": "{}"}


def test_calls_without_number_are_put_together_in_linear_time() -> None:
    began = time.perf_counter()
    pieces = [{"index": i, "id": f"c{i}", "function": {"name": "f", "arguments": "{}"}} for i in range(20_000)]
    message, _, _ = assemble({"choices": [{"delta": {"tool_calls": [piece]}}]} for piece in pieces)
    assert message is not None and [call["id"] for call in message["tool_calls"]] == [piece["id"] for piece in pieces]
    assert time.perf_counter() - began < 5  # a tenth of a second; ten where each looks through those before it
