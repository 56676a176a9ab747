"""One text, one answer and one call of a tool in the forms in which frameworks and servers write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from protege import Call
from protege.call import text_of
from protege.collect.importing import Skipped, _Reading

U = {"role": "user", "content": "hi"}
A = {"role": "assistant", "content": "yo"}
OSLO, BERGEN = '{"city":"Oslo"}', '{"city":"Bergen"}'
ARGUMENTS = {"city": "Oslo"}


def read(tmp_path: Path, *documents: Any) -> tuple[list[Call], list[str]]:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"".join(json.dumps(document).encode() + b"\n" for document in documents))
    items = list(_Reading(None).of([path]))
    return [item for item in items if isinstance(item, Call)], [i.reason for i in items if isinstance(i, Skipped)]


def told(call: Call) -> list[str]:
    """The words of a call's messages and answer, and the tools that these call."""
    return [
        text_of(message) + "".join(f"{use['function']['name']}()" for use in message.get("tool_calls") or ())
        for message in (*call.request.messages, call.response or {})
    ]


LLAMA = {"additional_kwargs": {}, "blocks": [{"block_type": "text", "text": "hi"}]}
UI_CALL = {"type": "tool-sky", "toolCallId": "c", "state": "output-available", "input": ARGUMENTS, "output": {"t": 3}}
MESSAGES: dict[str, tuple[list[Any], Any, list[str]]] = {
    "LlamaIndex's blocks": (
        [{"role": "user", **LLAMA}],
        {"role": "assistant", "blocks": [
            {"block_type": "thinking", "content": "hm"},
            {"block_type": "tool_call", "tool_call_id": "t", "tool_name": "sky", "tool_kwargs": ARGUMENTS}]},
        ["hi", "sky()"],
    ),
    "LlamaIndex's images": (
        [{"role": "user", "blocks": [{"block_type": "image", "image": "aGk=", "image_mimetype": "image/jpeg"}]}],
        {"role": "assistant", **LLAMA}, ["", "hi"],
    ),
    "AutoGen": (
        [{"type": "SystemMessage", "content": "s"}, {"type": "UserMessage", "content": "hi", "source": "user"},
         {"type": "AssistantMessage", "content": [{"id": "c", "arguments": OSLO, "name": "sky"}], "source": "a"},
         {"type": "FunctionExecutionResultMessage", "content": [{"content": "ok", "call_id": "c", "is_error": False}]}],
        {"type": "AssistantMessage", "content": "yo", "thought": "hm", "source": "a"},
        ["s", "hi", "sky()", "ok", "yo"],
    ),
    "Vercel's parts": (
        [{"role": "user", "parts": [{"type": "text", "text": "hi"}]},
         {"role": "assistant", "parts": [{"type": "step-start"}, UI_CALL, {"type": "text", "text": "cold"}]}, U],
        {"role": "assistant", "parts": [{"type": "step-start"}, {"type": "reasoning", "text": "hm"}, {
            "type": "text", "text": "yo", "state": "done"}]},
        ["hi", "sky()", '{"t":3}', "cold", "hi", "yo"],
    ),
    "Vercel's older invocations": (
        [U, {"role": "assistant", "content": "", "toolInvocations": [
            {"state": "result", "toolCallId": "c", "toolName": "sky", "args": ARGUMENTS, "result": "ok"}]}],
        {"role": "assistant", "content": "", "parts": [{"type": "tool-invocation", "toolInvocation": {
            "state": "call", "toolCallId": "c", "toolName": "sky", "args": ARGUMENTS}}]},
        ["hi", "sky()", "ok", "sky()"],
    ),
    "Pydantic AI": (
        [{"kind": "request", "parts": [{"part_kind": "system-prompt", "content": "s"},
                                       {"part_kind": "user-prompt", "content": ["h", "i"]}]},
         {"kind": "response", "parts": [
             {"part_kind": "tool-call", "tool_name": "sky", "args": ARGUMENTS, "tool_call_id": "c"}]},
         {"kind": "request", "parts": [
             {"part_kind": "tool-return", "tool_name": "sky", "content": "ok", "tool_call_id": "c"}]}],
        {"kind": "response", "parts": [{"part_kind": "thinking", "content": "hm"},
                                       {"part_kind": "text", "content": "yo"}]},
        ["s", "hi", "sky()", "ok", "yo"],
    ),
    "Haystack": (
        [{"role": "user", "meta": {}, "name": None, "content": [{"text": "hi"}]},
         {"role": "assistant", "content": [{"tool_call": {"tool_name": "sky", "arguments": ARGUMENTS, "id": "c"}}]},
         {"role": "tool", "content": [{"tool_call_result": {
             "result": "ok", "origin": {"tool_name": "sky", "arguments": {}, "id": "c"}, "error": False}}]}],
        {"role": "assistant", "content": [{"text": "yo"}]}, ["hi", "sky()", "ok", "yo"],
    ),
    "Semantic Kernel": (
        [{"role": "user", "items": [{"content_type": "text", "text": "hi"}]}],
        {"role": "assistant", "items": [{"content_type": "function_call", "id": "c", "name": "sky",
                                         "arguments": OSLO}]},
        ["hi", "sky()"],
    ),
    "smolagents": (
        [U, {"role": "tool-call", "content": [{"type": "text", "text": "sky"}]},
         {"role": "tool-response", "content": [{"type": "text", "text": "ok"}]}], A, ["hi", "sky", "ok", "yo"],
    ),
    "LangChain's content blocks": (
        [U], {"type": "ai", "content": [], "content_blocks": [{"type": "text", "text": "yo"}]}, ["hi", "yo"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_of_frameworks_are_read(tmp_path: Path, name: str) -> None:
    messages, response, expected = MESSAGES[name]
    (call,), skipped = read(tmp_path, {"messages": messages, "response": response})
    assert (skipped, told(call)) == ([], expected)
    uses = [use for m in (*call.request.messages, call.response or {}) for use in m.get("tool_calls") or ()]
    assert all(json.loads(use["function"]["arguments"]) == ARGUMENTS for use in uses)
    results = [message for message in call.request.messages if message["role"] == "tool"]
    assert all(message["tool_call_id"] == "c" for message in results)


def sse(*documents: Any) -> str:
    return "".join(f"data: {json.dumps(document)}\n\n" for document in documents) + "data: [DONE]\n\n"


def chunk(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


WHOLE = {"choices": [{"message": A, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
FIELDS: list[tuple[str, Any]] = [
    ("prediction", "yo"), ("model_output", "yo"), ("assistantResponse", "yo"), ("generated_text", "yo"),
    ("outputs", ["yo"]), ("responses", [A]), ("generations", [{"text": "yo", "finish_reason": "stop"}]),
    ("llm_response", "yo"), ("raw_response", WHOLE), ("output_messages", [A]), ("final_answer", "yo"),
    ("response", json.dumps(WHOLE)), ("response", json.dumps(A)), ("response", sse(chunk({"content": "yo"}, "stop"))),
    ("response", [chunk({"content": "y"}), {"choices": [{"index": 0, "message": A, "finish_reason": "stop"}]}]),
    ("response", [{"type": "AIMessageChunk", "content": "y"}, {"type": "AIMessageChunk", "content": "o"}]),
    ("response", [{"type": "thinking", "thinking": "h"}, {"type": "text", "text": "yo"}]),
    ("response", [{"type": "reasoning", "summary": []}, {"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "yo"}]}]),
    ("response", {"text": "yo", "finishReason": "stop", "usage": {"inputTokens": 3, "outputTokens": 4}}),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), FIELDS)
def test_an_answer_is_found_under_other_names_and_in_other_forms(tmp_path: Path, field: str, value: Any) -> None:
    (call,), skipped = read(tmp_path, {"id": "1", "messages": [U], field: value})
    assert (skipped, told(call)) == ([], ["hi", "yo"])


@pytest.mark.parametrize(
    "held",
    [
        {"text": "yo"}, {"content": "yo"}, {"ideal": "yo"}, {"expected_output": "yo"}, {"label": "yo"},
        {"gpt_answer": "yo", "claude_answer": "no"}, {"message": "yo"}, {"result": {"message": A}}, {"target": "yo"},
    ],
)  # fmt: skip
def test_a_line_is_refused_by_name_where_a_field_may_hold_the_answer(tmp_path: Path, held: dict[str, Any]) -> None:
    calls, (skipped,) = read(tmp_path, {"id": "1", "messages": [U], **held})
    assert not calls and "call the one that does response" in skipped and next(iter(held)) in skipped


def test_what_is_no_answer_is_not_taken_for_one(tmp_path: Path) -> None:
    others = {"source": "crm", "metadata": {"a": 1}, "output_tokens": 7, "message_id": "m", "response_time": 2}
    plain, failed, whole, said, quoted = (
        {"id": "1", "messages": [U], **others},
        {"id": "2", "messages": [U], "error": {"message": "overloaded", "code": 529}},
        {"id": "3", "messages": [U, A], "response": None},
        {"id": "4", "messages": [U], "response": '{"choices": [{"name": "tea"}]}'},
        {"id": "5", "messages": [U], "response": "data: science"},
    )
    calls, skipped = read(tmp_path, plain, failed, whole, said, quoted)
    assert not skipped
    assert [told(call)[-1] for call in calls] == ["", "", "yo", '{"choices": [{"name": "tea"}]}', "data: science"]
    assert [call.error for call in calls[:2]] == [None, "overloaded"]


@pytest.mark.parametrize(
    "outputs", [{"messages": [U, A]}, {"output": [chunk({"content": "y"}), chunk({"content": "o"})]}, {"output": A}]
)
def test_a_run_of_langsmith_may_keep_its_answer_as_a_conversation_or_a_stream(tmp_path: Path, outputs: Any) -> None:
    run = {"id": "r", "run_type": "llm", "trace_id": "t", "inputs": {"messages": [U]}, "outputs": outputs}
    (call,), skipped = read(tmp_path, run)
    assert (skipped, told(call)) == ([], ["hi", "yo"])


@pytest.mark.parametrize("kind", ["computer_call", "local_shell_call", "apply_patch_call"])
def test_an_answer_whose_call_is_not_read_is_named(tmp_path: Path, kind: str) -> None:
    own = {"type": kind, "call_id": "c", "action": {"type": "click"}}
    answer = {"object": "response", "status": "completed", "output": [own]}
    calls, (skipped,) = read(tmp_path, {"messages": [U], "response": answer})
    assert not calls and kind in skipped


def piece(index: Any, call_id: str | None, name: str | None, arguments: Any) -> dict[str, Any]:
    given = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return chunk({"tool_calls": [{key: value for key, value in given.items() if value is not None}]})


STREAMS: dict[str, list[Any]] = {
    "one index": [piece(0, "a", "sky", OSLO), piece(0, "b", "sky", BERGEN)],
    "no index": [piece(None, "a", "sky", OSLO), piece(None, "b", "sky", BERGEN)],
    "an id before its name": [piece(0, "a", "sky", OSLO), piece(0, "b", None, None), piece(0, None, "sky", BERGEN)],
    "pieces in turns": [piece(0, "a", "sky", ""), piece(0, "b", "sky", ""), piece(0, "a", None, OSLO),
                        piece(0, "b", None, BERGEN)],
    "no ids": [piece(0, None, "sky", OSLO), piece(0, None, "sky", BERGEN)],
    "arguments as objects": [piece(0, "a", "sky", {"city": "Oslo"}), piece(1, "b", "sky", {"city": "Bergen"})],
    "a new id with each piece": [piece(0, "a", "sky", '{"city":'), piece(0, "b", None, '"Oslo"}'),
                                 piece(0, "c", None, ""), piece("1", "d", "sky", BERGEN)],
    "the name with each piece": [piece(1, "a", "sky", '{"city":'), piece(1, "a", "sky", '"Oslo"}'),
                                 piece(2, "b", "sky", '{"ci'), piece(2, "", "sky", 'ty":"Bergen"}')],
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_parallel_calls_of_a_stream_are_told_apart_whatever_their_server_numbers(tmp_path: Path, name: str) -> None:
    (call,), _ = read(tmp_path, {"messages": [U], "response": [*STREAMS[name], chunk({}, "tool_calls")]})
    assert call.response is not None
    assert [use["function"] for use in call.response["tool_calls"]] == [
        {"name": "sky", "arguments": OSLO}, {"name": "sky", "arguments": BERGEN},
    ]  # fmt: skip
