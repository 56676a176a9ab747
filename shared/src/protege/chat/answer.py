"""An answer as text and back: the text that a specialist learns to write, and the message that an agent gets.

Text, labels, JSON and SQL are written as they are, without a fence or reasoning around them. A tool call is written as
a JSON object `{"name": …, "arguments": {…}}`; several are written as a list of such objects.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import orjson
import uuid_utils

from ..call import Message, Request, text_of
from ..common.forks import importing
from ..common.wrappers import Wrapper, bare
from ..errors import InvalidAnswer
from ..task import Task
from .acts import function_of

TO_TEACHER = "To the teacher."
"""What a specialist learns to write where the teacher answers a step of a conversation in words."""


def tool_calls_of(message: Message) -> tuple[tuple[str, Mapping[str, Any]], ...]:
    """Name and arguments of each tool call in an assistant message.

    Raises InvalidAnswer if the arguments are not an object.
    """
    calls: list[tuple[str, Mapping[str, Any]]] = []
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
        calls.append((str(function.get("name", "")), arguments))
    return tuple(calls)


def answer_text(message: Message) -> str:
    """The text that a specialist writes for this assistant message."""
    calls = [{"name": name, "arguments": arguments} for name, arguments in tool_calls_of(message)]
    if calls:
        return orjson.dumps(calls[0] if len(calls) == 1 else calls).decode()
    return bare_text(message)


def history_text(message: Message) -> str:
    """The text of an assistant's earlier turn: as `answer_text`; arguments that are no JSON, or are nested too deeply,
    as they were written."""
    try:
        return answer_text(message)
    except (InvalidAnswer, TypeError):
        functions = [function_of(call) for call in message.get("tool_calls") or ()]
        calls = [{"name": str(f.get("name", "")), "arguments": _written(f.get("arguments"))} for f in functions]
        return orjson.dumps(calls[0] if len(calls) == 1 else calls).decode()


def _written(arguments: Any) -> Any:
    if isinstance(arguments, bytes):
        arguments = arguments.decode(errors="replace")
    return arguments if arguments is None or isinstance(arguments, str | Mapping) else str(arguments)


def bare_text(message: Message) -> str:
    """The text of an assistant message without reasoning, and without what stands around the answer."""
    return bare(text_of(message))


def is_words(task: Task, message: Message) -> bool:
    """Whether the message is words in a step of a conversation where tools are called. Words are the teacher's to say:
    a specialist that writes some says that the turn is none of its own."""
    return bool(task.state) and task.kind == "tool_calls" and not message.get("tool_calls")


def taught_text(task: Task, answer: str) -> str:
    """The answer as a specialist learns it: `TO_TEACHER` for words that it is not to say (`is_words`)."""
    words = bool(task.state) and task.kind == "tool_calls" and answer.strip()[:1] not in ("{", "[")
    return TO_TEACHER if words else answer


def message_from(text: str, task: Task, request: Request) -> Message:
    """The assistant message that a specialist's text stands for, wrapped as the task's teacher wraps its answers. Its
    structure is checked against task and request.

    Raises InvalidAnswer if the text is empty, is a label that was never seen, is JSON that does not parse or breaks the
    request's schema, or calls a tool that was not offered or with arguments that break its schema.
    """
    text = bare(text)
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
    return {"role": "assistant", "content": Wrapper(*task.wrapper).around(text)}


def _tool_message(text: str, request: Request) -> Message:
    value = _parsed(text)
    calls = value if isinstance(value, list) else [value]
    functions = (tool.get("function", tool) for tool in request.tools)
    offered = {str(function.get("name")): function for function in functions}
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
    """The tools one of which must be called by the request's `tool_choice`; None if a text will do."""
    choice = request.tool_choice
    if isinstance(choice, Mapping):
        function = choice.get("function") or choice
        if isinstance(function, Mapping) and (name := function.get("name")):
            return {str(name)}
    return set(request.tool_names) if choice in ("required", "any") else None


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidAnswer("not JSON") from None


def schema_of(request: Request) -> Mapping[str, Any] | None:
    """The JSON schema that the request's response format asks for; None if it asks for none."""
    named = (request.response_format or {}).get("json_schema")
    schema = named.get("schema") if isinstance(named, Mapping) else None
    return schema if isinstance(schema, Mapping) else None


def breaks(value: Any, schema: Mapping[str, Any] | None) -> bool:
    """Whether the value breaks the schema, or could not be checked within the bounds of `schema`. No value breaks a
    schema that is itself wrong or has unresolved references."""
    try:
        return bool(schema) and _check(orjson.dumps(schema))(value)
    except TypeError:  # it is nested too deeply, or is no JSON
        return True


def _check_schema(value: Any, schema: Mapping[str, Any] | None) -> None:
    if breaks(value, schema):
        raise InvalidAnswer("breaks the schema")


@functools.lru_cache(maxsize=1024)
def _check(schema: bytes) -> Callable[[Any], bool]:
    """Tells whether a value breaks this schema. Cached, because a validator takes some 4 ms to make."""
    with importing():
        # Here, since the route loads this module inside the agent: jsonschema takes 90 ms to import.
        from .schema import checker

    return checker(schema)
