"""What queries ask of columns: the values that meet their conditions, and the values next to those."""

from __future__ import annotations

import datetime
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .schema import Column, Table

_DATES = ["2019-12-31", "2020-01-01", "2020-02-15", "2021-07-04"]
_TEXTS = ["a", "b", "B", "ab", "abc", "abcdef", "10", ""]
_NUMBERS = list(range(-1, 9))
_MORE_TEXTS = ["c", "Dd", "k9", "mno", "z"]
_MORE_NUMBERS = [13, 21, 34, 57, 80, 99]


@dataclass(frozen=True, slots=True)
class Asked:
    """Of a column, and of those that are compared with it.

    names: these columns. wanted: values that meet conditions; empty where nothing is asked. unmet: values that miss
    one. near: the literals and their neighbours. joined: columns are compared with each other, so that rows meet where
    they share a value.
    """

    names: tuple[str, ...]
    wanted: tuple[Any, ...]
    unmet: tuple[Any, ...]
    near: tuple[Any, ...]
    joined: bool

    def shared(self, number: int, chance: random.Random) -> Any:
        """The value of a family of rows: mostly one that a condition asks for, its own where none does."""
        return chance.choice(self.wanted) if self.near and chance.random() < 0.8 else 100 + number


def asked_of(tables: Sequence[Table], queries: Sequence[Any]) -> dict[str, Asked]:
    """What the queries ask of each column of the tables, by name: columns of one name are taken for the same."""
    columns = {column.name: column for table in tables for column in table.columns}
    groups = {name: {name} for name in columns}
    joined: set[str] = set()
    pairs = [(column.name, column.refers) for column in columns.values() if column.refers]
    found: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for query in queries:
        for names, conditions in _conditions(query):
            found[names[0]] += conditions
            pairs += itertools.pairwise(names)
    for one, other in pairs:
        if one in groups and other in groups:
            joined |= {one, other}
            together = groups[one] | groups[other]
            groups |= dict.fromkeys(together, together)
    return {name: _asked(columns[name], sorted(group), found, bool(group & joined)) for name, group in groups.items()}


def _asked(column: Column, names: list[str], found: dict[str, list[tuple[str, Any]]], joined: bool) -> Asked:
    conditions = [condition for name in names for condition in found[name]]
    wanted = [value for sign, literal in conditions for value in _meeting(sign, near(literal, column))]
    unmet = [value for sign, literal in conditions for value in _missing(sign, near(literal, column))]
    around = [value for _, literal in conditions for value in near(literal, column)]
    if joined and not around:
        wanted = list(_NUMBERS[2:6])
    wanted, unmet, around = (list(dict.fromkeys(values)) for values in (wanted, unmet, around))
    return Asked(tuple(names), tuple(wanted), tuple(unmet), tuple(around), joined)


def _meeting(sign: str, around: list[Any]) -> list[Any]:
    """Of a literal and its neighbours, those that meet a condition with this sign."""
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
    """Of a literal and its neighbours, those that miss a condition with this sign."""
    match sign:
        case "<":
            return around[:2] + around[3:4]
        case ">":
            return around[:1] + around[2:3] + around[4:5]
        case "<>":
            return around[:1]
        case "like":  # what is near a pattern often fits it
            return []
        case _:
            return around[1:3]


def _conditions(query: Any) -> Iterator[tuple[list[str], list[tuple[str, Any]]]]:
    """Of each predicate the columns, and its literals with the sign that the first column is compared by. Of a query
    inside it, what it gives is compared, and no more."""
    from sqlglot import expressions as exp

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
    from sqlglot import expressions as exp

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
    """The literals of a predicate, sums of two as one; of a pattern, texts that fit it."""
    from sqlglot import expressions as exp

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
    """The literal as the column holds it, what is just above and just below, further above and below, and others."""
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
    """Values of any kind that the column may hold, beside those that are asked for. More where nothing is asked: of few
    values a handful of rows has the greatest, whatever a condition leaves out."""
    more = not asked.wanted
    if column.date:
        return _DATES
    if column.affinity == "TEXT" or (not column.affinity and asked.near and all(map(_is_text, asked.near))):
        return [*_TEXTS, *_MORE_TEXTS] if more else _TEXTS
    numbers = [*_NUMBERS, *_MORE_NUMBERS] if more else _NUMBERS
    return [*numbers, 0.5, 1.25, 2.5] if column.affinity in ("REAL", "NUMERIC") else numbers


def _is_text(value: Any) -> bool:
    return isinstance(value, str)
