"""The node of a call whose client names none: by the role that its prompt gives, and the form that it asks for; and the
id of one that its client marks.

A framework's steps come apart by these: in a run of MetaGPT, code writing and reviewing have one system prompt, and
became one task without them.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ..common.messages import text_in

_YOU_ARE = re.compile(
    r"\b(?:You|(?:Assume|Imagine|Suppose|Pretend)(?: that)? you) are (?:an? |the )?([^\n.,;:!?]{2,60})"
    r"(?:, named ([^\n.,;:!?]{1,40}))?"
)
_SAID_ROLE = re.compile(
    r"^[ \t]*(?:\d{1,2}[.)] *)?Role: *(?:You are )?(?:an? |the )?([^\n.,;:!?]{2,60})"
    r"(?:[^\n.!?]{1,40}?\b(?:task|goal|role|job) is (?:to )?([^\s.,;:!?]{1,40}(?: [^\s.,;:!?]{1,40}){0,5}))?",
    re.MULTILINE,
)
_INSTRUCTION = re.compile(
    r"^#+ *Instruction: *+(?!Based|Given|According|Following)([^\n.,;:!?\"'`{<(]{2,40})", re.MULTILINE
)
_BLANK = re.compile(r"\s*")
_SAID_FORMAT = re.compile(r"\b(?:respond|answer|reply|output)\b[^\n]{0,80}\bformat\b", re.IGNORECASE)
_TITLE = re.compile(
    r"^(?!(?:class|def|else|try|finally|if|for|while|with|async)\b)([A-Za-z][A-Za-z_ ]{1,40}):[ \t]*$", re.MULTILINE
)
"""A line that ends with a colon and opens no block of Python."""
_EXAMPLE = re.compile(r"^#+ *format example[^{]{0,40}(?=\{)", re.IGNORECASE | re.MULTILINE)
_GENERIC = frozenset({"json", "answer", "response", "output", "result", "schema", "final_result"})
"""Names that frameworks give to any schema; its keys then say more."""
_SEEN = 50_000
"""Characters of a prompt that are searched, at its beginning and its end."""
_MOST_MESSAGES = 20
"""Messages of an opening that are read."""
_LONGEST = 80
"""Characters of a part of a node."""
_MOST_TITLES, _NEAR = 8, 2_000
"""Titles of a format that are read, and within how many characters after it is spoken of."""


def default_node(record: Mapping[str, Any], agent: str | None = None) -> tuple[str, ...]:
    """The path of the step that made a call: agent, role and form, as far as they are known.

    record: as `Asked.record`. The role is that of the system prompt, "You are a X, named Y". The form is the name of
    the tool that must or can be called, or of the schema; the schema's keys if it has no name of its own; or what the
    prompt says of it: the keys of its format example, the titles of the format to answer in, or its line "Role: …" with
    the task that this line gives. Nothing in it depends on the rest of what was said.
    """
    opening = _opening(cast(Sequence[Any], record.get("messages") or ()))
    system, prompt = _text(opening, ("system", "developer")), _text(opening, ("user",))
    parts = (agent, _role(system), _form(record) or _form_in(prompt))
    return tuple(part for part in parts if part)


def tried_id(key: str, body: bytes) -> str:
    """One id for all tries of a request whose client marks them by an idempotency key: it is then stored once.

    No client can choose it, since the request is part of it.
    """
    return f"tried-{hashlib.blake2b(body, key=key.encode(errors='replace')[:64], digest_size=16).hexdigest()}"


def _opening(messages: Sequence[Any]) -> list[Mapping[str, Any]]:
    """The messages before the first answer: what a conversation keeps while it goes on."""
    held = [cast(Mapping[str, Any], message) for message in messages if isinstance(message, Mapping)]
    return list(itertools.takewhile(lambda message: message.get("role") not in ("assistant", "model", "tool"), held))


def _text(opening: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> str:
    """What these roles say: its beginning and its end."""
    said = [message.get("content", message.get("parts")) for message in opening if message.get("role") in roles]
    text = "\n".join(map(text_in, said[:_MOST_MESSAGES]))
    return text if len(text) <= 2 * _SEEN else f"{text[:_SEEN]}\n{text[-_SEEN:]}"


def _role(system: str) -> str | None:
    if (found := _YOU_ARE.search(system)) is None:
        return None
    return _short(found[1] if found[2] is None else f"{found[1]}, {found[2]}")


def _form(record: Mapping[str, Any]) -> str | None:
    """What the request's own fields say of the form."""
    functions = [_function(tool) for tool in record.get("tools") or () if isinstance(tool, Mapping)]
    choice: Any = record.get("tool_choice")
    if isinstance(choice, Mapping):
        chosen = _function(choice).get("name")
        functions = [function for function in functions if function.get("name") == chosen] or functions
    if functions and choice != "none":
        if len(functions) == 1:
            return _named(functions[0].get("name"), functions[0].get("parameters"))
        return _short(", ".join(sorted(str(function.get("name")) for function in functions)))
    held: Any = record.get("response_format")
    schema = held.get("json_schema") if isinstance(held, Mapping) else None
    return _named(schema.get("name"), schema.get("schema")) if isinstance(schema, Mapping) else None


def _function(tool: Mapping[Any, Any]) -> Mapping[str, Any]:
    function = tool.get("function")
    return cast(Mapping[str, Any], function) if isinstance(function, Mapping) else tool


def _named(name: Any, schema: Any) -> str | None:
    if isinstance(name, str) and name and name.lower() not in _GENERIC:
        return _short(name)
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    return _keys(cast(Any, properties)) if isinstance(properties, Mapping) else None


def _form_in(prompt: str) -> str | None:
    """What a prompt's own words say of the form."""
    if (found := _EXAMPLE.search(prompt)) is not None:
        with contextlib.suppress(RecursionError, ValueError):
            return _keys(json.JSONDecoder().raw_decode(prompt, found.end())[0])
    if (titles := _titles(prompt)) is not None:
        return titles
    if (found := _SAID_ROLE.search(prompt)) is None:
        return None
    ordered = _INSTRUCTION.search(prompt)
    return _short(": ".join(part.strip() for part in (found[1], found[2], ordered and ordered[1]) if part))


def _titles(prompt: str) -> str | None:
    """The titles of the format that a prompt says to answer in, of which the first follows at once."""
    for said in _SAID_FORMAT.finditer(prompt):
        line_ends = prompt.find("\n", said.end())
        blank = _BLANK.match(prompt, line_ends) if line_ends >= 0 else None
        if blank is not None and _TITLE.match(prompt, blank.end()):
            titles = (match[1] for match in _TITLE.finditer(prompt, blank.end(), blank.end() + _NEAR))
            return _keys(itertools.islice(titles, _MOST_TITLES))
    return None


def _keys(names: Iterable[Any]) -> str | None:
    return _short(", ".join(map(str, names))) or None


def _short(text: str) -> str:
    """The text, or its beginning with a hash of the whole."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 9]} {hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
