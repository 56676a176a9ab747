"""Helicone: rows of its API and of its export, with their bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...common.messages import json_in
from ...dialects.bodies import answer_told
from ...dialects.reading import is_request, request_of
from ...errors import BadCall
from .base import Format, Found, Passed, object_of, without_nothing
from .figures import dollars, time_or_none

_SESSION = "Helicone-Session-Id"
_OTHERS = ("embedding", "moderation", "image", "audio", "rerank")


def records(row: Any) -> Iterator[Found]:
    """The call of a row. Raises BadCall."""
    row = object_of(row)
    path = str(row.get("request_path") or "")
    if kind := next((name for name in _OTHERS if name in path), None):
        yield Passed(f"request to {kind}")
        return
    asked, answer = json_in(row.get("request_body")), json_in(row.get("response_body"))
    if not is_request(asked):
        raise BadCall("a Helicone row without its bodies; export them: npx @helicone/export --include-body")
    status = row.get("response_status")
    failed = isinstance(status, int) and not 200 <= status < 300
    properties = row.get("request_properties") or row.get("properties")
    named: Mapping[str, Any] = cast(Mapping[str, Any], properties) if isinstance(properties, Mapping) else {}
    told = _answer(answer)
    request = request_of(asked)
    yield without_nothing(
        {
            **request,
            **{name: value for name, value in told.items() if name not in ("id", "time")},
            "id": row.get("request_id"),
            "model": request.get("model") or row.get("request_model") or row.get("model"),
            "answered_by": told.get("answered_by") or row.get("response_model"),
            "run": named.get(_SESSION) or row.get("session_id"),
            "usage": told.get("usage") or _usage(row),
            "cost_usd": dollars(_first(row, "cost", "costUSD", "cost_usd")),
            "error": told.get("error") or (f"HTTP {status}" if failed else None),
            "feedback": row.get("feedback_rating"),
            "time": time_or_none(row.get("request_created_at")),
            "latency_ms": row.get("delay_ms"),
            "ttft_ms": row.get("time_to_first_token"),
        }
    )


def _answer(answer: Any) -> Mapping[str, Any]:
    """What the answer tells; nothing if it was not kept."""
    if answer in (None, "", {}) or (isinstance(answer, Mapping) and "helicone_message" in answer):
        return {}
    return answer_told(answer)


def _usage(row: Mapping[str, Any]) -> Mapping[str, Any]:
    names = ("prompt_tokens", "completion_tokens")
    cached = {"cache_read_tokens": row.get("prompt_cache_read_tokens")}
    counted = {**{name: row.get(name) for name in names}, **cached}
    return {name: count for name, count in counted.items() if count is not None}


def _first(row: Mapping[str, Any], *names: str) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)


def _tells(document: Mapping[str, Any]) -> bool:
    return "request_created_at" in document and ("request_body" in document or "request_id" in document)


def form() -> Format:
    """This form."""
    return Format("Helicone rows", _tells, records)
