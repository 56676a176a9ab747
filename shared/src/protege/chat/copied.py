"""Arguments that are copied: ids, names and addresses that the teacher never made up stand in the conversation, or in
the tool's own list of values. A specialist's answer in which one does not is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson

from ..call import Request, text_of
from ..task import Example
from .acts import calls_of, function_of

LEAST = 20
"""Training answers that show that an argument is always copied."""
SHORTEST = 3
"""A shorter text, such as "CA", stands in many a conversation by chance; it shows nothing, and is not looked for."""
MOST_PLACES = 100
"""Where a text occurs more often inside other words, the rest of them are not looked at."""
DEEPEST = 20


def copied_in(examples: Iterable[Example]) -> tuple[str, ...]:
    """The paths of those arguments, "tool.argument" or "field.field", whose values always stand in the conversation."""
    seen, stood = Counter[str](), Counter[str]()
    for example in examples:
        told, text = dict[str, list[str]](), ""
        for path, value in _values(example.answer):
            told.setdefault(path, []).append(value)
        if told:
            text = conversation(example.request)
        for path, values in told.items():
            seen[path] += 1
            stood[path] += all(stands(value, text) or value in _listed(example.request, path) for value in values)
    return tuple(sorted(path for path, count in seen.items() if count >= LEAST and stood[path] == count))


def made_up(answer: str, request: Request, copied: Sequence[str]) -> str:
    """The path of the first argument that is to be copied and stands nowhere; empty if there is none."""
    told = [(path, value) for path, value in _values(answer) if path in copied] if copied else []
    text = conversation(request) if told else ""
    return next((p for p, value in told if not (stands(value, text) or value in _listed(request, p))), "")


def conversation(request: Request) -> str:
    """All that was said, by whomever, and all that was asked of tools."""
    said: list[str] = []
    for message in request.messages:
        said.append(text_of(message))
        said += [str(function_of(call).get("arguments") or "") for call in calls_of(message)]
    return "\n".join(said)


def stands(value: str, text: str) -> bool:
    """Whether a value stands in a text as a word of its own, as it is or as JSON writes it."""
    written = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()[1:-1] if _is_text(value) else value
    return any(_is_word_in(form, text) for form in dict.fromkeys((value, written)))


def _is_word_in(value: str, text: str) -> bool:
    at = text.find(value)
    for _ in range(MOST_PLACES):
        if at < 0:
            return False
        end = at + len(value)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (value[0].isalnum() and before.isalnum()) and not (value[-1].isalnum() and after.isalnum()):
            return True
        at = text.find(value, at + 1)
    return False


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _values(answer: str) -> Iterator[tuple[str, str]]:
    """The path and the text of each value in an answer that can be looked for."""
    if answer.strip()[:1] not in ("{", "["):
        return
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return
    calls = cast(list[Any], value) if isinstance(value, list) else [value]
    for call in calls:
        if isinstance(call, Mapping):
            fields = cast(Mapping[str, Any], call)
            arguments, name = fields.get("arguments"), fields.get("name")
            is_call = isinstance(arguments, Mapping) and isinstance(name, str)
            yield from _leaves(arguments if is_call else fields, str(name) if is_call else "", DEEPEST)


def _leaves(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for key, item in cast(Mapping[str, Any], value).items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key), depth - 1)
    elif isinstance(value, list):
        for item in cast(list[Any], value):
            yield from _leaves(item, f"{path}[]", depth - 1)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        if len(text) >= SHORTEST:
            yield path, text


def _listed(request: Request, path: str) -> Sequence[Any]:
    """The values that the tool's schema lists for an argument."""
    tool, _, argument = path.replace("[]", "").partition(".")
    for offered in request.tools:
        function = offered.get("function", offered)
        if function.get("name") == tool:
            schema: Any = function.get("parameters")
            for key in argument.split("."):
                schema = _inner(schema, key)
            listed = _listed_in(schema)
            return listed if isinstance(listed, list) else ()
    return ()


def _inner(schema: Any, key: str) -> Any:
    if isinstance(schema, Mapping) and isinstance(items := schema.get("items"), Mapping):
        schema = items
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return properties.get(key) if isinstance(properties, Mapping) else None


def _listed_in(schema: Any) -> Any:
    if not isinstance(schema, Mapping):
        return None
    items = schema.get("items")
    return schema.get("enum") or (items.get("enum") if isinstance(items, Mapping) else None)
