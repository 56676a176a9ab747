"""Call: one request to a model and its answer.

The journal, files of calls and the store all hold a call in one form: the record, a JSON object with `messages` and
`response` in OpenAI chat form. Its other names follow OpenTelemetry's GenAI conventions where these have one.
`Call.from_record` reads a record, `Call.to_record` writes one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

import orjson

from .common import checks
from .common.messages import ROLES as ROLES
from .common.messages import answer_from, correction_from, flattened
from .common.reasons import reason_of
from .common.usage import tokens_used
from .errors import BadCall

Message: TypeAlias = Mapping[str, Any]
"""One message in OpenAI chat form: `role`, `content`, and if they apply `tool_calls`, `tool_call_id` and `name`."""

AttemptOutcome: TypeAlias = Literal["kept", "handed_back", "failed", "audited"]
"""What came of asking a specialist: see `Attempt.outcome`."""

OUTCOMES: tuple[AttemptOutcome, ...] = get_args(AttemptOutcome)
"""All of them."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked. A route decides by this alone."""

    messages: tuple[Message, ...]
    """The conversation so far, oldest message first."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """The tools that the model may call, in OpenAI form."""
    tool_choice: Any = None
    """OpenAI's `tool_choice`; None leaves the choice to the model."""
    response_format: Mapping[str, Any] | None = None
    """OpenAI's `response_format`; None asks for plain text."""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Sampling parameters under their OpenAI names (`temperature`, `max_tokens`, …)."""
    node: tuple[str, ...] = ()
    """The path of the agent's step, outermost first, such as `("researcher", "model")`."""

    @property
    def system(self) -> str:
        """The text of all system and developer messages, joined by newlines; empty if there are none."""
        return "\n".join(text_of(m) for m in self.messages if m.get("role") in ("system", "developer"))

    @property
    def tool_names(self) -> tuple[str, ...]:
        """The names of the tools offered, in order."""
        return tuple(str(tool.get("function", tool).get("name", "")) for tool in self.tools)


class Reply(NamedTuple):
    """A model's answer, with what the model reported about it."""

    message: Message | None
    """The assistant message in OpenAI chat form; None if nothing was answered."""
    finish_reason: str | None = None
    """Why the answer ended, in OpenAI's words: "stop", "length", "tool_calls", …"""
    model: str | None = None
    """The model that answered: a teacher's name, or a specialist's id."""
    input_tokens: int | None = None
    """Tokens of the request."""
    output_tokens: int | None = None
    """Tokens of the answer."""
    cache_read_tokens: int | None = None
    """Those of the request that came from the provider's cache."""
    cache_write_tokens: int | None = None
    """Those of the request that were written into that cache."""
    reasoning_tokens: int | None = None
    """Those of the answer that were reasoning."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a specialist did with a call."""

    by: str
    """The specialist's id."""
    outcome: AttemptOutcome
    """What came of it. "kept": the agent got this answer. "handed_back": its confidence was below the threshold.
    "failed": there was no answer that could be kept. "audited": the call was drawn at random for a comparison, so the
    teacher answered, whatever the specialist said."""
    reason: str
    """Why, in a few words that hold no content of the call. For an audited call: what would have become of the
    answer."""
    confidence: float | None = None
    """0 to 1; None if there was no answer to judge."""
    latency_ms: float | None = None
    """How long the specialist took."""
    content: str | None = None
    """The text of its answer."""
    rate: float | None = None
    """The probability with which an audited call was drawn; None if the call was not audited."""

    def to_record(self) -> dict[str, Any]:
        """The attempt as a JSON object; fields that are None are left out."""
        return {name: value for name in ATTEMPT_FIELDS if (value := getattr(self, name)) is not None}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Attempt:
        """Read an attempt. Unknown fields are ignored.

        Raises BadCall if `by`, `outcome` or `reason` is missing, or a field is not of its type or out of range.
        """
        by, reason = checks.text(record, "by"), checks.text(record, "reason")
        if by is None or reason is None:
            raise BadCall("an attempt lacks by or reason.")
        if (outcome := record.get("outcome")) not in OUTCOMES:
            raise BadCall("an attempt has no known outcome.")
        content = record.get("content")
        if content is not None and not isinstance(content, str):
            raise BadCall("an attempt's content is not a text.")
        return cls(
            by=by,
            outcome=outcome,
            reason=reason,
            confidence=checks.number(record, "confidence"),
            latency_ms=checks.number(record, "latency_ms"),
            content=content,
            rate=checks.number(record, "rate"),
        )


