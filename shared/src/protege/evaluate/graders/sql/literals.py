"""What queries ask of columns: the values that meet their conditions, and the values next to these."""

from __future__ import annotations

import datetime
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .parsing import exp
from .schema import Column, Table

_DATES = ["2019-12-31", "2020-01-01", "2020-02-15", "2021-07-04"]
_TEXTS = ["a", "b", "B", "ab", "abc", "abcdef", "10", ""]
_NUMBERS = list(range(-1, 9))
_MORE_TEXTS = ["c", "Dd", "k9", "mno", "z"]
_MORE_NUMBERS = [13, 21, 34, 57, 80, 99]


@dataclass(frozen=True, slots=True)
class Asked:
    """What conditions ask of a column and of the columns that it is compared with."""

    names: tuple[str, ...]
    """These columns."""
    meeting: tuple[Any, ...]
    """Values that meet a condition; empty where nothing is asked."""
    missing: tuple[Any, ...]
    """Values that miss a condition."""
    near: tuple[Any, ...]
    """The literals of the conditions and their neighbours."""
    joined: bool
    """Whether columns are compared with each other, so that rows meet where they share a value."""

    def shared(self, number: int, chance: random.Random) -> Any:
        """The value that a family of rows shares: mostly one that a condition asks for, else the family's own."""
        return chance.choice(self.meeting) if self.near and chance.random() < 0.8 else 100 + number


def asked_of(tables: Sequence[Table], queries: Sequence[Any]) -> dict[str, Asked]:
    """What the queries ask of each column of the tables, by name; columns with the same name are taken for one."""
    columns = {column.name: column for table in tables for column in table.columns}
    groups = {name: {name} for name in columns}
    joined: set[str] = set()
    pairs = [(column.name, column.refers) for column in columns.values() if column.refers]
    conditions: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for query in queries:
        for names, said in _conditions(query):
            conditions[names[0]] += said
            pairs += itertools.pairwise(names)
    for first, second in pairs:
        if first in groups and second in groups:
            joined |= {first, second}
            together = groups[first] | groups[second]
            groups |= dict.fromkeys(together, together)
    return {
        name: _asked(
            columns[name],
            sorted(group),
            [c for member in sorted(group) for c in conditions[member]],
            bool(group & joined),
        )
        for name, group in groups.items()
    }


def _asked(column: Column, names: list[str], conditions: list[tuple[str, Any]], joined: bool) -> Asked:
    meeting = [value for sign, literal in conditions for value in _meeting(sign, near(literal, column))]
    missing = [value for sign, literal in conditions for value in _missing(sign, near(literal, column))]
    around = [value for _, literal in conditions for value in near(literal, column)]
    if joined and not around:
        meeting = list(_NUMBERS[2:6])
    meeting, missing, around = (tuple(dict.fromkeys(values)) for values in (meeting, missing, around))
    return Asked(tuple(names), meeting, missing, around, joined)


def _meeting(sign: str, around: list[Any]) -> list[Any]:
    """Those of a literal and its neighbours that meet a condition with this sign."""
    match sign:
        case "<":
            return around[2:3] + around[4:5]
        case ">":
            return around[1:2] + around[3:4]
        case "<>":
            return around[1:3]
        case _:
            return around[:1]


def _missing(sign: str, around: list[Any]) -> list[Any]:
    """Those of a literal and its neighbours that miss a condition with this sign."""
    match sign:
        case "<":
            return around[:2] + around[3:4]
        case ">":
            return around[:1] + around[2:3] + around[4:5]
        case "<>":
            return around[:1]
        case "like":  # values near a pattern often fit it
            return []
        case _:
            return around[1:3]


