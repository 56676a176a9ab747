"""OpenTelemetry GenAI spans: today's form with parts, and the older one with an event a message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from protege import Call, Workspace
from protege.collect import Collected, collect

QUESTION = [{"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}]
ANSWER = [{"role": "assistant", "parts": [{"type": "text", "content": "Rain."}], "finish_reason": "stop"}]


def any_value(value: Any) -> dict[str, Any]:
    """A value as OTLP writes it."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [any_value(item) for item in value]}}
    if isinstance(value, dict):
        return {"kvlistValue": {"values": attributes(value)}}
    return {"stringValue": value}


def attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": any_value(value)} for key, value in values.items()]


def span(values: dict[str, Any], *, span_id: str = "b1", events: Any = (), **fields: Any) -> dict[str, Any]:
    base = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}
    return {
        "traceId": "a1",
        "spanId": span_id,
        "name": "chat gpt-4o",
        "startTimeUnixNano": "1700000000000000000",
        "endTimeUnixNano": "1700000001500000000",
        "attributes": attributes({**base, **values}),
        "events": [{"name": name, "attributes": attributes(found)} for name, found in events],
        **fields,
    }


def export(*spans: dict[str, Any]) -> dict[str, Any]:
    scope = {"scope": {"name": "openai.instrumentation"}, "spans": list(spans)}
    return {"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [scope]}]}


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(*documents: Any, indent: int | None = None) -> tuple[list[Call], Collected]:
        path = tmp_path / "spans.json"
        path.write_text("\n".join(json.dumps(document, indent=indent) for document in documents))
        workspace = Workspace(tmp_path / "home")
        result = collect(workspace, [path])
        assert collect(workspace, [path]).added == 0
        return list(workspace.calls()), result

    return read


@pytest.mark.parametrize("written", [json.dumps, lambda value: value], ids=["JSON text", "structured"])
@pytest.mark.parametrize("indent", [None, 2], ids=["one line", "many lines"])
def test_a_span_with_parts_is_a_call(read: Any, written: Any, indent: int | None) -> None:
    asked = [
        *QUESTION,
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm"},
                {"type": "text", "content": "Let me see."},
                {"type": "tool_call", "id": "t1", "name": "weather", "arguments": {"city": "Paris"}},
            ],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "t1", "response": {"sky": "rain"}}]},
    ]
    tool = {"type": "function", "name": "weather", "description": "The weather.", "parameters": {"type": "object"}}
    (call,), result = read(
        export(
            span(
                {
                    "gen_ai.system_instructions": written([{"type": "text", "content": "Be short."}]),
                    "gen_ai.input.messages": written(asked),
                    "gen_ai.output.messages": written(ANSWER),
                    "gen_ai.tool.definitions": written([tool]),
                    "gen_ai.output.type": "json",
                    "gen_ai.request.temperature": 0.5,
                    "gen_ai.request.max_tokens": 100,
                    "gen_ai.request.stop_sequences": ["END"],
                    "gen_ai.response.model": "gpt-4o-2024-08-06",
                    "gen_ai.response.time_to_first_chunk": 0.25,
                    "gen_ai.usage.input_tokens": 1000,
                    "gen_ai.usage.output_tokens": 100,
                    "gen_ai.conversation.id": "talk",
                    "gen_ai.agent.name": "guide",
                },
                parentSpanId="p1",
            )
        ),
        indent=indent,
    )
    assert (result.read, result.skipped) == (1, ())
    function = {"name": "weather", "arguments": '{"city":"Paris"}'}
    assert list(call.request.messages) == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Weather in Paris?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [{"id": "t1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": '{"sky":"rain"}'},
    ]
    assert call.response == {"role": "assistant", "content": "Rain."}
    assert call.request.tool_names == ("weather",)
    assert call.request.response_format == {"type": "json_object"}
    assert call.request.parameters == {"temperature": 0.5, "max_tokens": 100, "stop": ["END"]}
    assert (call.id, call.run, call.parent, call.agent) == ("a1-b1", "talk", "p1", "guide")
    assert (call.model, call.answered_by, call.framework) == ("gpt-4o", "gpt-4o-2024-08-06", "openai.instrumentation")
    assert (call.time, call.latency_ms, call.ttft_ms) == (1.7e9, 1500.0, 250.0)
    assert (call.input_tokens, call.output_tokens, call.finish_reason) == (1000, 100, "stop")
    assert call.cost_usd == pytest.approx(0.0035)
    assert call.error is None


def test_messages_may_stand_on_the_details_event(read: Any) -> None:
    details = {"gen_ai.input.messages": QUESTION, "gen_ai.output.messages": ANSWER}
    (call,), _ = read(export(span({}, events=[("gen_ai.client.inference.operation.details", details)])))
    assert call.response == {"role": "assistant", "content": "Rain."}
    assert call.run == "a1"


