"""The node of a call whose client names none: by the role that its prompt gives, and the form that it asks for; and the
id of one that its client marks.

A framework's steps come apart by these: in a run of MetaGPT, code writing and reviewing have one system prompt, and
became one task without them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from ..common.messages import text_in

_YOU_ARE = re.compile(r"\bYou are (?:an? |the )?([^\n.,;:!?]{2,60})(?:, named ([^\n.,;:!?]{1,40}))?")
_SAID_ROLE = re.compile(r"^[ \t]*Role: *(?:You are )?(?:an? |the )?([^\n.,;:!?]{2,60})", re.MULTILINE)
_EXAMPLE = re.compile(r"^#+ *format example[^{]{0,40}(?=\{)", re.IGNORECASE | re.MULTILINE)
_GENERIC = frozenset({"json", "answer", "response", "output", "result", "schema", "final_result"})
"""Names that frameworks give to any schema; its keys then say more."""
_SEEN = 50_000
"""Characters of a prompt that are searched, at its beginning and its end."""
_LONGEST = 80
"""Characters of a part of a node."""


def default_node(record: Mapping[str, Any], agent: str | None = None) -> tuple[str, ...]:
    """The path of the step that made a call: agent, role and form, as far as they are known.

    record: as `Asked.record`. The role is that of the system prompt, "You are a X, named Y". The form is the name of
    the tool that must or can be called, or of the schema; the schema's keys if it has no name of its own; or what a
    prompt's format example or its line "Role: …" says. Nothing in it depends on the rest of what was said.
    """
    messages = cast(Sequence[Any], record.get("messages") or ())
    system, prompt = _text(messages, ("system", "developer")), _text(messages, ("user",))
    parts = (agent, _role(system), _form(record) or _form_in(prompt))
    return tuple(part for part in parts if part)


def tried_id(key: str, body: bytes) -> str:
    """One id for all tries of a request whose client marks them by an idempotency key: it is then stored once.

    No client can choose it, since the request is part of it.
    """
    return f"tried-{hashlib.blake2b(body, key=key.encode(errors='replace')[:64], digest_size=16).hexdigest()}"


def _text(messages: Sequence[Any], roles: Sequence[str]) -> str:
    """The first message of these roles: its beginning and its end."""
    first = next((m for m in messages if isinstance(m, Mapping) and m.get("role") in roles), None)
    if first is None:
        return ""
    held = cast(Mapping[str, Any], first)
    text = text_in(held.get("content", held.get("parts")))
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
    found = _SAID_ROLE.search(prompt)
    return _short(found[1]) if found else None


def _keys(names: Iterable[Any]) -> str | None:
    return _short(", ".join(map(str, names))) or None


def _short(text: str) -> str:
    """The text, or its beginning with a hash of the whole."""
    text = " ".join(text.split())
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST - 9]} {hashlib.sha256(text.encode(errors='replace')).hexdigest()[:8]}"
