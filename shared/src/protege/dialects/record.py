"""What a request or an answer tells of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, TypeVar

from ..errors import BadCall

T = TypeVar("T")

Record: TypeAlias = dict[str, Any]
"""A call as `Call.from_record` reads it. Its messages may be in any form of `common.messages`."""


def without_nothing(record: Mapping[str, Any]) -> Record:
    """The fields that say something."""
    return {name: value for name, value in record.items() if value is not None and value != {} and value != []}


def object_of(value: Any) -> Mapping[str, Any]:
    """The value, if it is a JSON object. Raises BadCall."""
    if not isinstance(value, Mapping):
        raise BadCall("not a JSON object.")
    return value


def guarded(read: Callable[[], T], what: str) -> T:
    """What `read` returns. Whatever of JSON is not where it should be, or is of another type, makes it a BadCall: what
    comes from outside may hold anything."""
    try:
        return read()
    except (AttributeError, IndexError, KeyError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise BadCall(f"{what} is in no known form ({type(error).__name__}).") from None
