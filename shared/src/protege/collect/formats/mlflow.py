"""MLflow: traces as `Trace.to_json` and `mlflow traces get` write them, of each schema, and rows of the tables that
`mlflow.search_traces` gives.

A span of a model is a call; an expectation named `expected_response` corrects it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...common.messages import json_in
from ...dialects.reading import is_request, options_of, request_of, response_of, tools_of
from ...errors import BadCall
from .base import Correction, Format, Found, Record, Span, object_of, without_nothing
from .corrections import answered
from .figures import dollars, times

_CALLS = frozenset({"CHAT_MODEL", "LLM"})
_EXPECTED = ("expected_response", "expected_output")


def units(trace: Any) -> Iterator[Any]:
    """The spans of a trace, each with what is known of the trace, and its expectations."""
    info, spans = _opened(object_of(trace))
    if not isinstance(spans, list):
        raise BadCall("an MLflow trace without its spans; fetch it whole: mlflow traces get --trace-id ID")
    spans = cast(list[Any], spans)
    run = str(info.get("trace_id") or info.get("request_id") or "")
    calls = [_span_id(span) for span in spans if isinstance(span, Mapping) and _kind(_attributes(span)) in _CALLS]
    for span in spans:
        yield run, span
    for assessment in cast(list[Any], info.get("assessments") if isinstance(info.get("assessments"), list) else []):
        if isinstance(assessment, Mapping) and cast(Any, assessment).get("assessment_name") in _EXPECTED:
            yield (run, *calls), assessment


def records(unit: Any) -> Iterator[Found]:
    """The call of a span, or what else it is, or what an expectation says is right. Raises BadCall."""
    run, held = unit
    held = object_of(held)
    if "assessment_name" in held:
        yield _correction(held, list(run[1:]))
        return
    attributes = _attributes(held)
    span_id, kind = _span_id(held), _kind(attributes)
    parent = _id(held.get("parent_span_id") or held.get("parent_id"))
    if not span_id:
        raise BadCall("a span without an id.")
    if kind not in _CALLS:
        yield Span(span_id, parent, None, kind.lower().replace("_", " ") or "another step")
        return
    yield Span(span_id, parent, _record(held, attributes, span_id, parent, run))


def _record(span: Mapping[str, Any], attributes: Mapping[str, Any], span_id: str, parent: str, run: str) -> Record:
    asked, answer = attributes.get("mlflow.spanInputs"), attributes.get("mlflow.spanOutputs")
    if isinstance(asked, list) and asked and isinstance(asked[0], list):  # LangChain's: a list for each prompt
        asked = cast(list[Any], asked)[0]
    if not is_request(asked):
        asked = {"messages": attributes.get("mlflow.chat.messages") or asked}
    request = request_of(asked)
    told = _answer(answer)
    used = attributes.get("mlflow.chat.tokenUsage")
    status = span.get("status")
    code = cast(Any, status).get("code") if isinstance(status, Mapping) else span.get("status_code") or status
    message = cast(Any, status).get("message") if isinstance(status, Mapping) else span.get("status_message")
    failed = "ERROR" in str(code)
    cost = attributes.get("mlflow.llm.cost")
    return without_nothing(
        {
            **without_nothing(options_of(attributes)),
            **request,
            "tools": request.get("tools") or tools_of({"tools": attributes.get("mlflow.chat.tools") or ()}),
            **{name: told[name] for name in ("response", "finish_reason", "answered_by") if name in told},
            "id": span_id,
            "model": request.get("model") or attributes.get("mlflow.llm.model") or attributes.get("model"),
            "run": run or None,
            "parent": parent or None,
            "node": [span["name"]] if isinstance(span.get("name"), str) else None,
            "usage": used if isinstance(used, Mapping) else told.get("usage"),
            "cost_usd": dollars(cast(Any, cost).get("total_cost") if isinstance(cost, Mapping) else None),
            "error": str(message or "error")[:500] if failed else None,
            **times(*_span_of_time(span)),
        }
    )


def _answer(answer: Any) -> Record:
    """A provider's answer, a message, or LangChain's generations."""
    if answer is None:
        return {}
    if isinstance(answer, Mapping) and "generations" in answer:
        first: Any = cast(Any, answer)["generations"]
        while isinstance(first, list) and first:
            first = cast(list[Any], first)[0]
        message: Any = first.get("message") if isinstance(first, Mapping) else None
        return response_of(message or (first.get("text") if isinstance(first, Mapping) else first))
    return response_of(answer)


def _correction(assessment: Mapping[str, Any], calls: list[str]) -> Correction:
    """What an expectation says is right: of its span, or of the only call of its trace. Raises BadCall."""
    of = _id(assessment.get("span_id")) or (calls[0] if len(calls) == 1 else "")
    expectation = assessment.get("expectation")
    held = cast(Mapping[str, Any], expectation) if isinstance(expectation, Mapping) else {}
    value = held.get("value")
    if value is None and isinstance(serialised := held.get("serialized_value"), Mapping):
        value = json_in(cast(Any, serialised).get("value"))
    if not of or value is None:
        raise BadCall("an expectation of a whole trace; write it on the span of the call.")
    return Correction(of, answered(value))


def _attributes(span: Any) -> Mapping[str, Any]:
    """The attributes of a span, each of which MLflow writes as JSON."""
    held = span.get("attributes")
    if not isinstance(held, Mapping):
        return {}
    return {str(name): _plain(value) for name, value in cast(Mapping[Any, Any], held).items()}


def _plain(value: Any) -> Any:
    """What a text of JSON holds; a text that is none stays one."""
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == '"':
        return json_in(f"[{value}]")[0] if isinstance(json_in(f"[{value}]"), list) else value
    return json_in(value)


def _kind(attributes: Mapping[str, Any]) -> str:
    return str(attributes.get("mlflow.spanType") or "")


def _span_id(span: Mapping[str, Any]) -> str:
    context = span.get("context")
    return _id(cast(Any, context).get("span_id") if isinstance(context, Mapping) else span.get("span_id"))


def _id(value: Any) -> str:
    """An id as hexadecimal digits, which the third schema writes in base64."""
    text = str(value or "")
    if text.endswith("="):
        try:
            return base64.b64decode(text, validate=True).hex()
        except (binascii.Error, ValueError):
            return text
    return text.removeprefix("0x")


def _span_of_time(span: Mapping[str, Any]) -> tuple[Any, Any]:
    """Start and end, in nanoseconds, which may be written as texts."""
    start = span.get("start_time_unix_nano", span.get("start_time"))
    return start, span.get("end_time_unix_nano", span.get("end_time"))


def _opened(document: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """What is known of a trace, and its spans. Both are in a row itself, which may hold the trace as a text too."""
    for info, data in _BOXES:
        known, held = document.get(info), json_in(document.get(data))
        if isinstance(known, Mapping) and isinstance(held, Mapping):
            return cast(Mapping[str, Any], known), json_in(cast(Any, held).get("spans"))
    whole = json_in(document.get("trace"))
    if isinstance(whole, Mapping) and "trace" not in whole and any(name in whole for name, _ in _BOXES):
        return _opened(cast(Mapping[str, Any], whole))
    assessments = json_in(document.get("assessments"))
    return {**document, "assessments": assessments}, json_in(document.get("spans"))


_BOXES = (("info", "data"), ("trace_info", "trace_data"))
_ROW = frozenset({"request_metadata", "trace_metadata", "execution_time_ms", "execution_duration"})


def _tells(document: Mapping[str, Any]) -> bool:
    for info, data in _BOXES:
        held = json_in(document.get(data))
        if isinstance(document.get(info), Mapping) and isinstance(held, Mapping) and "spans" in held:
            return True
    return not _ROW.isdisjoint(document) and ("spans" in document or "trace" in document)


def form() -> Format:
    """This form."""
    return Format("MLflow traces", _tells, records, units)
