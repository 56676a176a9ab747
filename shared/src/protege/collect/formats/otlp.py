"""Spans of traces: OTLP JSON (resourceSpans → scopeSpans → spans), and single spans as Phoenix and OpenTelemetry's
console exporter write them.

Their conventions are those of `otlp_messages`. A span is a call if its operation is a chat or a completion, or if it
holds messages; spans of tools, agents and embeddings are counted as passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ...common.messages import json_in
from ...dialects.reading import options_of
from ...errors import BadCall
from .base import Format, Record, Span, object_of, without_nothing
from .figures import time_or_none
from .otlp_messages import from_events, from_openinference, from_openllmetry, from_parts, from_vercel, tools_of

CHAT = frozenset({"chat", "text_completion", "generate_content", "completion"})
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
_KINDS = ("gen_ai.operation.name", "openinference.span.kind", "traceloop.span.kind", "llm.request.type")
"""The attributes that say what a span is."""


def units(document: Any) -> Iterator[Any]:
    """The spans of an export, each with its scope. Raises BadCall."""
    document = object_of(document)
    if "resourceSpans" not in document:
        yield {}, document
        return
    if not isinstance(document["resourceSpans"], list):
        raise BadCall("holds no resourceSpans.")
    for resource in document["resourceSpans"]:
        for scope in _listed(resource, "scopeSpans", "instrumentationLibrarySpans"):
            told = scope.get("scope") if isinstance(scope, Mapping) else None
            for span in _listed(scope, "spans"):
                yield told if isinstance(told, Mapping) else {}, span


def _listed(thing: Any, *names: str) -> list[Any]:
    """What a thing lists under the first of these names that it has. What is in another form stands for itself, so that
    it is named as a span that cannot be read, and costs nothing beside it."""
    if not isinstance(thing, Mapping):
        return [None]
    held: Any = next((thing[name] for name in names if thing.get(name)), [])
    return cast(list[Any], held) if isinstance(held, list) else [None]


def records(unit: Any) -> Iterator[Span]:
    """The call of a span, or what else it is. Raises BadCall, with the span's id, for a call that cannot be read."""
    scope, span = unit
    if not isinstance(span, Mapping):
        raise BadCall("a span that is not in the form of OTLP.")
    span = cast(Mapping[str, Any], span)
    context = _context(span)
    span_id = span.get("spanId") or context.get("span_id") or span.get("context.span_id")
    trace_id = span.get("traceId") or context.get("trace_id") or span.get("context.trace_id")
    if not span_id or not trace_id:
        raise BadCall("a span that is not in the form of OTLP.")
    try:
        record, kind = _record(span, scope)
    except BadCall as error:
        raise BadCall(f"span {span_id}: {error.fact}") from None
    except (AttributeError, KeyError, TypeError, ValueError):
        raise BadCall("a span that is not in the form of OTLP.") from None
    parent = span.get("parentSpanId") or span.get("parent_id") or span.get("parent_span_id")
    if record is not None:
        run = record.pop("conversation", None) or trace_id
        record = without_nothing({"id": f"{trace_id}-{span_id}", **record, "run": run, "parent": parent})
    yield Span(f"{trace_id}-{span_id}", f"{trace_id}-{parent}" if parent else "", record, kind)


def _record(span: Mapping[str, Any], scope: Mapping[str, Any]) -> tuple[Record | None, str]:
    """The call of a span; None, and what it is, if it is the span of something else."""
    events = [(str(event.get("name", "")), attributes_of(event)) for event in span.get("events") or ()]
    details = {k: v for name, held in events if name == _DETAILS for k, v in held.items()}
    attributes = {**attributes_of(span), **details}
    if isinstance(told_events := json_in(attributes.get("events")), list):  # Logfire's
        held = [object_of(event) for event in cast(list[Any], told_events)]
        events += [(str(event.get("event.name", "")), event) for event in held]
    said = next((str(attributes[name]) for name in _KINDS if attributes.get(name)), str(span.get("span_kind") or ""))
    kind = said.lower()
    is_llm = kind in CHAT or kind == "llm" or (kind in ("", "unknown") and _model(attributes) is not None)
    told = None
    if is_llm or any(name.startswith(("gen_ai.prompt.", "llm.input_messages")) for name in attributes):
        told = (
            from_parts(attributes)
            or from_events(events)
            or from_openllmetry(attributes)
            or from_openinference(attributes)
            or from_vercel(attributes)
        )
    if told is None and not is_llm:
        return None, kind or "another step"
    if told is None:
        raise BadCall("holds no messages; record them with the content capture of your instrumentation.")
    reasons = attributes.get("gen_ai.response.finish_reasons")
    invoked = options_of(told.pop("invocation", {}))
    parameters = {**invoked["parameters"], **_named(attributes, "gen_ai.request.", _PARAMETERS)}
    record = {
        **told,
        "finish_reason": told.get("finish_reason") or reasons,
        "tools": told.get("tools") or tools_of(attributes),
        "tool_choice": invoked["tool_choice"],
        "response_format": invoked["response_format"]
        or ({"type": "json_object"} if attributes.get("gen_ai.output.type") == "json" else None),
        "parameters": parameters,
        "model": _model(attributes) or attributes.get("gen_ai.response.model"),
        "answered_by": attributes.get("gen_ai.response.model"),
        "conversation": next((attributes[n] for n in _CONVERSATIONS if attributes.get(n)), None),
        "agent": attributes.get("gen_ai.agent.name") or attributes.get("traceloop.entity.name"),
        "framework": scope.get("name"),
        "usage": _usage(attributes),
        "error": _error(span, attributes),
        **_times(span, attributes),
    }
    return record, kind


