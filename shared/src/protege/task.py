"""Task: a kind of call that repeats.

A task is a function of the request alone, because a route knows nothing else when it decides. Node and tools are
features of a task, not its key: the same prompt from four frameworks is one task.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import orjson

from .call import Call, Message, Request, canonical_json, text_of

Kind: TypeAlias = Literal["label", "json", "tool_calls", "sql", "code", "text"]
"""What a task's answers are: one of a few labels, JSON, calls of tools, SQL, code, or free text."""
KINDS: tuple[Kind, ...] = get_args(Kind)
ANY_STATE = "*"
"""In `Task.whole`: the task is never divided by states."""


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """The constant text of one message. What is left of the message without it is the message's slot."""

    position: int
    """The message's position in the request, from 0."""
    role: str
    """The message's role."""
    lines: tuple[str, ...] = ()
    """The lines that are in the message in every call."""
    prefix: str = ""
    """What comes before the slot, once the lines are taken out."""
    suffix: str = ""
    """What comes after the slot, once the lines are taken out."""

    def slot(self, message: Message) -> str | None:
        """The variable text of the message; None if some of the constant text is missing."""
        if message.get("role") != self.role or not isinstance(message.get("content"), str):
            return None
        rest = text_of(message)
        if self.lines:
            lines, constant = rest.split("\n"), set(self.lines)
            if not constant <= set(lines):
                return None
            rest = "\n".join(line for line in lines if line not in constant)
        if len(rest) < len(self.prefix) + len(self.suffix):
            return None
        if not (rest.startswith(self.prefix) and rest.endswith(self.suffix)):
            return None
        return rest[len(self.prefix) : len(rest) - len(self.suffix)]


@dataclass(frozen=True, slots=True)
class Template:
    """One wording of a task's prompt."""

    signature: str
    """Hash of the constant text, and of the tools if they are constant. A route covers only the signatures that it was
    calibrated on."""
    parts: tuple[TemplatePart, ...] = ()
    """The messages that hold constant text. Any other message is all slot."""
    constant_tools: bool = True
    """True if every call of this wording has the same tools, or none. False if the tools differ, and every call has
    some."""
    offered: str | None = None
    """Hash of the response format, and of the tools if they are constant (`offered`). A request that offers anything
    else does not fit, because its slots would not show the difference. None if this is not checked."""

    def slots(self, request: Request) -> tuple[Message, ...] | None:
        """The request's messages without their constant text; empty ones are left out. None if the request does not
        fit this wording."""
        parts = {part.position: part for part in self.parts}
        if parts and max(parts) >= len(request.messages):
            return None
        if self.offered is not None:
            tools = request.tools if self.constant_tools else ()
            if self.offered != offered(request.response_format, tools) or not (self.constant_tools or request.tools):
                return None
        variable: list[Message] = []
        for position, message in enumerate(request.messages):
            part = parts.get(position)
            if part is None:
                variable.append(message)
                continue
            slot = part.slot(message)
            if slot is None:
                return None
            if slot.strip():
                variable.append({**message, "content": slot})
        return tuple(variable)


def offered(response_format: Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]]) -> str:
    """Hash (16 hex digits) of a response format and tools; empty if there is neither.

    Frameworks write the same schema in different ways; the hash is the same for all of them (see `_plain_schema`).
    """
    if not response_format and not tools:
        return ""
    return _offered(canonical_json([response_format or None, list(tools)]))


@functools.lru_cache(maxsize=1024)
def _offered(body: bytes) -> str:
    response_format, tools = json.loads(body)
    functions = [_plain_function(tool.get("function", tool)) for tool in tools]
    plain = canonical_json([_plain_schema(response_format), functions])
    return hashlib.blake2b(plain, digest_size=8).hexdigest()


def _plain_function(function: Mapping[str, Any]) -> Any:
    """A tool's name, description and parameters, the same whichever framework offered it."""
    if "name" not in function:  # a provider's own tool
        return _plain_schema(function)
    name, description = str(function.get("name")), str(function.get("description") or "")
    if description.startswith(f"{name}("):  # LlamaIndex puts the signature above the description
        description = description.partition("\n")[2]
    return [name, description.strip(), _plain_schema(function.get("parameters") or {})]


def _plain_schema(value: Any, name: str = "") -> Any:
    """A JSON schema without the entries that some frameworks write, others leave out, and that add no constraint.

    These are titles, `strict`, a ban on further properties, an empty default, and a description that only repeats the
    parameter's name.
    """
    if isinstance(value, Mapping):
        plain = {key: _plain_schema(item, str(key)) for key, item in value.items() if not _is_idle(key, item, name)}
        if isinstance(required := plain.get("required"), list) and all(isinstance(item, str) for item in required):
            plain["required"] = sorted(required)
        return plain
    return [_plain_schema(item) for item in value] if isinstance(value, list | tuple) else value


