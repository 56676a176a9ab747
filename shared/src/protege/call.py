"""Call: one request to a model and its answer.

A call is written in one form everywhere: in the journal, in a file of calls, in the store. That form is the record, a
JSON object with `messages` and `response` in OpenAI chat form; attribute names follow OpenTelemetry's GenAI conventions
where one exists. `Call.from_record` reads it, `Call.to_record` writes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias, cast

import orjson

from .errors import BadCall

Message: TypeAlias = Mapping[str, Any]
"""One message in OpenAI chat form: `role`, `content`, and where they apply `tool_calls`, `tool_call_id`, `name`."""

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked: all that a route knows when it decides.

    parameters: sampling parameters under their OpenAI names (`temperature`, `max_tokens`, …).
    node: the path of the agent's step, outermost first, such as `("researcher", "model")`.
    """

    messages: tuple[Message, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    node: tuple[str, ...] = ()

    @property
    def system(self) -> str:
        """The text of all system and developer messages, joined by newlines; empty where there is none."""
        return "\n".join(text_of(m) for m in self.messages if m.get("role") in ("system", "developer"))

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools offered, in order."""
        return tuple(str(tool.get("function", tool).get("name", "")) for tool in self.tools)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a specialist did with a call.

    outcome: "kept" (the agent got this answer), "handed_back" (below the threshold), "failed", or "audited": drawn at
    random to be compared, so that the teacher answered whatever the specialist said. reason: why, in a few words that
    hold no content of the call; of an audited one, what would have become of it.
    confidence: 0 to 1, None where there was no answer to judge. content: the answer's text. rate: the probability with
    which an audited one was drawn.
    """

    by: str
    outcome: str
    reason: str
    confidence: float | None = None
    latency_ms: float | None = None
    content: str | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a model and its answer.

    id: UUIDv7 at capture; for an import the file's own, else its content's hash and position.
    response: the assistant message in OpenAI chat form; None where the call failed or was cancelled.
    model: the model that was asked for. answered_by: the model or the specialist's id whose answer the agent got.
    decision: why the route sent the call where it went. attempts: what specialists did with it.
    run, parent: ids of the agent's run and of the step around this call. time: start, seconds since 1970, UTC.
    latency_ms, ttft_ms: whole call and time to the first token. cost_usd: US dollars.
    """

    id: str
    request: Request
    response: Message | None = None
    finish_reason: str | None = None
    model: str | None = None
    answered_by: str | None = None
    decision: str | None = None
    attempts: tuple[Attempt, ...] = ()
    run: str | None = None
    parent: str | None = None
    framework: str | None = None
    agent: str | None = None
    time: float | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    error: str | None = None
    feedback: Any = None

    @property
    def node(self) -> tuple[str, ...]:
        return self.request.node

    @property
    def content_hash(self) -> str:
        """SHA-256 over request and response; equal for repeats, which still count as volume."""
        return content_hash(self.to_record())

    @property
    def from_teacher(self) -> bool:
        """Whether the teacher answered: only such calls may be learnt from (a specialist's answer never is)."""
        return not any(attempt.outcome == "kept" for attempt in self.attempts)

    def to_record(self) -> dict[str, Any]:
        """The call as a JSON object; fields that are empty are left out."""
        request = self.request
        record: dict[str, Any] = {"id": self.id, "messages": [dict(m) for m in request.messages]}
        if request.tools:
            record["tools"] = [dict(t) for t in request.tools]
        for name in ("tool_choice", "response_format"):
            if (value := getattr(request, name)) is not None:
                record[name] = value
        if request.parameters:
            record["parameters"] = dict(request.parameters)
        if request.node:
            record["node"] = list(request.node)
        if self.response is not None:
            record["response"] = dict(self.response)
        for name in _PLAIN:
            if (value := getattr(self, name)) is not None:
                record[name] = value
        if self.attempts:
            record["attempts"] = [
                {n: getattr(a, n) for n in _ATTEMPT if getattr(a, n) is not None} for a in self.attempts
            ]
        if self.input_tokens is not None or self.output_tokens is not None:
            record["usage"] = {"input_tokens": self.input_tokens, "output_tokens": self.output_tokens}
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, default_id: str | None = None) -> Call:
        """Read a record. Unknown fields are ignored. `default_id` stands in where the record has no `id`.

        Raises BadCall where `messages` is missing or malformed, or a figure is no number.
        """
        usage = record.get("usage") or {}
        if not isinstance(usage, Mapping):
            raise BadCall("usage is not an object.")
        response = record.get("response")
        if response is not None:
            response = _message(response, "response")
        attempts = record.get("attempts") or ()
        if not isinstance(attempts, list | tuple) or not all(isinstance(a, Mapping) for a in attempts):
            raise BadCall("attempts is not a list of objects.")
        given_id = record.get("id")
        if given_id is None and default_id is None:
            default_id = content_hash(record)
        return cls(
            id=str(given_id) if given_id is not None else cast(str, default_id),
            request=request_from(record),
            response=response,
            time=_time(record.get("time")),
            latency_ms=_number(record, "latency_ms"),
            ttft_ms=_number(record, "ttft_ms"),
            cost_usd=_number(record, "cost_usd"),
            input_tokens=_count(usage, "input_tokens", "prompt_tokens"),
            output_tokens=_count(usage, "output_tokens", "completion_tokens"),
            attempts=tuple(Attempt(**{n: a.get(n) for n in _ATTEMPT}) for a in attempts),
            feedback=record.get("feedback"),
            **{name: _text(record, name) for name in _TEXTS},
        )

    def with_id(self, call_id: str) -> Call:
        """The same call under another id."""
        return replace(self, id=call_id)


_ATTEMPT = ("by", "outcome", "reason", "confidence", "latency_ms", "content", "rate")
_TEXTS = ("finish_reason", "model", "answered_by", "decision", "run", "parent", "framework", "agent", "error")
_PLAIN = (*_TEXTS, "time", "latency_ms", "ttft_ms", "cost_usd", "feedback")


def request_from(record: Mapping[str, Any]) -> Request:
    """The request part of a record. Raises BadCall."""
    messages = record.get("messages")
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        raise BadCall("messages is missing or is not a list of messages.")
    tools = record.get("tools") or ()
    if not isinstance(tools, Sequence) or not all(isinstance(t, Mapping) for t in tools):
        raise BadCall("tools is not a list of objects.")
    response_format = record.get("response_format")
    if response_format is not None and not isinstance(response_format, Mapping):
        raise BadCall("response_format is not an object.")
    parameters = record.get("parameters") or {}
    if not isinstance(parameters, Mapping):
        raise BadCall("parameters is not an object.")
    if not all(isinstance(tool.get("function", tool), Mapping) for tool in tools):
        raise BadCall("tools holds a function that is not an object.")
    node = record.get("node") or ()
    if not isinstance(node, str | list | tuple):
        raise BadCall("node is neither a name nor a list of names.")
    return Request(
        messages=tuple(_message(m, f"message {i}") for i, m in enumerate(messages)),
        tools=tuple(tools),
        tool_choice=record.get("tool_choice"),
        response_format=response_format,
        parameters=parameters,
        node=(node,) if isinstance(node, str) else tuple(str(part) for part in node),
    )


def text_of(message: Message) -> str:
    """The text of a message; of content parts, the text parts joined."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    if isinstance(content, Sequence):
        parts = cast(Sequence[Any], content)
        return "".join(
            p if isinstance(p, str) else str(p.get("text") or "") for p in parts if isinstance(p, str | Mapping)
        )
    return ""


def content_hash(record: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of what was asked and answered, whatever the order of keys."""
    return hashlib.sha256(canonical_json({name: record[name] for name in _CONTENT if record.get(name)})).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with its keys in order, for hashing; of strings and numbers too that orjson refuses."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        return json.dumps(value, sort_keys=True, default=repr).encode()


_CONTENT = ("messages", "tools", "tool_choice", "response_format", "response")


def _message(value: Any, what: str) -> Message:
    if not isinstance(value, Mapping):
        raise BadCall(f"{what} is not an object.")
    message = cast(Message, value)
    if str(message.get("role")) not in ROLES:
        raise BadCall(f"{what} has no known role.")
    content = message.get("content")
    if content is not None and not isinstance(content, str | list | tuple):
        raise BadCall(f"{what} has content that is neither text nor a list of parts.")
    calls = message.get("tool_calls")
    if calls is not None and not (isinstance(calls, list | tuple) and all(_is_tool_call(c) for c in calls)):
        raise BadCall(f"{what} has tool_calls that are not a list of tool calls.")
    return message


def _is_tool_call(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("function") or value, Mapping)


def _text(record: Mapping[str, Any], name: str) -> str | None:
    value = record.get(name)
    return None if value is None else str(value)


def _number(record: Mapping[str, Any], name: str) -> float | None:
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadCall(f"{name} is not a number.")
    return float(value)


def _count(usage: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        if (value := _number(usage, name)) is not None:
            return int(value)
    return None


def _time(value: Any) -> float | None:
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    try:
        when = datetime.fromisoformat(str(value))
    except ValueError:
        raise BadCall("time is neither seconds since 1970 nor an ISO 8601 date.") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


class Answer(NamedTuple):
    """An answer as it is recorded. message: an assistant message in OpenAI chat form. model: the one that answered."""

    message: Message | None
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