ATTEMPT_FIELDS = tuple(item.name for item in fields(Attempt))
"""The names of an attempt's fields, as records, the journal and the store have them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a model and its answer."""

    id: str
    """A UUIDv7 if the call was captured. An imported call keeps its own id, or gets its content's hash and position."""
    request: Request
    """What was asked."""
    response: Message | None = None
    """The assistant message in OpenAI chat form; None if the call failed or was cancelled."""
    finish_reason: str | None = None
    """Why the answer ended, in OpenAI's words."""
    model: str | None = None
    """The model that the agent asked for."""
    answered_by: str | None = None
    """The model, or the id of the specialist, whose answer the agent got."""
    decision: str | None = None
    """Why the route sent the call where it went."""
    attempts: tuple[Attempt, ...] = ()
    """What specialists did with the call, in the order they were asked."""
    claims: tuple[Attempt, ...] = ()
    """What the file that the call was imported from says that specialists did. Nothing of it was measured here, so it
    is no attempt: it counts in no audit, and moves no specialist. It only keeps their answers from being taught."""
    run: str | None = None
    """The id of the agent's run."""
    parent: str | None = None
    """The id of the step around this call."""
    framework: str | None = None
    """The framework that made the call, such as "langgraph"."""
    agent: str | None = None
    """The name of the agent that made the call."""
    time: float | None = None
    """When the call began: seconds since 1970, UTC."""
    latency_ms: float | None = None
    """The time of the whole call."""
    ttft_ms: float | None = None
    """The time to the first token."""
    input_tokens: int | None = None
    """Tokens of the request, cached ones included."""
    output_tokens: int | None = None
    """Tokens of the answer, reasoning included."""
    cache_read_tokens: int | None = None
    """Those of the request that came from the provider's cache, which cost less."""
    cache_write_tokens: int | None = None
    """Those of the request that were written into that cache."""
    reasoning_tokens: int | None = None
    """Those of the answer that were reasoning."""
    tokens_estimated: bool = False
    """Whether the provider told no usage, or not all of it, and the counts are estimates: see `chat.tokens`."""
    cost_usd: float | None = None
    """The price of the call in US dollars."""
    error: str | None = None
    """What went wrong; None if nothing did."""
    feedback: Any = None
    """What a user or a program said about the answer, as it was given."""
    correction: Message | None = None
    """The answer that a person says is right, in the form of `response`. It is taught in place of the teacher's."""

    @property
    def node(self) -> tuple[str, ...]:
        """The path of the agent's step: see `Request.node`."""
        return self.request.node

    @property
    def content_hash(self) -> str:
        """SHA-256 over request and response. Repeats share it; each of them still counts as volume."""
        return content_hash(self.to_record())

    @property
    def from_teacher(self) -> bool:
        """Whether the teacher answered. Only such calls are learnt from, never a specialist's answers."""
        return not any(attempt.outcome == "kept" for attempt in (*self.attempts, *self.claims))

    def to_record(self) -> dict[str, Any]:
        """The call as a JSON object; empty fields are left out."""
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
        for name in ("response", "correction"):
            if (answer := getattr(self, name)) is not None:
                record[name] = dict(answer)
        for name in _PLAIN:
            if (value := getattr(self, name)) is not None:
                record[name] = value
        if self.attempts:
            record["attempts"] = [attempt.to_record() for attempt in self.attempts]
        if self.claims:
            record["claims"] = [claim.to_record() for claim in self.claims]
        if (usage := usage_record(self)) is not None:
            record["usage"] = usage
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any], *, default_id: str | None = None) -> Call:
        """Read a record. Unknown fields are ignored.

        default_id: the call's id if the record has none; by default the hash of its content. Raises BadCall if
        `messages` is missing or malformed, or if the record exceeds the bounds of `common.checks`: its figures are
        numbers in their range, its names are texts, and it is nested at most 200 levels deep.
        """
        if not isinstance(cast(Any, record), Mapping):
            raise BadCall("it is not a JSON object.")
        usage = record.get("usage") or {}
        if not isinstance(usage, Mapping):
            raise BadCall("usage is not an object.")
        tokens = tokens_used(usage)
        if checks.too_deep(record):
            raise BadCall(f"it is nested more than {checks.MOST_LEVELS} levels deep.")
        response = record.get("response")
        if response is not None:
            response = answer_from(response)
        given_id = checks.text(record, "id") or None
        reason = reason_of(record.get("finish_reason"))
        texts = {name: checks.text(record, name) for name in checks.TEXTS if name != "finish_reason"}
        texts["finish_reason"] = checks.text({"finish_reason": reason}, "finish_reason")
        if given_id is None and default_id is None:
            default_id = content_hash(record)
        return cls(
            id=given_id if given_id is not None else cast(str, default_id),
            request=request_from(record),
            response=response,
            time=checks.time(record),
            latency_ms=checks.number(record, "latency_ms"),
            ttft_ms=checks.number(record, "ttft_ms"),
            cost_usd=checks.number(record, "cost_usd"),
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
            reasoning_tokens=tokens.reasoning,
            tokens_estimated=usage.get("estimated") is True,
            attempts=_attempts(record, "attempts"),
            claims=_attempts(record, "claims"),
            feedback=record.get("feedback"),
            correction=None if (said := record.get("correction")) is None else correction_from(said),
            **texts,
        )

    def with_id(self, call_id: str) -> Call:
        """The same call under another id."""
        return replace(self, id=call_id)


