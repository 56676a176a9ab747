"""What rendering a chat template may cost, and how it is paid for."""

from __future__ import annotations

import contextvars
from collections.abc import Iterable, Mapping
from typing import Any

from jinja2.utils import Namespace

from ..errors import CannotRender

LIMIT = 40_000_000
"""What one rendering may cost. A character read or written costs 1, an operation STEP, and each part of a
loop's or macro's body NODE. Spending all of it takes half a second."""
STEP, NODE, ITEM = 100, 10, 40
MOST_CHARACTERS = 8 << 20
"""The longest text, and the longest list, that a template may make."""
MOST = 10_000
"""The largest number that a filter or a method is given: a width, a precision, an indentation."""
DEEPEST = 100
"""Lists within lists."""


class Budget:
    """What is left for one rendering."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = LIMIT

    def pay(self, cost: int) -> None:
        """Take the cost off. Raises CannotRender if that is more than is left."""
        self.left -= cost
        if self.left < 0:
            raise CannotRender("The base's chat template takes too long or writes too much.")


current: contextvars.ContextVar[Budget] = contextvars.ContextVar("protege-chat-template")
"""That of the rendering in this context."""


def weight(value: Any, limit: int = LIMIT, depth: int = 0) -> int:
    """How many characters and items a value has, all that it holds included; more than `limit` if there are more."""
    if isinstance(value, str | bytes):
        return 1 + len(value)
    if isinstance(value, int):
        return 1 + value.bit_length() // 64
    if isinstance(value, Namespace):
        value = object.__getattribute__(value, "_Namespace__attrs")
    if isinstance(value, Mapping):
        items: Iterable[Any] = (part for pair in value.items() for part in pair)
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    else:
        return 1
    if depth > DEEPEST:
        raise CannotRender("The base's chat template nests its values too deeply.")
    total = ITEM
    for item in items:
        total += ITEM + weight(item, limit - total, depth + 1)
        if total > limit:
            break
    return total


def weigh(*values: Any) -> int:
    """Pay for reading these values; returns their weight."""
    budget, total = current.get(), 0
    for value in values:
        total += weight(value, budget.left - total)
    budget.pay(total)
    return total


def shallow(value: Any) -> int:
    """How long a text or a list is; 1 for any other value."""
    return len(value) if isinstance(value, str | bytes | list | tuple | Mapping) else 1


def made(value: Any) -> Any:
    """Pay for a value that was just made."""
    current.get().pay(STEP + shallow(value))
    if shallow(value) > MOST_CHARACTERS:
        raise CannotRender("The base's chat template writes too much.")
    return value


def small(*args: Any) -> None:
    """Refuse large numbers: a width, an indentation or a count of them is memory."""
    for arg in args:
        if isinstance(arg, int | float) and not -MOST <= arg <= MOST:
            raise CannotRender("The base's chat template asks for too much space.")
