"""Whether a value is what an annotation says: for records that come out of a file that may be damaged."""

from __future__ import annotations

import functools
import math
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

Check: TypeAlias = Callable[[Any], bool]


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of this type, and all that it holds of theirs.

    kind: a class, a dataclass, None, Any, or a union, Literal, tuple, sequence or mapping of these. A float must be
    finite and may be written as an integer; a truth value is no number.
    """
    return _check(kind)(value)


@functools.cache
def _check(kind: Any) -> Check:
    if kind is Any:
        return lambda value: True
    if kind is None:
        return lambda value: value is None
    if (origin := get_origin(kind)) is not None:
        return _check_all(origin, get_args(kind))
    if kind in (int, float):
        numbers = (int, float) if kind is float else int
        return lambda value: isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)
    if isinstance(kind, type) and is_dataclass(kind):
        return lambda value: isinstance(value, kind) and all(_check(of)(getattr(value, n)) for n, of in _hints(kind))
    return lambda value: isinstance(value, kind)


def _check_all(origin: Any, of: tuple[Any, ...]) -> Check:
    if origin is Literal:
        return lambda value: value in of
    parts = [_check(part) for part in of if part is not Ellipsis]
    if origin in (Union, types.UnionType):
        return lambda value: any(part(value) for part in parts)
    if origin is tuple and Ellipsis not in of:
        return lambda value: isinstance(value, tuple) and len(value) == len(of) and all(map(_call, parts, value))
    if issubclass(origin, Mapping):
        key, item = parts
        return lambda value: isinstance(value, Mapping) and all(map(key, value)) and all(map(item, value.values()))
    # A text is a sequence too, but never what is meant; JSON has lists for what was a tuple.
    wanted = (list, tuple) if origin is Sequence else origin
    return lambda value: isinstance(value, wanted) and all(map(parts[0], value))


def _call(check: Check, value: Any) -> bool:
    return check(value)


@functools.cache
def _hints(kind: type) -> tuple[tuple[str, Any], ...]:
    return tuple(get_type_hints(kind).items())