_DETAILS = ("cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


def usage_record(told: Call | Reply) -> dict[str, int | bool | None] | None:
    """The tokens of a call or a reply in the form of a record, those of its details that are known; None without."""
    details = {name: count for name in _DETAILS if (count := getattr(told, name)) is not None}
    if told.input_tokens is None and told.output_tokens is None and not details:
        return None
    usage: dict[str, int | bool | None] = {"input_tokens": told.input_tokens, "output_tokens": told.output_tokens}
    usage |= details
    if isinstance(told, Call) and told.tokens_estimated:
        usage["estimated"] = True
    return usage


_PLAIN = (*checks.TEXTS, "time", "latency_ms", "ttft_ms", "cost_usd", "feedback")


def request_from(record: Mapping[str, Any]) -> Request:
    """The request in a record; its messages may be in any form of `common.messages`. Raises BadCall if it is
    malformed."""
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
        messages=tuple(flattened(cast(Sequence[Any], messages))),
        tools=tuple(tools),
        tool_choice=record.get("tool_choice"),
        response_format=response_format,
        parameters=parameters,
        node=(node,) if isinstance(node, str) else tuple(str(part) for part in node),
    )


def text_of(message: Message) -> str:
    """The text of a message. If its content is a list of parts, the text parts are joined."""
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
    """SHA-256 (hex) of what was asked and answered. The order of keys does not matter."""
    return hashlib.sha256(canonical_json({name: record[name] for name in _CONTENT if record.get(name)})).hexdigest()


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys, for hashing. Also writes the strings and numbers that orjson refuses."""
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        return json.dumps(value, sort_keys=True, default=repr).encode()


_CONTENT = ("messages", "tools", "tool_choice", "response_format", "response")


def _attempts(record: Mapping[str, Any], name: str) -> tuple[Attempt, ...]:
    attempts = record.get(name) or ()
    if not isinstance(attempts, list | tuple) or not all(isinstance(attempt, Mapping) for attempt in attempts):
        raise BadCall(f"{name} is not a list of objects.")
    return tuple(map(Attempt.from_record, attempts))
