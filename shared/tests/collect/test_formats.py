"""The same calls in each form of files are the same calls. Inputs are made up after each project's own documents."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import zstandard
from protege import Call
from protege.chat.answer import answer_text
from protege.collect.formats.registry import FORMATS, format_of, formats
from protege.collect.importing import Skipped, _Reading
from protege.collect.opening import files_in
from protege.errors import BadCall, BadInput

SYSTEM = "Sort the ticket."
TOOL = {
    "type": "function",
    "function": {"name": "track", "description": "Where it is.", "parameters": {"type": "object", "properties": {}}},
}
ARGUMENTS = {"order": 17}
CALLED = {"id": "c1", "type": "function", "function": {"name": "track", "arguments": '{"order":17}'}}
TEXTS = ["My parcel is late.", "I was charged twice.", "I cannot log in."]
LABELS = ["shipping", "billing", "account"]


def read(tmp_path: Path, *contents: Any, form: str | None = None) -> tuple[list[Call], list[str], dict[str, int]]:
    """The calls in files of these documents, why lines were skipped, and what was passed over."""
    for number, content in enumerate(contents):
        data = content if isinstance(content, bytes) else b"".join(json.dumps(d).encode() + b"\n" for d in content)
        (tmp_path / f"{number}.jsonl").write_bytes(data)
    reading = _Reading(None if form is None else FORMATS.get(form))
    items = list(reading.of(files_in(tmp_path)))
    calls = [item for item in items if isinstance(item, Call)]
    return calls, [item.reason for item in items if isinstance(item, Skipped)], dict(reading.passed)


def anthropic(i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    asked = {
        "model": "claude-x", "max_tokens": 50, "system": [{"type": "text", "text": SYSTEM}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": TEXTS[i]}]}],
        "tools": [{"name": "track", "description": "Where it is.", "input_schema": TOOL["function"]["parameters"]}],
    }  # fmt: skip
    usage = {"input_tokens": 4, "cache_read_input_tokens": 96, "output_tokens": 2}
    answer = {
        "id": f"msg_{i}", "type": "message", "role": "assistant", "model": "claude-x-1", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": LABELS[i]}], "usage": usage,
    }  # fmt: skip
    return asked, answer


def gemini(i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    declared = {"name": "track", "description": "Where it is.", "parameters": TOOL["function"]["parameters"]}
    asked = {
        "systemInstruction": {"parts": [{"text": SYSTEM}]}, "contents": [{"parts": [{"text": TEXTS[i]}]}],
        "tools": [{"functionDeclarations": [declared]}], "generationConfig": {"maxOutputTokens": 50},
    }  # fmt: skip
    content = {"role": "model", "parts": [{"text": "hm", "thought": True}, {"text": LABELS[i]}]}
    usage = {"promptTokenCount": 100, "cachedContentTokenCount": 96, "candidatesTokenCount": 2}
    answer = {
        "candidates": [{"content": content, "finishReason": "STOP"}],
        "usageMetadata": usage,
        "responseId": f"g{i}",
    }
    return asked, answer


def chat(i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": TEXTS[i]}]
    asked = {"model": "gpt-x", "messages": messages, "tools": [TOOL], "max_tokens": 50}
    choice = {"index": 0, "message": {"role": "assistant", "content": LABELS[i]}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 100, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 96}}
    answer = {"id": f"chatcmpl-{i}", "object": "chat.completion", "created": 1_760_000_000, "model": "gpt-x-1"}
    return asked, {**answer, "choices": [choice], "usage": usage}


def responses(i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tool = {"type": "function", **TOOL["function"]}
    items = [{"role": "user", "content": [{"type": "input_text", "text": TEXTS[i]}]}]
    asked = {"model": "gpt-x", "instructions": SYSTEM, "input": items, "tools": [tool], "max_output_tokens": 50}
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": LABELS[i]}]}
    usage = {"input_tokens": 100, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 96}}
    answer = {"id": f"resp_{i}", "object": "response", "status": "completed", "model": "gpt-x-1", "usage": usage}
    return asked, {**answer, "output": [{"type": "reasoning", "summary": []}, said]}


def bedrock(i: int) -> tuple[dict[str, Any], dict[str, Any]]:
    spec = {"name": "track", "description": "Where it is.", "inputSchema": {"json": TOOL["function"]["parameters"]}}
    asked = {
        "modelId": "m", "system": [{"text": SYSTEM}], "messages": [{"role": "user", "content": [{"text": TEXTS[i]}]}],
        "toolConfig": {"tools": [{"toolSpec": spec}]}, "inferenceConfig": {"maxTokens": 50},
    }  # fmt: skip
    message = {"role": "assistant", "content": [{"text": LABELS[i]}]}
    usage = {"inputTokens": 4, "cacheReadInputTokens": 96, "outputTokens": 2}
    return asked, {"output": {"message": message}, "stopReason": "end_turn", "usage": usage}


DIALECTS = (chat, anthropic, gemini, responses, bedrock)


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    def value(v: Any) -> dict[str, Any]:
        return {"intValue": str(v)} if isinstance(v, int) else {"stringValue": v}

    return [{"key": key, "value": value(v)} for key, v in values.items()]


def spans(*held: dict[str, Any]) -> dict[str, Any]:
    def span(i: int, values: dict[str, Any]) -> dict[str, Any]:
        ids = {"traceId": "a1", "spanId": f"{i:016x}", "name": "chat"}
        return {**ids, "startTimeUnixNano": "1760000000000000000", "attributes": attributes(values)}

    return {"resourceSpans": [{"scopeSpans": [{"spans": [span(i, values) for i, values in enumerate(held)]}]}]}


USAGE = {"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 2, "gen_ai.usage.cache_read.input_tokens": 96}


def parts(i: int) -> dict[str, Any]:
    asked = [{"role": "user", "parts": [{"type": "text", "content": TEXTS[i]}]}]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": LABELS[i]}], "finish_reason": "stop"}]
    return {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-x", "gen_ai.request.max_tokens": 50,
        "gen_ai.system_instructions": json.dumps([{"type": "text", "content": SYSTEM}]),
        "gen_ai.input.messages": json.dumps(asked), "gen_ai.output.messages": json.dumps(said),
        "gen_ai.tool.definitions": json.dumps([{"type": "function", **TOOL["function"]}]), **USAGE,
    }  # fmt: skip


def openllmetry(i: int) -> dict[str, Any]:
    tool = TOOL["function"]
    return {
        "llm.request.type": "chat", "gen_ai.request.model": "gpt-x", "gen_ai.request.max_tokens": 50,
        "gen_ai.prompt.0.role": "system", "gen_ai.prompt.0.content": SYSTEM,
        "gen_ai.prompt.1.role": "user", "gen_ai.prompt.1.content": TEXTS[i],
        "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.content": LABELS[i],
        "gen_ai.completion.0.finish_reason": "stop",
        "llm.request.functions.0.name": tool["name"], "llm.request.functions.0.description": tool["description"],
        "llm.request.functions.0.parameters": json.dumps(tool["parameters"]), **USAGE,
    }  # fmt: skip


def openinference(i: int) -> dict[str, Any]:
    return {
        "openinference.span.kind": "LLM", "llm.model_name": "gpt-x",
        "llm.invocation_parameters": json.dumps({"max_tokens": 50}),
        "llm.input_messages.0.message.role": "system", "llm.input_messages.0.message.content": SYSTEM,
        "llm.input_messages.1.message.role": "user",
        "llm.input_messages.1.message.contents.0.message_content.type": "text",
        "llm.input_messages.1.message.contents.0.message_content.text": TEXTS[i],
        "llm.output_messages.0.message.role": "assistant", "llm.output_messages.0.message.content": LABELS[i],
        "llm.tools.0.tool.json_schema": json.dumps(TOOL), "llm.finish_reason": "stop",
        "llm.token_count.prompt": 100, "llm.token_count.completion": 2, "llm.token_count.prompt_details.cache_read": 96,
    }  # fmt: skip


def phoenix(i: int) -> dict[str, Any]:
    tool = {"tool": {"json_schema": json.dumps(TOOL)}}
    llm = {
        "model_name": "gpt-x", "invocation_parameters": '{"max_tokens": 50}', "tools": [tool], "finish_reason": "stop",
        "input_messages": [{"message": m} for m in chat(i)[0]["messages"]],
        "output_messages": [{"message": {"role": "assistant", "content": LABELS[i]}}],
        "token_count": {"prompt": 100, "completion": 2, "prompt_details": {"cache_read": 96}},
    }  # fmt: skip
    context = {"trace_id": "t1", "span_id": f"s{i}"}
    held = {"openinference": {"span": {"kind": "LLM"}}, "llm": llm}
    return {"id": "x", "name": "ChatCompletion", "context": context, "span_kind": "LLM", "parent_id": None,
            "start_time": "2025-10-09T08:53:20+00:00", "status_code": "OK", "attributes": held}  # fmt: skip


def langfuse(i: int) -> dict[str, Any]:
    asked, answer = chat(i)
    return {
        "id": f"o{i}", "traceId": "t1", "parentObservationId": None, "type": "GENERATION", "name": "sort",
        "startTime": "2025-10-09T08:53:20.000Z", "endTime": "2025-10-09T08:53:21.000Z", "model": "gpt-x",
        "modelParameters": {"max_tokens": 50}, "input": {"messages": asked["messages"], "tools": [TOOL]},
        "output": answer["choices"][0]["message"], "usageDetails": {"input": 4, "input_cached_tokens": 96, "output": 2},
    }  # fmt: skip


def langsmith(i: int) -> dict[str, Any]:
    def constructed(kind: str, content: str, **more: Any) -> dict[str, Any]:
        name = ["langchain", "schema", "messages", kind]
        return {"lc": 1, "type": "constructor", "id": name, "kwargs": {"content": content, **more}}

    usage = {"input_tokens": 100, "output_tokens": 2, "total_tokens": 102, "input_token_details": {"cache_read": 96}}
    said = constructed("AIMessage", LABELS[i], usage_metadata=usage, response_metadata={"finish_reason": "stop"})
    return {
        "id": f"r{i}", "run_type": "llm", "name": "ChatOpenAI", "trace_id": "t1", "parent_run_id": None,
        "start_time": "2025-10-09T08:53:20.000000", "end_time": "2025-10-09T08:53:21.000000",
        "inputs": {"messages": [[constructed("SystemMessage", SYSTEM), constructed("HumanMessage", TEXTS[i])]]},
        "outputs": {"generations": [[{"text": LABELS[i], "message": said}]]},
        "extra": {"metadata": {"ls_model_name": "gpt-x"}, "invocation_params": {"max_tokens": 50, "tools": [TOOL]}},
    }  # fmt: skip


def litellm(i: int) -> dict[str, Any]:
    asked, answer = chat(i)
    return {
        "request_id": f"chatcmpl-{i}", "call_type": "acompletion", "spend": 0.001, "model": "gpt-x", "session_id": "s",
        "startTime": "2025-10-09T08:53:20.000Z", "endTime": "2025-10-09T08:53:21.000Z", "status": "success",
        "prompt_tokens": 100, "completion_tokens": 2, "messages": json.dumps(asked["messages"]),
        "response": json.dumps(answer), "proxy_server_request": json.dumps(asked),
    }  # fmt: skip


def own(i: int) -> dict[str, Any]:
    asked, answer = chat(i)
    usage = {"input_tokens": 100, "output_tokens": 2, "cache_read_tokens": 96}
    said = {"response": answer["choices"][0]["message"], "finish_reason": "stop", "usage": usage}
    fields = {name: asked[name] for name in ("model", "messages", "tools")}
    return {"id": f"c{i}", **fields, "parameters": {"max_tokens": 50}, **said}


FILES: dict[str, list[list[Any]]] = {
    "calls": [[own(i) for i in range(3)]],
    **{f"requests {d.__name__}": [[{"request": d(i)[0], "response": d(i)[1]} for i in range(3)]] for d in DIALECTS},
    "batch": [
        [{"custom_id": f"{i}", "method": "POST", "url": "/v1/chat/completions", "body": chat(i)[0]} for i in range(3)],
        [{"id": "b", "custom_id": f"{i}", "response": {"status_code": 200, "body": chat(i)[1]}} for i in (2, 0, 1)],
    ],
    "batch anthropic": [
        [{"custom_id": f"{i}", "result": {"type": "succeeded", "message": anthropic(i)[1]}} for i in range(3)],
        [{"custom_id": f"{i}", "params": anthropic(i)[0]} for i in range(3)],
    ],
    "batch gemini": [
        [{"key": f"{i}", "request": gemini(i)[0]} for i in range(3)],
        [{"key": f"{i}", "response": gemini(i)[1]} for i in range(3)],
    ],
    "stored completions": [
        [{"object": "list", "data": [{**chat(i)[1], "tools": [TOOL], "max_tokens": 50} for i in range(3)]}],
        *([{"object": "list", "data": chat(i)[0]["messages"], "first_id": f"chatcmpl-{i}-0"}] for i in range(3)),
    ],
    "stored responses": [[{**responses(i)[0], **responses(i)[1]} for i in range(3)]],
    "otlp": [[spans(*(parts(i) for i in range(3)))]],
    "openllmetry": [[spans(*(openllmetry(i) for i in range(3)))]],
    "openinference": [[spans(*(openinference(i) for i in range(3)))]],
    "phoenix": [[{"data": [phoenix(i) for i in range(3)], "next_cursor": None}]],
    "langfuse": [[{"data": [langfuse(i) for i in range(3)], "meta": {"page": 1}}]],
    "langfuse trace": [[{"id": "t1", "observations": [langfuse(i) for i in range(3)]}]],
    "langsmith": [[langsmith(i) for i in range(3)]],
    "litellm": [[litellm(i) for i in range(3)]],
}  # fmt: skip


LOSES_THE_REASON = ("langfuse", "langfuse trace")


@pytest.mark.parametrize("name", FILES)
def test_the_same_calls_come_out_of_every_form(tmp_path: Path, name: str) -> None:
    calls, skipped, _ = read(tmp_path, *FILES[name])
    assert skipped == []
    calls.sort(key=lambda call: TEXTS.index(str(call.request.messages[-1]["content"])))
    assert [[dict(m) for m in call.request.messages] for call in calls] == [chat(i)[0]["messages"] for i in range(3)]
    assert [answer_text(call.response or {}) for call in calls] == LABELS
    assert {call.finish_reason for call in calls} == {None if name in LOSES_THE_REASON else "stop"}
    assert [(c.input_tokens, c.output_tokens, c.cache_read_tokens) for c in calls] == [(100, 2, 96)] * 3
    assert all(call.request.tools == (TOOL,) and call.request.parameters["max_tokens"] == 50 for call in calls)
    assert len({call.id for call in calls}) == 3


@pytest.mark.parametrize("form", FORMATS.names())
def test_each_form_may_be_named(form: str) -> None:
    assert FORMATS.get(form).title


def test_tool_calls_come_out_of_every_form(tmp_path: Path) -> None:
    asked = {"role": "user", "content": TEXTS[0]}
    use = {"type": "tool_use", "id": "c1", "name": "track", "input": ARGUMENTS}
    flat = {"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": TEXTS[0], "llm.request.type": "chat"}
    flat |= {
        "gen_ai.completion.0.tool_calls.0.name": "track",
        "gen_ai.completion.0.tool_calls.0.arguments": '{"order":17}',
    }
    inferred = {"openinference.span.kind": "LLM", "llm.input_messages.0.message.content": TEXTS[0]}
    made = "llm.output_messages.0.message.tool_calls.0.tool_call"
    inferred |= {f"{made}.id": "c1", f"{made}.function.name": "track", f"{made}.function.arguments": '{"order":17}'}
    flat_call = json.dumps({"name": "track", "arguments": ARGUMENTS})
    calling = {"role": "assistant", "tool_calls": [CALLED]}
    begun = {"type": "content_block_delta", "index": 0}
    item = {"type": "function_call", "call_id": "c1", "name": "track", "arguments": '{"order":17}'}
    part = {"functionCall": {"name": "track", "args": ARGUMENTS}}
    documents: list[Any] = [
        {"messages": [asked], "choices": [{"message": {"role": "assistant", "tool_calls": [CALLED]}}]},
        {"messages": [asked], "response": [{"role": "assistant", "tool_calls": [CALLED]}, {"role": "assistant"}]},
        {"request": {"messages": [asked]}, "response": {"role": "assistant", "content": [use], "usage": {}}},
        {"request": {"input": TEXTS[0]}, "response": {"object": "response", "output": [item]}},
        {"request": {"contents": TEXTS[0]}, "response": {"candidates": [{"content": {"parts": [part]}}]}},
        spans(flat), spans(inferred),
        {**langfuse(0), "input": [asked], "output": {"role": "assistant", "tool_calls": [CALLED]}},
        {**langsmith(0), "inputs": {"messages": [asked]}, "outputs": {"choices": [{"message": calling}]}},
        {"conversations": [{"from": "human", "value": TEXTS[0]}, {"from": "function_call", "value": flat_call}]},
        {"messages": [asked], "response": [
            {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {**use, "input": {}}},
            {**begun, "delta": {"type": "input_json_delta", "partial_json": '{"order":'}},
            {**begun, "delta": {"type": "input_json_delta", "partial_json": "17}"}},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
        ]},
    ]  # fmt: skip
    for number, document in enumerate(documents):
        calls, skipped, _ = read(tmp_path, [document])
        assert skipped == [], number
        assert [answer_text(c.response or {}) for c in calls] == ['{"name":"track","arguments":{"order":17}}'], number
        assert calls[0].request.messages[-1]["content"] == TEXTS[0]


@pytest.mark.parametrize(
    "line",
    [
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "yes"}], "source": "crm"},
        {"messages": [{"role": "user", "content": "x"}], "choices": [{"message": {"content": "yes"}}]},
        {"messages": [{"role": "user", "content": "x"}], "completion": "yes"},
        {"messages": [{"role": "user", "content": "x"}], "output": [{"role": "assistant", "content": "yes"}]},
        {"messages": [{"role": "user", "content": "x"}], "response": "yes"},
        {"prompt": "x", "completion": "yes"},
        {"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": "yes"}]},
    ],
)
def test_no_line_loses_the_answer_that_it_holds(tmp_path: Path, line: dict[str, Any]) -> None:
    (call,), skipped, _ = read(tmp_path, [line])
    assert (call.response or {}).get("content") == "yes"
    assert skipped == []


def test_steps_of_a_trace_that_are_no_calls_are_counted(tmp_path: Path) -> None:
    tool = {"openinference.span.kind": "TOOL", "input.value": "x"}
    other = {**langfuse(1), "type": "SPAN"}
    step = {**langsmith(2), "run_type": "tool"}
    _, skipped, passed = read(tmp_path, [spans(tool), other, step])
    assert skipped == []
    assert passed == {"tool step": 2, "span step": 1}


@pytest.mark.parametrize("make", ["otlp", "langfuse", "langsmith"])
def test_a_call_that_two_layers_tell_is_taken_once(tmp_path: Path, make: str) -> None:
    made = {
        "otlp": [phoenix(0), phoenix(0), phoenix(0)],
        "langfuse": [langfuse(0), {**langfuse(0), "type": "SPAN"}, langfuse(0)],
        "langsmith": [langsmith(0), {**langsmith(0), "run_type": "chain"}, langsmith(0)],
    }[make]
    for n, document in enumerate(made):
        if make == "otlp":
            document |= {"context": {"trace_id": "t", "span_id": f"s{n}"}, "parent_id": f"s{n - 1}" if n else None}
        else:
            document["id"] = f"s{n}"
            document["parentObservationId" if make == "langfuse" else "parent_run_id"] = f"s{n - 1}" if n else None
    calls, _, passed = read(tmp_path, made)
    assert [call.id.rpartition("-")[2] for call in calls] == ["s2"]
    assert passed["step around a call that tells it once more"] == (2 if make == "otlp" else 1)


def test_halves_without_their_other_half_are_named_with_their_place(tmp_path: Path) -> None:
    asked = [{"custom_id": "a", "url": "/v1/chat/completions", "body": chat(0)[0]}]
    _, skipped, _ = read(tmp_path, asked)
    assert skipped == ["a request whose answer is in none of these files; give the output file too"]
    _, skipped, passed = read(
        tmp_path, [*asked, *asked, {"custom_id": "e", "url": "/v1/embeddings", "body": {"input": "x"}}]
    )
    assert "its key (batch a) is another's too" in skipped[0]
    assert passed == {"request to embeddings": 1}


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ({"resourceLogs": []}, "OpenTelemetry logs; export the spans"),
        ({"traceID": "x", "spans": []}, "a Jaeger trace; export it as OTLP JSON"),
        ({"log": {}, "version": "1.2"}, "a HAR file"),
        ({"trace_info": {}, "trace_data": {"spans": None}}, "an MLflow trace without its spans"),
        ({"simulations": [{"messages": None}], "tasks": [], "info": {}}, "a simulation without messages"),
        ({"request_id": "r", "signed_body_url": "u"}, "a Helicone row without its bodies"),
        ({"request_id": "r", "request_created_at": "2026-01-01", "request_body": None}, "export them: npx"),
        ({"info": {}, "data": {"spans": None}}, "an MLflow trace without its spans"),
        ({"text": "<|im_start|>user\nhi<|im_end|>\n"}, "a conversation without an answer"),
        ({**litellm(0), "messages": {}, "proxy_server_request": {}}, "store_prompts_in_spend_logs"),
        ({**langfuse(0), "input": None}, "export it with its input"),
        ({**langsmith(0), "inputs": {"thing": 1}}, "a run without messages"),
    ],
)
def test_a_form_that_is_not_read_says_what_it_is(tmp_path: Path, document: dict[str, Any], named: str) -> None:
    calls, skipped, _ = read(tmp_path, [document])
    assert calls == []
    assert named in skipped[0]


def packed(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/b.jsonl", content)
        archive.writestr("c.json", b"")
    return buffer.getvalue()


LINES = b"".join(json.dumps(own(i), ensure_ascii=False).encode() + b"\n" for i in range(3))
LIST = json.dumps([own(i) for i in range(3)])


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(), json.dumps([own(i) for i in range(3)], indent=2).encode(), gzip.compress(LIST.encode()),
        zstandard.ZstdCompressor().compress(LINES), packed(LINES), packed(LIST.encode()),
        LINES.decode().encode("utf-16"), LINES.decode().encode("utf-16-le"), b"\xef\xbb\xbf" + LIST.encode(),
        LIST.encode() + b"\n", b" \n" + LIST.encode(), b"\n\t" + LINES,
    ],
    ids=["list", "list over lines", "list in gzip", "zstd", "zip", "list in zip", "UTF-16", "UTF-16 without BOM", "BOM",
         "list and a line", "blank and list", "line feed and tab"],
)  # fmt: skip
def test_files_may_be_packed_and_written_in_other_ways(tmp_path: Path, content: bytes) -> None:
    calls, skipped, _ = read(tmp_path, content)
    assert ([call.id for call in calls], skipped) == (["c0", "c1", "c2"], [])


def test_an_item_that_is_too_long_costs_itself_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("protege.collect.json_files.MOST_BYTES", 3_000_000)
    bad = [{"messages": [{"role": "user", "content": "x" * 5_000_000}]}, {"messages": [7]}]
    calls, skipped, _ = read(tmp_path, json.dumps([own(0), bad[0], own(1), bad[1], own(2)]).encode())
    assert [call.id for call in calls] == ["c0", "c1", "c2"]
    assert skipped == ["longer than a call may be, or cut off", "message 0 is not an object"]
    calls, skipped, _ = read(tmp_path, LIST.encode()[:-30])
    assert ([call.id for call in calls], len(skipped)) == (["c0", "c1"], 1)


def test_json_that_python_writes_is_read(tmp_path: Path) -> None:
    odd = (
        '{"messages":[{"role":"user","content":"cut \\ud83d"}],"response":{"role":"assistant","content":"x"}}\n'
        '{"messages":[{"role":"user","content":"a"}],"response":{"role":"assistant","content":"x"},"p":[NaN,-Infinity]}\n'
        '{"messages":[{"role":"user","content":"a"}],"response":{"role":"assistant","content":"x"},"n":99999999999999999999999}\n'
        '{"messages":[],"messages":[{"role":"user","content":"b"}],"response":{"role":"assistant","content":"x"}}\n'
    )
    calls, skipped, _ = read(tmp_path, odd.encode())
    assert skipped == []
    assert [call.request.messages[0]["content"] for call in calls] == ["cut ?", "a", "a", "b"]


def test_an_odd_span_costs_itself_alone(tmp_path: Path) -> None:
    document = spans(parts(0), parts(1), parts(2))
    held = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    held[1]["attributes"] = [{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}, {"nothing": 1}]
    calls, skipped, _ = read(tmp_path, [document])
    assert (len(calls), len(skipped)) == (2, 1)


def test_a_folder_without_files_of_calls_and_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="without files of calls"):
        files_in(tmp_path)
    with pytest.raises(BadCall, match="not a JSON object"):
        format_of(7, formats())
