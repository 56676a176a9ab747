"""Answers as they come: whole, streamed, cut off, and broken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from protege.call import Reply
from protege.dialects import Dialect, dialect_at, reply_of
from protege.errors import BadCall

CALLS = [
    {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": json.dumps({"at": n})}}
    for n in range(2)
]
ASKED: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "?"}], "stream": True},
    "/v1/responses": {"input": "?", "store": False, "stream": True},
    "/v1/completions": {"prompt": "?", "stream": True},
    "/v1/messages": {"messages": [{"role": "user", "content": "?"}], "stream": True},
    "/v1beta/models/m:streamGenerateContent": {"contents": "?"},
    "/api/chat": {"messages": [{"role": "user", "content": "?"}]},
    "/api/generate": {"prompt": "?"},
}


def dialect_of(path: str) -> Dialect:
    dialect = dialect_at("POST", path).dialect
    assert dialect is not None
    return dialect


def streamed(path: str, message: dict[str, Any], alt: str = "sse") -> tuple[Dialect, bytes]:
    dialect = dialect_of(path)
    asked = dialect.asked(path, {"alt": alt}, {"model": "m", **ASKED[path]})
    return dialect, b"".join(dialect.stream(Reply(message, "stop", "s1", 3, 2), asked))


@pytest.mark.parametrize("path", ASKED)
def test_a_stream_that_is_cut_off_anywhere_tells_what_had_come(path: str) -> None:
    message: dict[str, Any] = {"role": "assistant", "content": "spam, I think"}
    if path not in ("/v1/completions", "/api/generate"):
        message |= {"tool_calls": CALLS}
    for alt in ("sse", "json"):
        dialect, body = streamed(path, message, alt)
        seen: set[str] = set()
        for length in (*range(0, len(body), 7), len(body) - 1, len(body)):
            try:
                record = dialect.answered(body[:length], dialect.stream_type)
            except BadCall:
                continue
            seen.add((record.get("response") or {}).get("content") or "")
        assert seen <= {"", "spam, I think"} and "spam, I think" in seen
        assert dialect.answered(body)["response"]["content"] == "spam, I think"


@pytest.mark.parametrize("path", [path for path in ASKED if "gemini" not in path])
def test_a_part_of_a_stream_that_cannot_be_read_makes_it_no_answer(path: str) -> None:
    dialect, body = streamed(path, {"role": "assistant", "content": "spam, I think"})
    framed = b'data: {"no json\n\n' if dialect.stream_type == "text/event-stream" else b'{"no json\n'
    end = b"\n\n" if dialect.stream_type == "text/event-stream" else b"\n"
    first, rest = body.split(end, 1)
    record = dialect.answered(first + end + framed + rest, dialect.stream_type)
    assert "could not be read" in record["error"] and record["response"]["content"] == "spam, I think"
    assert "error" not in dialect.answered(body.replace(end, end + b": still there\n\n", 1), dialect.stream_type)


@pytest.mark.parametrize("path", ASKED)
def test_a_specialist_that_counts_no_tokens_gets_an_estimate(path: str) -> None:
    dialect = dialect_of(path)
    asked = dialect.asked(path, {}, {"model": "m", "stream_options": {"include_usage": True}, **ASKED[path]})
    reply = Reply({"role": "assistant", "content": "spam, I think"}, "stop", "s1")
    for body in (dialect.whole(reply, asked), b"".join(dialect.stream(reply, asked))):
        assert reply_of(dialect.answered(body))[3:5] == (1, 4)


def test_of_counts_that_grow_the_last_is_taken() -> None:
    chunks = [
        {"choices": [{"index": 0, "text": text}], "usage": {"prompt_tokens": read, "completion_tokens": written}}
        for text, read, written in (("sp", 0, 0), ("am", 5, 2))
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks)
    record = dialect_of("/v1/completions").answered(body.encode())
    assert record["response"]["content"] == "spam"
    assert record["usage"] == {"prompt_tokens": 5, "completion_tokens": 2}


def test_what_servers_add_to_a_message_is_no_part_of_it() -> None:
    added = {"refusal": None, "annotations": [], "audio": None, "reasoning_content": "hm"}
    choice = {"message": {"role": "assistant", "content": "spam", **added}, "finish_reason": "stop"}
    body = json.dumps({"model": "m", "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    record = dialect_of("/v1/chat/completions").answered(body.encode())
    assert record["response"] == {"role": "assistant", "content": "spam"}


CHUNK = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "sp"}}]}


@pytest.mark.parametrize(
    "body",
    [
        f": ping\r\n\r\ndata: {json.dumps(CHUNK)}\r\n\r\ndata: [DONE]\r\n\r\n",
        f"\ufeffid: 1\rdata:{json.dumps(CHUNK)}\r\rdata: {{broken\r\r",
        f"event: x\ndata: {json.dumps(CHUNK)[:20]}\ndata: {json.dumps(CHUNK)[20:]}\n\n",
        f"data: {json.dumps(CHUNK)}",
        f"retry: 9\n\ndata: {json.dumps(CHUNK)}\n\ndata: nonsense\n\n: bye",
    ],
)
def test_events_are_framed_as_the_standard_says(body: str) -> None:
    dialect = dialect_of("/v1/chat/completions")
    for content_type in ("text/event-stream; charset=utf-8", ""):
        assert dialect.answered(body.encode(), content_type)["response"]["content"] == "sp"


ERRORS: list[tuple[str, str, str]] = [
    ("/v1/chat/completions", f'data: {json.dumps(CHUNK)}\n\ndata: {{"error": {{"message": "overloaded"}}}}\n\n', "sp"),
    (
        "/v1/messages",
        'data: {"type":"message_start","message":{"model":"m","usage":{}}}\n\n'
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"sp"}}\n\n'
        'data: {"type":"error","error":{"type":"overloaded_error","message":"overloaded"}}\n\n',
        "sp",
    ),
    (
        "/v1/responses",
        'data: {"type":"response.output_item.added","output_index":0,"item":{"type":"message","content":[]}}\n\n'
        'data: {"type":"response.output_text.delta","output_index":0,"delta":"sp"}\n\n'
        'data: {"type":"response.failed","response":{"error":{"message":"overloaded"}}}\n\n',
        "sp",
    ),
    ("/v1/responses", 'data: {"type":"error","message":"overloaded"}\n\n', ""),
    (
        "/api/chat",
        '{"model":"m","message":{"role":"assistant","content":"sp"},"done":false}\n{"error":"overloaded"}\n',
        "sp",
    ),
    ("/v1/chat/completions", '{"error": {"message": "overloaded", "type": "server_error"}}', ""),
    ("/v1beta/models/m:generateContent", '{"error": {"code": 503, "message": "overloaded"}}', ""),
]


@pytest.mark.parametrize(("path", "body", "text"), ERRORS)
def test_an_error_of_the_provider_is_told_with_what_had_come(path: str, body: str, text: str) -> None:
    record = dialect_of(path).answered(body.encode())
    assert record["error"] == "overloaded"
    assert ((record.get("response") or {}).get("content") or "") == text


def lines(*documents: Any, sse: bool = True) -> bytes:
    return b"".join((b"data: %b\n\n" if sse else b"%b\n") % json.dumps(each).encode() for each in documents)


BEGUN = {"type": "response.created", "response": {"model": "m", "status": "in_progress", "output": []}}
ITEM = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}}
DELTA = {"type": "response.output_text.delta", "output_index": 0, "delta": "sp"}
SIDE = {"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}
PART = {"content": {"parts": [{"text": "sp"}]}, "index": 0}
UNENDED: list[tuple[str, bytes, str | None]] = [
    ("/v1/responses", lines(BEGUN), None),
    ("/v1/responses", lines(BEGUN, {**BEGUN, "type": "response.in_progress"}, ITEM, DELTA), "sp"),
    ("/v1/responses", lines(ITEM, DELTA), "sp"),
    ("/api/chat", lines({"message": {"content": "s"}, "done": False}, {"message": {"content": "p"}}, sse=False), "sp"),
    ("/api/chat", lines({"message": {"content": "sp"}, "done": False}, sse=False), "sp"),
    ("/api/generate", lines({"response": "s", "done": False}, {"response": "p", "done": False}, sse=False), "sp"),
    ("/v1beta/models/m:streamGenerateContent", lines({"candidates": [PART]}), "sp"),
    ("/v1beta/models/m:streamGenerateContent", b"[" + json.dumps({"candidates": [PART]}).encode() + b",\n{", "sp"),
    ("/v1/chat/completions", lines({"choices": [SIDE]}, CHUNK), "sp"),
]


@pytest.mark.parametrize(("path", "body", "text"), UNENDED)
def test_an_answer_that_did_not_end_has_no_reason_for_its_end(path: str, body: bytes, text: str | None) -> None:
    for content_type in ("", "text/event-stream", "text/plain"):
        record = dialect_of(path).answered(body, content_type)
        assert record.get("finish_reason") is None and "error" not in record
        assert (record["response"]["content"] if text else record.get("response")) == text


def test_older_ollamas_tell_that_they_are_done_and_no_reason() -> None:
    body = lines({"message": {"content": "s"}, "done": False}, {"message": {"content": "p"}, "done": True}, sse=False)
    assert dialect_of("/api/chat").answered(body)["finish_reason"] == "stop"


@pytest.mark.parametrize("status", ["queued", "in_progress", "failed", "cancelled"])
def test_an_answer_that_is_none_yet_is_no_empty_one(status: str) -> None:
    body = json.dumps({"object": "response", "model": "m", "status": status, "output": [], "error": None})
    record = dialect_of("/v1/responses").answered(body.encode())
    assert record["error"] == status and "response" not in record


@pytest.mark.parametrize("beside", [{"error": {"message": "overloaded"}}, {}])
def test_an_error_beside_choices_is_one(beside: dict[str, Any]) -> None:
    choice: dict[str, Any] = {"index": 0, "delta": {"content": ""}, "finish_reason": "error"}
    for trouble in ({**beside, "choices": [choice]}, {"choices": [{**choice, **beside}]}):
        record = dialect_of("/v1/chat/completions").answered(lines(CHUNK, trouble))
        assert record["error"] == ("overloaded" if beside else "error") and record["response"]["content"] == "sp"
        whole = {"choices": [{"message": {"content": "sp"}, **trouble["choices"][0]}], **beside}
        record = dialect_of("/v1/chat/completions").answered(json.dumps(whole).encode())
        assert record["error"] == ("overloaded" if beside else "error") and record["response"]["content"] == "sp"


def test_a_stream_is_whole_whatever_stands_between_its_chunks() -> None:
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    chunks = [
        {"id": "c", "object": "ping"},
        {"choices": [{"index": 1, "delta": {"content": "no"}, "text": "no"}]},
        {"choices": [{"index": 0, "delta": {"content": "spam"}, "text": "spam"}], "usage": 7},
        {"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "text": "", "finish_reason": "tool_calls"}]},
        {"x_more": 1},
    ]
    record = dialect_of("/v1/chat/completions").answered(lines(*chunks))
    assert record["response"]["content"] == "spam" and record["finish_reason"] == "tool_calls"
    assert record["response"]["tool_calls"][0]["function"]["name"] == "f"


def test_the_first_answer_is_the_one_of_index_0() -> None:
    chosen = [{"index": at, "message": {"role": "assistant", "content": text}} for at, text in ((1, "no"), (0, "spam"))]
    record = dialect_of("/v1/chat/completions").answered(json.dumps({"choices": chosen}).encode())
    assert record["response"]["content"] == "spam"
    other = {"content": {"parts": [{"text": "no"}]}, "index": 1, "finishReason": "STOP"}
    path, counted = "/v1beta/models/m:streamGenerateContent", {"promptTokenCount": 3, "candidatesTokenCount": 1}
    chunks = [
        {"candidates": [other, PART], "usageMetadata": counted},
        {"candidates": [other]},
        {"candidates": [{**PART, "finishReason": "STOP"}], "usageMetadata": {"candidatesTokenCount": 2}},
        {"candidates": []},
    ]
    record = dialect_of(path).answered(lines(*chunks))
    assert record["response"]["content"] == "spsp" and record["finish_reason"] == "STOP"
    assert record["usage"] == {"promptTokenCount": 3, "candidatesTokenCount": 2}
    assert dialect_of(path).answered(json.dumps(chunks[0]).encode())["response"]["content"] == "sp"


@pytest.mark.parametrize("usage", [{"prompt_tokens": "1"}, {"completion_tokens": -1}, {"input_tokens": True}, 7, "x"])
def test_an_odd_usage_costs_the_usage_only(usage: Any) -> None:
    for path, body in (
        ("/v1/chat/completions", json.dumps({"choices": [{"message": {"content": "sp"}}], "usage": usage}).encode()),
        ("/v1/chat/completions", lines({**CHUNK, "usage": usage})),
        ("/v1/completions", lines({"choices": [{"text": "sp"}], "usage": usage})),
        (
            "/v1/messages",
            lines(
                {"type": "message_start", "message": {"usage": usage}},
                {"type": "content_block_delta", "index": 0, "delta": {"text": "sp"}},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            ),
        ),
    ):
        record = dialect_of(path).answered(body)
        assert record["response"]["content"] == "sp" and "usage" not in record, path


PIECES: list[bytes] = [
    b"", b" ", b"x", b"null", b"1", b"[]", b"[1", b"[[[", b"{}", b"{", b"[" * 100_000, b"data:", b"data: \n\n",
    b"data: 1\n\n", b"data: []\n\n", b'data: {"type": 5}\n\n', b"\xff\xfe\x00", b'{"choices": 5}', b'{"choices": [5]}',
    b'{"output": [5], "status": "x"}', b'{"content": 5, "role": []}', b'{"candidates": [[]]}', b'{"message": {}}',
    b'data: {"type": "response.completed", "response": 5}\n\n', b'data: {"type": "message_start"}\n\n',
    b'data: {"type": "content_block_delta", "index": "x"}\n\n', b'data: {"type": "response.output_item.done"}\n\n',
    b'data: {"choices": [{"delta": 5}]}\n\n', b'data: {"choices": [{"delta": {"tool_calls": [5]}}]}\n\n',
    b'data: {"choices": [{"text": 5}], "usage": 7}\n\n', b'[{"candidates": 5}]', b'{"message": 5, "done": 1}\n{"a"',
    b'{"response": 5, "done": true}\n{"done": 1}', b'data: {"error": []}\n\n', b'data: {"error": {"message": {}}}\n\n',
]  # fmt: skip


@pytest.mark.parametrize("path", ASKED)
def test_what_is_no_answer_costs_a_bad_call_at_most(path: str) -> None:
    dialect = dialect_of(path)
    refused = 0
    for body in PIECES:
        for content_type in ("", "text/event-stream", "application/json"):
            try:
                assert isinstance(dialect.answered(body, content_type), dict)
            except BadCall:
                refused += 1
    assert refused > len(PIECES)