@pytest.mark.parametrize("as_json", [True, False])
def test_the_older_form_has_an_event_a_message(read: Any, as_json: bool) -> None:
    def body(value: dict[str, Any]) -> dict[str, Any]:
        return {"gen_ai.event.content": json.dumps(value)} if as_json else value

    made = [{"id": "t1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Paris"}'}}]
    events = [
        ("gen_ai.system.message", body({"content": "Be short."})),
        ("gen_ai.user.message", body({"content": "Weather in Paris?"})),
        ("gen_ai.assistant.message", body({"tool_calls": made})),
        ("gen_ai.tool.message", body({"id": "t1", "content": "rain"})),
        ("gen_ai.choice", body({"index": 0, "finish_reason": "stop", "message": {"content": "Rain."}})),
        ("gen_ai.choice", body({"index": 1, "finish_reason": "stop", "message": {"content": "Sun."}})),
    ]
    usage = {"gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.completion_tokens": 2}
    (call,), _ = read(export(span(usage, events=events)))
    assert list(call.request.messages) == [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Weather in Paris?"},
        {"role": "assistant", "content": None, "tool_calls": made},
        {"role": "tool", "content": "rain", "tool_call_id": "t1"},
    ]
    assert call.response == {"role": "assistant", "content": "Rain."}
    assert (call.finish_reason, call.input_tokens, call.output_tokens) == ("stop", 9, 2)


def test_an_answer_of_tool_calls(read: Any) -> None:
    parts = [{"type": "tool_call", "id": "t1", "name": "weather", "arguments": {"city": "Paris"}}]
    answer = [{"role": "assistant", "parts": parts, "finish_reason": "tool_call"}]
    (call,), _ = read(export(span({"gen_ai.input.messages": QUESTION, "gen_ai.output.messages": answer})))
    assert call.response is not None
    assert call.response["content"] is None
    assert call.response["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Paris"}'}
    assert call.finish_reason == "tool_calls"


def test_images_stay_parts(read: Any) -> None:
    parts = [
        {"type": "text", "content": "What is it?"},
        {"type": "uri", "modality": "image", "uri": "https://example.org/a.png"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "AAAA"},
    ]
    (call,), _ = read(export(span({"gen_ai.input.messages": [{"role": "user", "parts": parts}]})))
    assert call.request.messages[0]["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]


def test_a_failed_call_keeps_its_error(read: Any) -> None:
    asked = {"gen_ai.input.messages": QUESTION}
    by_type = span({**asked, "error.type": "timeout"})
    by_status = span(asked, span_id="b2", status={"code": 2, "message": "no route"})
    calls, _ = read(export(by_type, by_status))
    assert [(call.error, call.response) for call in calls] == [("timeout", None), ("no route", None)]


def test_spans_of_other_things_are_passed_over(read: Any) -> None:
    asked = {"gen_ai.input.messages": QUESTION, "gen_ai.output.messages": ANSWER}
    others = [
        span({**asked, "gen_ai.operation.name": name}, span_id=name)
        for name in ("invoke_agent", "execute_tool", "embeddings")
    ]
    plain = {"traceId": "a1", "spanId": "c", "attributes": attributes({"http.method": "GET"})}
    calls, result = read(export(*others, plain, span(asked)))
    assert len(calls) == 1
    assert result.skipped == ()


def test_call_spans_that_cannot_be_used_are_named(read: Any) -> None:
    good = span({"gen_ai.input.messages": QUESTION})
    odd = {"traceId": "a1", "spanId": "odd", "attributes": 5}
    calls, result = read(export(good, span({}, span_id="empty")), export(odd), {"resourceSpans": 5})
    assert len(calls) == 1
    assert [(skipped.line, skipped.reason.split(";")[0]) for skipped in result.skipped] == [
        (1, "span empty: holds no messages"),
        (2, "a span that is not in the form of OTLP"),
        (3, "holds no resourceSpans"),
    ]


def of_kind(kind: str, **values: Any) -> dict[str, Any]:
    """A span without the attributes of GenAI's conventions."""
    return {**span({}), "attributes": attributes({"openinference.span.kind": kind, **values} if kind else values)}


def test_the_request_and_answer_of_an_openinference_span_may_be_whole_json(read: Any) -> None:
    asked, answer = {"messages": [{"role": "user", "content": "hi"}]}, {"choices": [{"message": {"content": "yo"}}]}
    values = {"input.value": json.dumps(asked), "output.value": json.dumps(answer), "llm.model_name": "m"}
    (call,), _ = read(export(of_kind("LLM", **values)))
    assert call.request.messages == tuple(asked["messages"]) and call.response["content"] == "yo"


def test_spans_of_the_ai_sdk_are_read_where_they_hold_the_messages(read: Any) -> None:
    tool = {"type": "function", "name": "sky", "inputSchema": {"type": "object"}}
    used = {"type": "tool-call", "toolCallId": "c", "toolName": "sky", "input": {"city": "Oslo"}}
    inner = {
        "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
        "ai.response.text": "I look.", "ai.response.toolCalls": json.dumps([used]), "ai.prompt.tools": [
            json.dumps(tool)], "ai.response.finishReason": "tool-calls", "gen_ai.request.model": "m",
        "ai.usage.inputTokens": 9, "ai.usage.outputTokens": 5, "ai.usage.cachedInputTokens": 4,
    }  # fmt: skip
    outer = {**of_kind("", **{"ai.prompt": '{"prompt":"hi"}', "ai.response.text": "I look."}), "spanId": "o"}
    (call,), told = read(export({**of_kind("", **inner), "parentSpanId": "o"}, outer))
    assert told.passed == {"another step": 1}
    assert call.response["content"] == "I look." and call.response["tool_calls"][0]["function"]["name"] == "sky"
    assert call.request.tools[0]["function"]["parameters"] == {"type": "object"}
    assert (call.finish_reason, call.input_tokens, call.cache_read_tokens) == ("tool_calls", 9, 4)


def test_events_may_stand_in_an_attribute(read: Any) -> None:
    events = [
        {"event.name": "gen_ai.user.message", "role": "user", "content": "hi"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "yo"}},
    ]
    (call,), _ = read(export(span({"events": json.dumps(events)})))
    assert call.request.messages == ({"role": "user", "content": "hi"},) and call.response["content"] == "yo"
