"""LiteLLM: rows of its proxy's spend logs, and the payload that its callbacks write to S3, GCS and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...common.messages import json_in
from ...dialects.reading import is_request, options_of, request_of, response_of, tools_of
from ...errors import BadCall
from .base import Format, Found, Passed, object_of, without_nothing
from .figures import dollars, times

_CALLS = ("completion", "responses", "anthropic_messages", "generate_content", "text_completion")


def records(row: Any) -> Iterator[Found]:
    """The call of a row. Raises BadCall."""
    row = object_of(row)
    kind = str(row.get("call_type") or "completion")
    if not any(name in kind for name in _CALLS):
        yield Passed(f"call of {kind}")
        return
    sent, asked = json_in(row.get("proxy_server_request")), json_in(row.get("messages"))
    if not asked and is_request(sent):
        asked = sent
    if not asked:
        raise BadCall("a row without messages; set store_prompts_in_spend_logs: true, and export the calls after that.")
    request = request_of(asked if is_request(asked) else {"messages": asked})
    options = json_in(row.get("model_parameters")) or sent
    settings: Mapping[str, Any] = cast(Mapping[str, Any], options) if isinstance(options, Mapping) else {}
    answer = json_in(row.get("response"))
    told = response_of(answer) if answer else {}
    failed = row.get("status") == "failure"
    yield without_nothing(
        {
            **without_nothing(options_of(settings)),
            "tools": tools_of(settings),
            **request,
            **{name: value for name, value in told.items() if name not in ("id", "time")},
            "id": row.get("request_id") or row.get("id"),
            "model": row.get("model_group") or row.get("model"),
            "answered_by": told.get("answered_by") or row.get("model"),
            "run": row.get("session_id") or row.get("trace_id"),
            "usage": told.get("usage") or {name: row.get(name) for name in ("prompt_tokens", "completion_tokens")},
            "cost_usd": dollars(row.get("spend") if row.get("spend") is not None else row.get("response_cost")),
            "error": str(row.get("error_str") or "failure")[:500] if failed else None,
            **times(row.get("startTime"), row.get("endTime"), row.get("completionStartTime")),
        }
    )


def _tells(document: Mapping[str, Any]) -> bool:
    return "call_type" in document and ("spend" in document or "response_cost" in document)


def form() -> Format:
    """This form."""
    return Format("LiteLLM spend logs", _tells, records)
