"""JSON that other writers accept and orjson does not: read by Python's parser, written without what cannot be."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, cast

import orjson

from .checks import MOST_LEVELS
from .linear import Linear

_LEAST, _BEYOND = -(1 << 63), 1 << 64
_LONG = Linear(r"[0-9]{19}", groups=False)
"""In such a text a number may be too large for orjson, which then makes a float of it without a word."""


def loads(text: bytes | bytearray | str) -> Any:
    """What a JSON text holds. NaN, infinities, lone surrogates and large integers are kept as Python's parser keeps
    them. Raises ValueError."""
    if not _is_long(text):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _is_long(text: bytes | bytearray | str) -> bool:
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    return _LONG.search(raw) is not None


def plain(value: Any, depth: int = 0) -> Any:
    """A copy without what orjson refuses: odd keys, integers over 64 bits, lone surrogates, circles."""
    if depth >= MOST_LEVELS and isinstance(value, Mapping | list | tuple | set | frozenset):
        return "<too deep>"
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        held = cast(Mapping[Any, Any], value)
        return {plain(str(key), depth): plain(item, depth + 1) for key, item in held.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth + 1) for item in cast(list[Any], value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return value if _LEAST <= value < _BEYOND else str(value)
    return value
