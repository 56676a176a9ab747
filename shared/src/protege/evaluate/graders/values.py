"""Compares JSON values, for the graders of JSON, tool calls and spans."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

from ...common.checks import too_deep
from ...common.wrappers import bare

T = TypeVar("T")
_Path = tuple[str | int, ...]
MOST_PAIRED = 200
"""The most items of an unordered list if numbers have a tolerance: pairing takes the cube of that in time."""
MOST_NESTED = 100
"""The most levels of objects and lists inside each other."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which two JSON values are equal. By default everything counts except the order of keys."""

    unordered: bool | Collection[str] = ()
    """True, or the paths of the lists whose order does not count: names joined by dots, with `[]` for a list's items
    ("items[].tags"; "" is the answer itself)."""
    abs_tol: float = 0.0
    """Numbers may differ by this much, as in `math.isclose`."""
    rel_tol: float = 0.0
    """Numbers may differ by this share, as in `math.isclose`."""

    @property
    def wording(self) -> str:
        """The rules as part of a grader's name; empty if all are the defaults."""
        said = [f"any order of {', '.join(sorted(self._sets))}"] if self._sets else []
        said += ["any order"] if self.unordered is True else []
        said += [f"± {self.abs_tol:g}"] if self.abs_tol else []
        said += [f"± {self.rel_tol:.2%}"] if self.rel_tol else []
        return "".join(f", {part}" for part in said)

    def same(self, mine: Any, theirs: Any, path: str = "") -> bool:
        """Whether two parsed values are equal. 1 is 1.0, but neither true nor "1"; a missing field is not null."""
        if not self.abs_tol and not self.rel_tol:
            return self.form(mine, path) == self.form(theirs, path)
        if isinstance(mine, dict) and isinstance(theirs, dict):
            return mine.keys() == theirs.keys() and all(
                self.same(mine[key], theirs[key], f"{path}.{key}" if path else key) for key in mine
            )
        if isinstance(mine, list) and isinstance(theirs, list):
            return self._same_items(mine, theirs, path)
        if _is_number(mine) and _is_number(theirs):
            return self._close(mine, theirs)
        return type(mine) is type(theirs) and mine == theirs

    def form(self, value: Any, path: str = "") -> str:
        """One text for all values that are equal without tolerances.

        Keys and unordered lists are sorted and whole floats written as integers; true and "1" keep their types.
        """
        return json.dumps(self._plain(value, path), sort_keys=True)

    def _plain(self, value: Any, path: str) -> Any:
        if isinstance(value, float) and value.is_integer():
            return int(value)
        if isinstance(value, list):
            items = [self._plain(item, f"{path}[]") for item in value]
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True)) if self._is_set(path) else items
        if isinstance(value, dict):
            return {key: self._plain(item, f"{path}.{key}" if path else key) for key, item in value.items()}
        return value

    def leaves(self, value: Any, path: str = "", place: _Path = ()) -> Iterator[tuple[_Path, Any]]:
        """Each leaf with its place: keys, and positions in lists (unordered lists are sorted first). An empty object or
        list is a leaf."""
        if value and isinstance(value, dict):
            for key, item in value.items():
                yield from self.leaves(item, f"{path}.{key}" if path else key, (*place, key))
        elif value and isinstance(value, list):
            items = sorted(value, key=lambda item: self.form(item, f"{path}[]")) if self._is_set(path) else value
            for i, item in enumerate(items):
                yield from self.leaves(item, f"{path}[]", (*place, i))
        else:
            yield place, value

    def share(self, mine: dict[Any, Any], theirs: dict[Any, Any]) -> float:
        """Of the leaves that either has, the share that both have and that are equal; 1 if there are no leaves."""
        fields = mine.keys() | theirs.keys()
        equal = sum(self.same(mine[field], theirs[field]) for field in mine.keys() & theirs.keys())
        return equal / len(fields) if fields else 1.0

    def _same_items(self, mine: list[Any], theirs: list[Any], path: str) -> bool:
        def same(my_item: Any, their_item: Any) -> bool:
            return self.same(my_item, their_item, f"{path}[]")

        if self._is_set(path):
            return paired(mine, theirs, same)
        return len(mine) == len(theirs) and all(map(same, mine, theirs))

    @property
    def _sets(self) -> Collection[str]:
        if isinstance(self.unordered, str):
            return (self.unordered,)
        return () if isinstance(self.unordered, bool) else self.unordered

    def _is_set(self, path: str) -> bool:
        return self.unordered is True or path in self._sets

    def _close(self, mine: float, theirs: float) -> bool:
        try:
            return mine == theirs or math.isclose(mine, theirs, rel_tol=self.rel_tol, abs_tol=self.abs_tol)
        except OverflowError:  # integers beyond what floats hold
            return False


def paired(mine: Sequence[T], theirs: Sequence[T], same: Callable[[T, T], bool]) -> bool:
    """Whether the items can be paired so that each equals its partner. False beyond MOST_PAIRED items.

    Kuhn's bipartite matching, since "the same" within a tolerance is not transitive.
    """
    if len(mine) != len(theirs) or len(mine) > MOST_PAIRED:
        return False
    partner: dict[int, int] = {}

    def placed(i: int, tried: set[int]) -> bool:
        for j, other in enumerate(theirs):
            if j not in tried and same(mine[i], other):
                tried.add(j)
                if j not in partner or placed(partner[j], tried):
                    partner[j] = i
                    return True
        return False

    return all(placed(i, set()) for i in range(len(mine)))


def parsed(text: str) -> tuple[Any] | None:
    """The JSON value, in a tuple because it may be null; None if the text is not JSON.

    Also None for JSON that programs read differently: a key twice in an object, a number beyond what floats hold, or
    more than MOST_NESTED levels. The standard parser is used because orjson reads integers beyond 64 bits as floats,
    which would make different card or account numbers equal.
    """
    try:
        value = json.loads(bare(text), parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return None if too_deep(value, MOST_NESTED) else (value,)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("a number beyond what floats hold")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    by_key = dict(pairs)
    if len(by_key) != len(pairs):
        raise ValueError("a key occurs twice")
    return by_key
