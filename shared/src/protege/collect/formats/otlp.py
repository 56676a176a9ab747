"""OpenTelemetry GenAI spans in OTLP JSON: resourceSpans → scopeSpans → spans.

Reads today's conventions (`gen_ai.input.messages` with parts, on the span or on its event) and those up to v1.36 (one
event for each message: `gen_ai.user.message`, …, `gen_ai.choice`). A span is a call if its operation is a chat or a
completion; spans of tools, agents and embeddings are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...errors import BadCall
from .otlp_messages import finish_reason, from_events, from_parts, tools_of

CHAT = frozenset({"chat", "text_completion", "generate_content"})
"""The operations that are calls."""
_PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "seed": "seed",
    "choice.count": "n",
}


def records(document: Any) -> Iterator[dict[str, Any] | BadCall]:
    """The calls of one export, and a BadCall for each span of a call that cannot be used. Raises BadCall."""
    if not isinstance(document, Mapping) or not isinstance(document.get("resourceSpans"), list):
        raise BadCall("holds no resourceSpans.")
    for resource in document["resourceSpans"]:
        for scope in resource.get("scopeSpans") or ():
            for span in scope.get("spans") or ():
                try:
                    if record := _record(span, scope.get("scope") or {}):
                        yield record
                except BadCall as error:
                    yield BadCall(f"span {span.get('spanId')}: {error.fact}")
                except (AttributeError, KeyError, TypeError, ValueError):
                    yield BadCall("a span that is not in the form of OTLP.")


def _record(span: Mapping[str, Any], scope: Mapping[str, Any]) -> dict[str, Any] | None:
    """The call of a span; None if it is the span of something else."""
    events = [(str(event.get("name", "")), attributes_of(event)) for event in span.get("events") or ()]
    details = {k: v for name, held in events if name == _DETAILS for k, v in held.items()}
    attributes = {**attributes_of(span), **details}
    operation = attributes.get("gen_ai.operation.name")
    if operation not in CHAT and (operation or "gen_ai.request.model" not in attributes):
        return None
    conversation = from_parts(attributes) or from_events(events)
    if conversation is None:
        raise BadCall("holds no messages; record them with the content capture of your instrumentation.")
    reasons = attributes.get("gen_ai.response.finish_reasons") or [None]
    record = {
        "id": f"{span['traceId']}-{span['spanId']}",
        **conversation,
        "finish_reason": finish_reason(conversation.get("finish_reason") or reasons[0]),
        "tools": conversation.get("tools") or tools_of(attributes),
        "response_format": {"type": "json_object"} if attributes.get("gen_ai.output.type") == "json" else None,
        "parameters": _named(attributes, "gen_ai.request.", _PARAMETERS),
        "model": attributes.get("gen_ai.request.model") or attributes.get("gen_ai.response.model"),
        "answered_by": attributes.get("gen_ai.response.model"),
        "run": attributes.get("gen_ai.conversation.id") or span["traceId"],
        "parent": span.get("parentSpanId") or None,
        "agent": attributes.get("gen_ai.agent.name"),
        "framework": scope.get("name"),
        "usage": _usage(attributes),
        "error": _error(span, attributes),
        **_times(span, attributes),
    }
    return {name: value for name, value in record.items() if value not in (None, {}, [])}


_DETAILS = "gen_ai.client.inference.operation.details"


def attributes_of(thing: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes of a span or an event as plain values."""
    return {entry["key"]: _value(entry.get("value") or {}) for entry in thing.get("attributes") or ()}


def _value(value: Mapping[str, Any]) -> Any:
    """OTLP's AnyValue, which writes 64-bit integers as strings."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values") or ()]
    if "kvlistValue" in value:
        return {entry["key"]: _value(entry.get("value") or {}) for entry in value["kvlistValue"].get("values") or ()}
    return next(iter(value.values()), None)


def _named(attributes: Mapping[str, Any], prefix: str, names: Mapping[str, str]) -> dict[str, Any]:
    values = {ours: attributes.get(prefix + theirs) for theirs, ours in names.items()}
    return {name: value for name, value in values.items() if value is not None}


def _usage(attributes: Mapping[str, Any]) -> dict[str, Any]:
    older = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
    newer = {"input_tokens": "input_tokens", "output_tokens": "output_tokens"}
    return {**_named(attributes, "gen_ai.usage.", older), **_named(attributes, "gen_ai.usage.", newer)}


def _error(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    status = span.get("status") or {}
    if status.get("code") not in (2, "STATUS_CODE_ERROR") and "error.type" not in attributes:
        return None
    return str(attributes.get("error.type") or status.get("message") or "error")


def _times(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, float]:
    start, end = int(span.get("startTimeUnixNano") or 0), int(span.get("endTimeUnixNano") or 0)
    times: dict[str, float] = {}
    if start:
        times["time"] = start / 1e9
    if start and end >= start:
        times["latency_ms"] = (end - start) / 1e6
    if (first := attributes.get("gen_ai.response.time_to_first_chunk")) is not None:
        times["ttft_ms"] = float(first) * 1000  # the convention gives seconds
    return times
