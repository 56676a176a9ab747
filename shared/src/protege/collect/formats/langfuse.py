"""Langfuse: observations of its API, its export and its blob storage, in either case, and traces with them; scores
that hold a correction, and items of its data sets with their expected output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from ...common.messages import json_in
from ...dialects.reading import is_request, options_of, request_of, response_of, tools_of
from ...errors import BadCall
from .base import Correction, Format, Found, Passed, Record, Span, object_of, without_nothing
from .corrections import answered
from .figures import dollars, times


def units(document: Any) -> Iterator[Any]:
    """The observations of a trace, and its scores; or the one."""
    document = object_of(document)
    if isinstance(observations := document.get("observations"), list):
        yield from cast(list[Any], observations)
        scores = document.get("scores")
        yield from (score for score in cast(list[Any], scores if isinstance(scores, list) else []) if _is_score(score))
    else:
        yield document


def records(observation: Any) -> Iterator[Found]:
    """The call of a generation, or what else an observation, a score or an item is. Raises BadCall."""
    observation = object_of(observation)
    if _is_score(observation) or _is_item(observation):
        yield _judgement(observation)
    else:
        yield from _observed(observation)


def _judgement(document: Mapping[str, Any]) -> Correction | Passed:
    """What a score or an item of a data set says is right; any other score is passed over. Raises BadCall."""

    def told(*names: str) -> Any:
        return next((document[name] for name in names if document.get(name) not in (None, "")), None)

    is_score = _is_score(document)
    if is_score and str(told("dataType", "data_type")).upper() != "CORRECTION":
        return Passed("score")
    subject = document.get("subject")
    of = told("observationId", "observation_id", "sourceObservationId", "source_observation_id")
    if of is None and isinstance(subject, Mapping) and cast(Any, subject).get("kind") == "observation":
        of = cast(Any, subject).get("id")
    if of is None and is_score:
        raise BadCall("a correction of a whole trace; correct the generation in it.")
    if of is None:
        return Passed("item of a data set")
    answer = told("longStringValue", "stringValue", "string_value", "long_string_value", "value") if is_score else None
    expected = told("expectedOutput", "expected_output")
    if not is_score and expected is None:
        return Passed("item of a data set")
    return Correction(str(of), answered(json_in(answer if is_score else expected)))


def _observed(observation: Mapping[str, Any]) -> Iterator[Span]:

    def told(*names: str) -> Any:
        return next((found for name in names if (found := observation.get(name)) is not None), None)

    span_id, kind = str(told("id") or ""), str(told("type") or "").upper()
    parent = str(told("parentObservationId", "parent_observation_id") or "")
    if kind != "GENERATION":
        yield Span(span_id, parent, None, kind.lower() or "trace")
        return
    asked, answer = json_in(told("input")), json_in(told("output"))
    if asked is None:
        raise BadCall("a generation without input; export it with its input and output.")
    parameters = json_in(told("modelParameters", "model_parameters"))
    options: Mapping[str, Any] = cast(Mapping[str, Any], parameters) if isinstance(parameters, Mapping) else {}
    request = _request(asked)
    level, message = str(told("level") or ""), told("statusMessage", "status_message")
    yield Span(
        span_id,
        parent,
        without_nothing(
            {
                **without_nothing(options_of(options)),
                **request,
                "tools": request.get("tools") or tools_of(options),
                **_response(answer),
                "id": span_id or None,
                "model": told("model", "provided_model_name", "providedModelName"),
                "run": told("sessionId", "session_id", "traceId", "trace_id"),
                "parent": parent or None,
                "node": [name] if (name := told("name")) and isinstance(name, str) else None,
                "usage": json_in(told("usageDetails", "usage_details")) or _older_usage(told("usage")),
                "cost_usd": dollars(told("calculatedTotalCost", "total_cost", "totalCost")),
                "error": str(message or "error")[:500] if level == "ERROR" else None,
                **times(
                    told("startTime", "start_time"),
                    told("endTime", "end_time"),
                    told("completionStartTime", "completion_start_time"),
                ),
            }
        ),
    )


def _request(asked: Any) -> Record:
    """The request that an integration wrote as the input: a whole one, messages, or a text."""
    if is_request(asked):
        return request_of(asked)
    if isinstance(asked, Mapping):
        if "role" not in asked and "content" not in asked:
            raise BadCall(f"a generation whose input is in no known form (its fields: {', '.join(asked)[:200]}).")
        asked = [asked]
    return request_of({"messages": asked})


def _response(answer: Any) -> Record:
    if answer is None:
        return {}
    told = response_of(answer)
    return {name: told[name] for name in ("response", "finish_reason", "answered_by") if name in told}


def _older_usage(usage: Any) -> Any:
    usage = json_in(usage)
    if not isinstance(usage, Mapping):
        return None
    return {name: usage.get(name) for name in ("input", "output") if isinstance(usage.get(name), int)} or usage


_FIELDS = ("parentObservationId", "parent_observation_id", "modelParameters", "model_parameters", "usageDetails")
_MARKS = frozenset((*_FIELDS, "usage_details", "providedModelName", "provided_model_name", "completionStartTime"))


_SCORED = frozenset({"dataType", "data_type"})
_ITEM = frozenset({"expectedOutput", "expected_output"})
_JUDGING = _SCORED | _ITEM
_OF_ITEMS = ("datasetId", "dataset_id", "sourceObservationId", "source_observation_id")


def _is_score(document: Any) -> bool:
    return isinstance(document, Mapping) and not _SCORED.isdisjoint(document) and {"name", "value"} <= document.keys()


def _is_item(document: Mapping[str, Any]) -> bool:
    return not _ITEM.isdisjoint(document) and any(name in document for name in _OF_ITEMS)


def _tells(document: Mapping[str, Any]) -> bool:
    if not _JUDGING.isdisjoint(document) and (_is_score(document) or _is_item(document)):
        return True
    if isinstance(document.get("observations"), Sequence) and "id" in document:
        return True
    return "type" in document and not _MARKS.isdisjoint(document) and "id" in document


def form() -> Format:
    """This form."""
    return Format("Langfuse observations, scores and data set items", _tells, records, units)
