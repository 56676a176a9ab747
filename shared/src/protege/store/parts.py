"""The large parts of calls, each stored once: the body of a call holds `{"$part": hash}` in their place.

A call may hold such an object itself. It is then stored as a part too, however small it is, so that whatever stands in
a body in this form is ours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from ..errors import BadCall

PART_BYTES = 256
"""Parts at least this long are stored once; below, a hash would cost more than it saves."""


def pack(record: Mapping[str, Any], keep: Callable[[str, bytes], None]) -> bytes:
    """A record as bytes, its large parts given to `keep(hash, bytes)` and replaced by their hashes."""

    def part(value: Any) -> Any:
        body = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
        if len(body) < PART_BYTES and not _is_mark(value):
            return value
        digest = _digest(body)
        keep(digest, body)
        return {"$part": digest}

    packed = dict(record)
    packed["messages"] = [{**m, "content": part(m["content"])} if m.get("content") else m for m in record["messages"]]
    for name in ("tools", "response_format"):
        if packed.get(name):
            packed[name] = part(packed[name])
    return orjson.dumps(packed, option=orjson.OPT_NON_STR_KEYS)


def unpack(body: bytes, part: Callable[[str], Any]) -> dict[str, Any]:
    """The record that `pack` made; `part(hash)` gives a stored part."""
    record: dict[str, Any] = orjson.loads(body)

    def whole(value: Any) -> Any:
        return part(value["$part"]) if _is_mark(value) and isinstance(value["$part"], str) else value

    for message in record["messages"]:
        if "content" in message:
            message["content"] = whole(message["content"])
    for name in ("tools", "response_format"):
        if name in record:
            record[name] = whole(record[name])
    return record


def read_part(digest: str, body: Any) -> Any:
    """A stored part. Raises BadCall if it is missing or is not what was stored."""
    if body is None:
        raise BadCall("a part of it is missing in the store.")
    if not isinstance(body, bytes) or _digest(body) != digest:
        raise BadCall("a part of it is damaged in the store.")
    return orjson.loads(body)


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:32]


def _is_mark(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"$part"}
