"""An answer as text and back: what a specialist learns to write, and what an agent's framework is given.

Text, labels, JSON and SQL are written as they are. Tool calls are written as JSON, one object
`{"name": …, "arguments": {…}}`, or a list of them where there are several.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson
import uuid_utils

from ..call import Message, Request, text_of
from ..errors import InvalidAnswer
from ..task import Task


def tool_calls_of(message: Message) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Name and arguments of each tool call of an assistant message.

    Raises InvalidAnswer on arguments that are not an object.
    """
    found: list[tuple[str, Mapping[str, Any]]] = []
    for call in cast(Sequence[Mapping[str, Any]], message.get("tool_calls") or ()):
        function = call.get("function") or call
        arguments = function.get("arguments") or {}
        if isinstance(arguments, str | bytes):
            try:
                arguments = orjson.loads(arguments)
            except orjson.JSONDecodeError:
                raise InvalidAnswer("tool arguments are not JSON") from None
        if not isinstance(arguments, Mapping):
            raise InvalidAnswer("tool arguments are not an object")
        found.append((str(function.get("name", "")), arguments))
    return tuple(found)


def answer_text(message: Message) -> str:
    """What a specialist writes for this assistant message."""
    calls = [{"name": name, "arguments": arguments} for name, arguments in tool_calls_of(message)]
    if calls:
        return orjson.dumps(calls[0] if len(calls) == 1 else calls).decode()
    return text_of(message).strip()


def message_from(text: str, task: Task, request: Request) -> Message:
    """The assistant message that a specialist's text stands for, its structure checked against task and request.

    Raises InvalidAnswer: empty; a label never seen; JSON that does not parse or breaks the request's schema; a tool
    that was not offered, or arguments that break its schema.
    """
    text = text.strip()
    if not text:
        raise InvalidAnswer("empty answer")
    if task.kind == "tool_calls" and text[0] in "[{":
        return _tool_message(text, request)
    if task.kind == "tool_calls" and _required_tools(request) is not None:
        raise InvalidAnswer("no tool call where one is required")
    if task.kind == "label" and task.labels and text not in task.labels:
        raise InvalidAnswer("a label that the teacher never gave")
    if task.kind == "json":
        _check_schema(_parsed(text), schema_of(request))
    return {"role": "assistant", "content": text}


def _tool_message(text: str, request: Request) -> Message:
    value = _parsed(text)
    calls = value if isinstance(value, list) else [value]
    offered = {str(f.get("name")): f for f in (tool.get("function", tool) for tool in request.tools)}
    written: list[dict[str, Any]] = []
    for call in calls:
        if not isinstance(call, Mapping) or not isinstance(call.get("arguments"), Mapping):
            raise InvalidAnswer("a tool call without name and arguments")
        name = str(call.get("name"))
        if name not in offered or request.tool_choice == "none" or name not in (_required_tools(request) or offered):
            raise InvalidAnswer("a tool that was not offered")
        _check_schema(call["arguments"], offered[name].get("parameters"))
        function = {"name": name, "arguments": orjson.dumps(call["arguments"]).decode()}
        written.append({"id": f"call_{uuid_utils.uuid4().hex[:24]}", "type": "function", "function": function})
    if not written:
        raise InvalidAnswer("no tool call")
    return {"role": "assistant", "content": None, "tool_calls": written}


def _required_tools(request: Request) -> set[str] | None:
    """The tools of which the request's `tool_choice` wants one called; None where words will do."""
    choice = request.tool_choice
    if isinstance(choice, Mapping) and (name := (choice.get("function") or choice).get("name")):
        return {str(name)}
    return set(request.tool_names) if choice in ("required", "any") else None


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidAnswer("not JSON") from None


def schema_of(request: Request) -> Mapping[str, Any] | None:
    """The JSON schema that the request's response format asks for; None where it asks for none."""
    response_format = request.response_format or {}
    return (response_format.get("json_schema") or {}).get("schema")


def breaks(value: Any, schema: Mapping[str, Any] | None) -> bool:
    """Whether the value breaks the schema; one that is itself wrong, or refers to what is not in it, says nothing."""
    from referencing.exceptions import Unresolvable

    validator = _validator(orjson.dumps(schema)) if schema else None
    try:
        return validator is not None and not validator.is_valid(value)
    except Unresolvable:
        return False


def _check_schema(value: Any, schema: Mapping[str, Any] | None) -> None:
    if breaks(value, schema):
        raise InvalidAnswer("breaks the schema")


@functools.lru_cache(maxsize=1024)
def _validator(schema: bytes) -> Any:
    """A schema's validator, kept: making one costs some 4 ms. None for a schema that is itself wrong, as many are.

    Its registry is empty because the default one fetches what a schema refers to over the network.
    """
    import jsonschema
    from jsonschema.validators import validator_for
    from referencing import Registry

    plain = orjson.loads(schema)
    kind = validator_for(plain, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(plain)
    except jsonschema.SchemaError:
        return None
    return kind(plain, registry=Registry())