def _is_idle(key: str, value: Any, name: str) -> bool:
    if key in ("title", "strict"):
        return isinstance(value, str | bool | None)  # a property of this name is an object
    if key == "additionalProperties":
        return value is False
    return (key == "default" and value is None) or (key == "description" and value == name)


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of call that repeats, what it costs, and how to tell it from others."""

    id: str
    """Stays the same when discovery runs again."""
    name: str
    """For people; unique in the workspace."""
    kind: Kind
    """What its answers are."""
    nodes: tuple[tuple[str, ...], ...] = ()
    """The nodes that its calls came from, most frequent first."""
    tools: tuple[str, ...] = ()
    """The names of the tools that its calls offered, most frequent first."""
    labels: tuple[str, ...] = ()
    """The answers of a label task, most frequent first."""
    wrapper: tuple[str, str] = ("", "")
    """What stands before and after its answers, such as a fence of Markdown. Specialists are taught the answer without
    it, and what an agent gets has it (`common.wrappers`)."""
    templates: tuple[Template, ...] = ()
    """The wordings of its prompt."""
    centre: Mapping[str, float] | None = None
    """Token → weight; assigns calls of an unseen wording to the nearest task."""
    calls: int = 0
    """Its volume: the number of its calls."""
    input_tokens: float | None = None
    """Mean tokens of a request; None if unknown."""
    output_tokens: float | None = None
    """Mean tokens of an answer; None if unknown."""
    cost_usd: float | None = None
    """Mean price of a call in US dollars; None if unknown."""
    latency_ms: float | None = None
    """Mean time of a call; None if unknown."""
    merged: tuple[str, ...] = ()
    """Ids of earlier tasks that became part of this one."""
    joined: tuple[Task, ...] = ()
    """Those of the merged tasks that people merged by hand, as they were. They stay part of this one until they are
    split again."""
    split_from: str = ""
    """The id of the task that this one was a part of; empty if it was not split from one."""
    phrase: str = ""
    """Set if people split this task by hand: the requests of `split_from` that hold this text belong here."""
    state: str = ""
    """Set if this task is a step of a conversation: the requests of `split_from` that show this state belong here
    (`cluster.states`)."""
    whole: tuple[str, ...] = ()
    """The states whose requests people keep in this task, by hand; `ANY_STATE` for all."""

    @property
    def is_part(self) -> bool:
        """Whether it is a part of `split_from`, told by a text or by a state of its requests."""
        return bool(self.phrase or self.state)

    @property
    def node(self) -> tuple[str, ...]:
        """The most frequent node; empty if none is known."""
        return self.nodes[0] if self.nodes else ()

    def to_record(self) -> dict[str, Any]:
        """The task as a JSON object."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Task:
        """Read what `to_record` wrote."""
        plain = dict(record)
        plain["nodes"] = tuple(tuple(node) for node in record.get("nodes", ()))
        plain["templates"] = tuple(_template(t) for t in record.get("templates", ()))
        plain["joined"] = tuple(cls.from_record(task) for task in record.get("joined", ()))
        for name in ("tools", "labels", "merged", "wrapper", "whole"):
            plain[name] = tuple(record.get(name, ()))
        return cls(**plain)


def _template(record: Mapping[str, Any]) -> Template:
    return Template(
        signature=record["signature"],
        parts=tuple(_part(part) for part in record.get("parts", ())),
        constant_tools=record.get("constant_tools", True),
        offered=record.get("offered"),
    )


def _part(record: Mapping[str, Any]) -> TemplatePart:
    plain = dict(record)
    plain["lines"] = tuple(record.get("lines", ()))
    return TemplatePart(**plain)


@dataclass(frozen=True, slots=True)
class Example:
    """A call of a task beside the teacher's answer: a specialist learns from it, or is judged by it."""

    id: str
    call: Call
    """The request and what is known about it (model, node, time, …), without the answer."""
    answer: str
    """The teacher's answer, as text that a specialist would write."""
    signature: str = ""
    """The wording of the request (`chat.prompt.wording_of`); empty where nobody asked."""
    correction: str = ""
    """The answer that a person says is right, if the example is judged by; empty where nobody said one."""

    @property
    def request(self) -> Request:
        return self.call.request

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Example:
        """The example in a data set's row: `id`, `request` (the call's record as JSON), `answer`, `signature`.

        Raises BadCall where the record is no call.
        """
        call = Call.from_record(orjson.loads(row["request"]), default_id=str(row["id"]))
        return cls(str(row["id"]), call, str(row["answer"]), str(row.get("signature", "")))