_DETAILS = "gen_ai.client.inference.operation.details"
_CONVERSATIONS = ("gen_ai.conversation.id", "session.id", "traceloop.association.properties.session_id")


def _model(attributes: Mapping[str, Any]) -> Any:
    return attributes.get("gen_ai.request.model") or attributes.get("llm.model_name")


def attributes_of(thing: Mapping[str, Any]) -> Record:
    """The attributes of a span or an event as plain values, under their names with dots."""
    held = thing.get("attributes")
    if held is None:  # a table of spans has a column for each
        return {key[len("attributes.") :]: value for key, value in thing.items() if key.startswith("attributes.")}
    if isinstance(held, Mapping):
        return dict(_flattened(cast(Mapping[str, Any], held)))
    return {entry["key"]: _value(entry.get("value") or {}) for entry in held}


def _flattened(held: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterable[tuple[str, Any]]:
    for name, value in held.items():
        if isinstance(value, Mapping) and depth < 8:
            yield from _flattened(cast(Mapping[str, Any], value), f"{prefix}{name}.", depth + 1)
        else:
            yield f"{prefix}{name}", value


def _value(value: Mapping[str, Any]) -> Any:
    """OTLP's AnyValue, which writes 64-bit integers as strings."""
    if "intValue" in value:
        return int(value["intValue"])
    if "arrayValue" in value:
        return [_value(item) for item in value["arrayValue"].get("values") or ()]
    if "kvlistValue" in value:
        return {entry["key"]: _value(entry.get("value") or {}) for entry in value["kvlistValue"].get("values") or ()}
    return next(iter(value.values()), None)


def _named(attributes: Mapping[str, Any], prefix: str, names: Mapping[str, str]) -> Record:
    values = {ours: attributes.get(prefix + theirs) for theirs, ours in names.items()}
    return {name: value for name, value in values.items() if value is not None}


_USAGE = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cache_read.input_tokens": "cache_read_tokens",
    "cache_creation.input_tokens": "cache_write_tokens",
    "cache_read_input_tokens": "cache_read_tokens",
    "cache_creation_input_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "reasoning.output_tokens": "reasoning_tokens",
}
_COUNTS = {
    "prompt": "input_tokens",
    "completion": "output_tokens",
    "prompt_details.cache_read": "cache_read_tokens",
    "prompt_details.cache_write": "cache_write_tokens",
    "completion_details.reasoning": "reasoning_tokens",
}

_VERCEL = {
    "promptTokens": "input_tokens",
    "completionTokens": "output_tokens",
    "inputTokens": "input_tokens",
    "outputTokens": "output_tokens",
    "cachedInputTokens": "cache_read_tokens",
    "reasoningTokens": "reasoning_tokens",
}


def _usage(attributes: Mapping[str, Any]) -> Record:
    counted = _named(attributes, "llm.token_count.", _COUNTS)
    for theirs, ours in _VERCEL.items():
        if (value := attributes.get(f"ai.usage.{theirs}")) is not None:
            counted[ours] = value
    for theirs, ours in _USAGE.items():
        if (value := attributes.get(f"gen_ai.usage.{theirs}")) is not None:
            counted[ours] = value
    return counted


def _error(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> str | None:
    status = span.get("status") or {}
    code = status.get("code", status.get("status_code")) if isinstance(status, Mapping) else status
    code = span.get("status_code") or code
    if code not in (2, "STATUS_CODE_ERROR", "ERROR") and "error.type" not in attributes:
        return None
    message = status.get("message") or status.get("description") if isinstance(status, Mapping) else None
    return str(attributes.get("error.type") or message or span.get("status_message") or "error")


def _times(span: Mapping[str, Any], attributes: Mapping[str, Any]) -> dict[str, float]:
    start, end = (
        time_or_none(_whole(span.get(f"{name}TimeUnixNano") or span.get(f"{name}_time"))) for name in ("start", "end")
    )
    times: dict[str, float] = {}
    if start:
        times["time"] = start
        if end is not None and end >= start:
            times["latency_ms"] = round((end - start) * 1000, 3)  # a float of seconds since 1970 tells no more
    if isinstance(first := attributes.get("gen_ai.response.time_to_first_chunk"), int | float):
        times["ttft_ms"] = first * 1000  # the convention gives seconds
    return times


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value or None


def _context(span: Mapping[str, Any]) -> Mapping[str, Any]:
    context = span.get("context")
    return cast(Mapping[str, Any], context) if isinstance(context, Mapping) else {}


def _tells(document: Mapping[str, Any]) -> bool:
    return "resourceSpans" in document or (
        ("span_id" in _context(document) or "context.span_id" in document)
        and ("attributes" in document or any(name.startswith("attributes.") for name in document))
    )


def form() -> Format:
    """This form."""
    return Format("spans: OTLP JSON, OpenInference and Phoenix, OpenLLMetry, GenAI events", _tells, records, units)
