"""Task: a kind of call that repeats.

A task is a function of the request alone, since a route knows no more when it decides. Node and tools are features of
it, not its key: the same prompt from four frameworks is one task.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

from .call import Message, Request, canonical_json, text_of

Kind: TypeAlias = Literal["label", "json", "tool_calls", "sql", "code", "text"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class TemplatePart:
    """The constant text of one message: `lines` that stand in it in every call, and what encloses the rest.

    position: the message's place in the request. What is left of the message once the lines are taken out, and
    `prefix` and `suffix` are cut off, is its slot.
    """

    position: int
    role: str
    lines: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""

    def slot(self, message: Message) -> str | None:
        """The variable text of the message; None where the constant text is not all there."""
        if message.get("role") != self.role or not isinstance(message.get("content"), str):
            return None
        rest = text_of(message)
        if self.lines:
            given = rest.split("\n")
            if not set(self.lines) <= set(given):
                return None
            constant = set(self.lines)
            rest = "\n".join(line for line in given if line not in constant)
        if len(rest) < len(self.prefix) + len(self.suffix):
            return None
        if not (rest.startswith(self.prefix) and rest.endswith(self.suffix)):
            return None
        return rest[len(self.prefix) : len(rest) - len(self.suffix)]


@dataclass(frozen=True, slots=True)
class Template:
    """One wording of a task's prompt.

    signature: hash of the constant text (and of the tools, where they are constant); a route covers the signatures
    that it was calibrated on and no other. parts: the messages that hold constant text; others are all slot.
    constant_tools: the same tools, or none, stand in every call of this wording; else all have some.
    offered: hash of the response format, and of the tools where they are constant; a request that offers others does
    not fit, for the slots would not show it. None where that is not to be asked.
    """

    signature: str
    parts: tuple[TemplatePart, ...] = ()
    constant_tools: bool = True
    offered: str | None = None

    def slots(self, request: Request) -> tuple[Message, ...] | None:
        """The request's messages without their constant text, empty ones left out; None where it does not fit."""
        parts = {part.position: part for part in self.parts}
        if parts and max(parts) >= len(request.messages):
            return None
        if self.offered is not None:
            tools = request.tools if self.constant_tools else ()
            if self.offered != offered(request.response_format, tools) or not (self.constant_tools or request.tools):
                return None
        kept: list[Message] = []
        for position, message in enumerate(request.messages):
            part = parts.get(position)
            if part is None:
                kept.append(message)
                continue
            slot = part.slot(message)
            if slot is None:
                return None
            if slot.strip():
                kept.append({**message, "content": slot})
        return tuple(kept)


def offered(response_format: Mapping[str, Any] | None, tools: Sequence[Mapping[str, Any]]) -> str:
    """Hash (16 hex digits) of a response format and tools; empty where there is neither.

    The same for all frameworks' ways to write the same thing: see `_plain_schema`.
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
    """A tool as any framework offers it. LlamaIndex puts the signature above the description."""
    if "name" not in function:  # a provider's own
        return _plain_schema(function)
    name, said = str(function.get("name")), str(function.get("description") or "")
    if said.startswith(f"{name}("):
        said = said.partition("\n")[2]
    return [name, said.strip(), _plain_schema(function.get("parameters") or {})]


def _plain_schema(value: Any, name: str = "") -> Any:
    """A JSON schema without what one framework writes and another leaves out, and which constrains nothing new.

    Titles, `strict`, a ban on further properties, an empty default, a description that repeats the parameter's name.
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
    """A kind of call that repeats, what it costs, and how to tell it from others.

    id: stays the same when discovery runs again. nodes, tools: what its calls came from, most frequent first.
    kind: the kind of its output. labels: the answers of a label task, most frequent first.
    templates: the wordings of its prompt. centre: what assigns calls of an unseen wording to it (token → weight).
    calls: volume. input_tokens, output_tokens, cost_usd, latency_ms: means a call, None where unknown.
    merged: ids of earlier tasks that this one took in. joined: those of them that were merged by hand, as
    they were; they stay in until they are split again.
    split_from: id of the task that this one was a part of. phrase: set where it was split by hand; the requests of that
    task that hold this text are this one's.
    """

    id: str
    name: str
    kind: Kind
    nodes: tuple[tuple[str, ...], ...] = ()
    tools: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    templates: tuple[Template, ...] = ()
    centre: Mapping[str, float] | None = None
    calls: int = 0
    input_tokens: float | None = None
    output_tokens: float | None = None
    cost_usd: float | None = None
    latency_ms: float | None = None
    merged: tuple[str, ...] = ()
    joined: tuple[Task, ...] = ()
    split_from: str = ""
    phrase: str = ""

    @property
    def node(self) -> tuple[str, ...]:
        """The most frequent node; empty where none is known."""
        return self.nodes[0] if self.nodes else ()

    def to_record(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Task:
        plain = dict(record)
        plain["nodes"] = tuple(tuple(node) for node in record.get("nodes", ()))
        plain["templates"] = tuple(_template(t) for t in record.get("templates", ()))
        plain["joined"] = tuple(cls.from_record(task) for task in record.get("joined", ()))
        for name in ("tools", "labels", "merged"):
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