def _conditions(query: Any) -> Iterator[tuple[list[str], list[tuple[str, Any]]]]:
    """For each predicate its columns, and its literals with the sign that compares the first column.

    Of a query inside a predicate, only the columns that it gives are counted.
    """
    for node in query.find_all(exp.Predicate):
        parts = list(node.walk(prune=lambda part: isinstance(part, exp.Query)))
        given = [
            c
            for part in parts
            if isinstance(part, exp.Select)
            for e in part.expressions
            for c in e.find_all(exp.Column)
        ]
        names = [column.name.lower() for column in [*parts, *given] if isinstance(column, exp.Column)]
        if names:
            literals = [(_sign(node), value) for value in _literals(node, parts)]
            yield (names if isinstance(node, exp.EQ | exp.In) else names[:1]), literals


def _sign(node: Any) -> str:
    if isinstance(node, exp.NEQ) or isinstance(node.parent, exp.Not):
        return "<>"
    if isinstance(node, exp.Like | exp.ILike):
        return "like"
    left = bool(node.this.find(exp.Column))
    if isinstance(node, exp.LT):
        return "<" if left else ">"
    if isinstance(node, exp.GT):
        return ">" if left else "<"
    return "="


def _literals(node: Any, parts: list[Any]) -> Iterator[Any]:
    """The literals of a predicate; a sum of two as one literal; a pattern as texts that fit it."""
    for literal in (part for part in parts if isinstance(part, exp.Literal)):
        value = _value(literal)
        if isinstance(node, exp.Like | exp.ILike) and isinstance(value, str):
            yield from (value.replace("%", other).replace("_", "x") for other in ("", "x", "yz"))
            yield value
        elif isinstance(literal.parent, exp.Add | exp.Sub) and all(
            isinstance(side, exp.Literal) and not side.is_string
            for side in (literal.parent.this, literal.parent.expression)
        ):
            sign = 1 if isinstance(literal.parent, exp.Add) else -1
            yield _value(literal.parent.this) + sign * _value(literal.parent.expression)
        else:
            yield -value if isinstance(literal.parent, exp.Neg) and not isinstance(value, str) else value


def _value(literal: Any) -> Any:
    if literal.is_string:
        return literal.name
    number = float(literal.name)
    return int(number) if number.is_integer() else number


def near(literal: Any, column: Column) -> list[Any]:
    """The literal as the column holds it, then the values just above and below, further above and below, and others."""
    if (
        isinstance(literal, str)
        and re.fullmatch(r"0|-?[1-9]\d{0,14}", literal)
        and (column.date or column.affinity != "TEXT")
    ):
        literal = int(literal)
    if not isinstance(literal, str):
        return _near_number(literal, column)
    try:
        day = datetime.date.fromisoformat(literal[:10])
        others = [day + datetime.timedelta(days) for days in (1, -1, 40, -40)]
        return [literal, *(f"{other}{literal[10:]}" for other in others)]
    except (ValueError, OverflowError):
        return [literal, f"{literal}x", literal[:-1], literal.swapcase(), "", f"x{literal}"]


def _near_number(number: float, column: Column) -> list[Any]:
    if column.date:
        years = [f"{year:04}" for year in (number, number + 1, number - 1, number + 3, number - 3) if 1 <= year <= 9999]
        return [f"{year}-06-15" for year in years if len(year) == 4]
    step = 1 if isinstance(number, int) else 0.5
    numbers = [number, number + step, number - step, number + 30, number - 30, -number]
    if column.affinity != "TEXT":
        return numbers
    return [*map(str, numbers), *("x" * int(n) for n in numbers[:3] if 0 <= n <= 40)]  # texts of that length


def plain_values(column: Column, asked: Asked) -> list[Any]:
    """Values that the column may hold besides those that conditions ask for.

    There are more where nothing is asked: with few values, a handful of rows holds the greatest one whatever rows a
    condition leaves out.
    """
    more = not asked.meeting
    if column.date:
        return _DATES
    if column.affinity == "TEXT" or (not column.affinity and asked.near and all(map(_is_text, asked.near))):
        return [*_TEXTS, *_MORE_TEXTS] if more else _TEXTS
    numbers = [*_NUMBERS, *_MORE_NUMBERS] if more else _NUMBERS
    return [*numbers, 0.5, 1.25, 2.5] if column.affinity in ("REAL", "NUMERIC") else numbers


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
