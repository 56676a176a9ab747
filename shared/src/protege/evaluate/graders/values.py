"""JSON values compared: what the graders of JSON, of tool calls and of spans stand on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")
_Place = tuple[str | int, ...]
MOST_PAIRED = 200
"""Items of a list whose order does not count, where numbers have a tolerance: pairing them costs the cube of that."""
MOST_NESTED = 100
"""Levels of objects and lists."""


@dataclass(frozen=True, slots=True)
class Rules:
    """On what terms two JSON values are equal; without any, all but the order of keys counts.

    unordered: True, or the paths of lists that are sets with repeats: names joined by dots, `[]` for a list's items
    ("items[].tags"; "" is the answer itself). abs_tol, rel_tol: numbers may differ by so much, as in `math.isclose`.
    """

    unordered: bool | Collection[str] = ()
    abs_tol: float = 0.0
    rel_tol: float = 0.0

    @property
    def wording(self) -> str:
        """What a grader's name says of its rules; empty where there are none."""
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
        """One text for all values that are equal but for tolerances: keys sorted, sets sorted, whole floats as
        integers; true and "1" keep their types."""
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

    def leaves(self, value: Any, path: str = "", place: _Place = ()) -> Iterator[tuple[_Place, Any]]:
        """Each leaf by its place, keys and numbers in lists, sets being sorted; an empty object or list is a leaf."""
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
        """The share of leaves that both have and that are equal, of those that either has; 1 where there are none."""
        fields = mine.keys() | theirs.keys()
        equal = sum(self.same(mine[field], theirs[field]) for field in mine.keys() & theirs.keys())
        return equal / len(fields) if fields else 1.0

    def _same_items(self, mine: list[Any], theirs: list[Any], path: str) -> bool:
        def same(one: Any, other: Any) -> bool:
            return self.same(one, other, f"{path}[]")

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
    """Whether each item has its own equal one on the other side (Kuhn's bipartite matching: "the same" within a
    tolerance is not transitive). False beyond MOST_PAIRED items."""
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
    """The JSON value, in a tuple because it may be null; None where the text is no JSON, or one that programs read
    differently: a key that stands twice in an object, a number beyond what floats hold, more than MOST_NESTED levels.

    The standard parser rather than orjson: that reads integers beyond 64 bits as floats, which makes two card or
    account numbers equal that are not.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    return None if _too_deep(value) else (value,)


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_NESTED):
        level = [child for item in level if isinstance(item, dict | list) for child in _children(item)]
        if not level:
            return False
    return True


def _children(item: dict[str, Any] | list[Any]) -> Collection[Any]:
    return item.values() if isinstance(item, dict) else item


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(digits: str) -> float:
    if math.isinf(number := float(digits)):
        raise ValueError("a number beyond what floats hold")
    return number


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found
