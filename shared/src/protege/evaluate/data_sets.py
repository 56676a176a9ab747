"""Small tables made to tell two queries apart: from their literals and what lies next to them."""

from __future__ import annotations

import datetime
import itertools
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .schema import Column, Table

DATA_SETS = 14
ROWS = {1: 40, 2: 16, 3: 10}
"""Most rows a table, by the number of tables; 7 beyond three."""
NULLS = 0.12
REPEATS = 0.25

_DATES = ["2019-12-31", "2020-01-01", "2020-02-15", "2021-07-04"]
_TEXTS = ["a", "b", "B", "ab", "abc", "abcdef", "10", ""]
_Pools = dict[str, list[Any]]
_Asked = list[tuple[list[str], list[list[Any]]]]


def data_sets(schema: Sequence[Table], queries: Sequence[Any]) -> Iterator[list[tuple[Table, list[tuple[Any, ...]]]]]:
    """Data sets for the tables that the queries read: an empty one, tiny ones, and such as the queries find much in.

    Values come from the literals that a column is compared with, and from around them; columns that are compared with
    each other share their values. Rows repeat and values are NULL where keys and NOT NULL allow it; foreign keys may
    point to nothing. The same queries get the same data sets.
    """
    from sqlglot.expressions import Table as Read

    read = {table.name.lower() for query in queries for table in query.find_all(Read)}
    tables = [table for table in schema if table.name in read]
    pools, asked = _pools(tables, queries)
    most = ROWS.get(len(tables), 7)
    for number in range(DATA_SETS):
        chance = random.Random(number)
        rows = 0 if number == 0 else number if number < 3 else chance.randint(most // 2, most)
        likely = _likely(asked, chance) if number % 3 else {}
        yield [(table, _rows(table, rows, pools, likely, chance)) for table in tables]


def _likely(asked: _Asked, chance: random.Random) -> dict[str, Any]:
    """A value for each column that a query asks something of: mostly one that it asks for, the same in all columns that
    are compared with each other."""
    likely: dict[str, Any] = {}
    for names, choices in asked:
        near = chance.choice(choices)
        likely |= dict.fromkeys(names, near[0] if chance.random() < 0.7 else chance.choice(near[:3]))
    return likely


def _rows(table: Table, n: int, pools: _Pools, likely: dict[str, Any], chance: random.Random) -> list[tuple[Any, ...]]:
    """At most n rows; one that would repeat a key is left out."""
    names = [column.name for column in table.columns]
    keys = [[names.index(name) for name in sorted(key)] for key in table.keys]
    taken: set[tuple[int, tuple[Any, ...]]] = set()
    rows: list[tuple[Any, ...]] = []
    for _ in range(n):
        row = tuple(_value(column, pools[column.name], likely, chance) for column in table.columns)
        if rows and chance.random() < REPEATS:  # a row that differs in one column, or in none
            row = list(chance.choice(rows))
            at = chance.randrange(len(row))
            row[at] = _value(table.columns[at], pools[names[at]], likely, chance)
            row = tuple(row)
        marks = {
            (i, tuple(row[at] for at in key)) for i, key in enumerate(keys) if not any(row[at] is None for at in key)
        }
        if not marks & taken:
            taken |= marks
            rows.append(row)
    return rows


def _value(column: Column, pool: list[Any], likely: dict[str, Any], chance: random.Random) -> Any:
    if not column.required and chance.random() < NULLS:
        return None
    if column.name in likely and chance.random() < 0.6:
        return likely[column.name]
    return chance.choice(pool)


def _pools(tables: Sequence[Table], queries: Iterable[Any]) -> tuple[_Pools, _Asked]:
    """The values of each column, by name; and for each group of columns that a query asks something of, what it asks
    for, each value with its neighbours."""
    columns = {column.name: column for table in tables for column in table.columns}
    literals: dict[str, list[Any]] = defaultdict(list)
    alike = _Groups(columns)
    for column in columns.values():
        alike.join(column.name, column.refers)
    for query in queries:
        for names, values in _compared(query):
            for name in names:
                literals[name].extend(values)
            for name, other in itertools.pairwise(names):
                alike.join(name, other)
    pools: _Pools = {}
    asked: _Asked = []
    for group in alike.all():
        values = list(dict.fromkeys(value for name in group for value in literals[name]))
        for name in group:
            near = [other for value in values for other in _near(value, columns[name])]
            pools[name] = list(dict.fromkeys([*near, *_plain_values(columns[name], values)]))
        choices = [near for value in values if (near := _near(value, columns[group[0]]))]
        if choices or len(group) > 1:
            asked.append((group, choices or [pools[group[0]][:4]]))
    return pools, asked


def _compared(query: Any) -> Iterator[tuple[list[str], list[Any]]]:
    """The columns and literals of each comparison: those in a literal's or a column's nearest predicate."""
    from sqlglot import expressions as exp

    for node in query.find_all(exp.Predicate):
        names = [column.name.lower() for column in node.find_all(exp.Column)]
        values = [_literal(literal) for literal in node.find_all(exp.Literal)]
        if names:
            yield (names if isinstance(node, exp.EQ | exp.In) else names[:1]), values


def _literal(node: Any) -> Any:
    if node.is_string:
        return node.name
    number = float(node.name)
    return int(number) if number.is_integer() else number


def _near(literal: Any, column: Column) -> list[Any]:
    """The literal and its neighbours, the literal first, as values that the column holds."""
    if not isinstance(literal, str):
        if column.date:
            return (
                [f"{literal}-06-15", f"{literal - 1}-12-31", f"{literal + 1}-01-01"] if 1000 <= literal <= 9998 else []
            )
        step = 1 if isinstance(literal, int) else 0.5
        numbers = [literal, literal + step, literal - step, -literal]
        lengths = ["x" * int(n) for n in numbers if 0 <= n <= 40] if column.affinity == "TEXT" else []
        return [*map(str, numbers), *lengths] if column.affinity == "TEXT" else numbers
    if (days := _days(literal)) is not None:
        return days
    if re.fullmatch(r"\d{4}", literal) and column.date:
        return _near(int(literal), column)
    if re.fullmatch(r"-?\d+", literal) and column.affinity in ("INTEGER", "REAL", "NUMERIC"):
        return _near(int(literal), column)
    filled = (
        [literal.replace("%", other).replace("_", "x") for other in ("", "x", "yz")] if set("%_") & set(literal) else []
    )
    return [*filled, literal, literal.swapcase(), f"{literal}x", f"x{literal}", literal[:-1], literal.title()]


def _days(literal: str) -> list[str] | None:
    try:
        day = datetime.date.fromisoformat(literal[:10])
        around = [day, day + datetime.timedelta(1), day - datetime.timedelta(1)]
    except (ValueError, OverflowError):
        return None
    return [literal, *(f"{other}{literal[10:]}" for other in around[1:])]


def _plain_values(column: Column, asked: Sequence[Any]) -> list[Any]:
    if column.date:
        return _DATES
    if column.affinity == "TEXT" or (not column.affinity and asked and all(isinstance(v, str) for v in asked)):
        return _TEXTS
    halves = [0.5, 1.25, 2.5] if column.affinity in ("REAL", "NUMERIC") else []
    return [*range(-1, 9), *halves]


class _Groups:
    """Names that share their values: union-find without ranks."""

    def __init__(self, names: Iterable[str]) -> None:
        self._group = {name: {name} for name in names}

    def join(self, one: str, other: str) -> None:
        if one in self._group and other in self._group and self._group[one] is not self._group[other]:
            both = self._group[one] | self._group[other]
            for name in both:
                self._group[name] = both

    def all(self) -> list[list[str]]:
        return [sorted(group) for name, group in self._group.items() if name == min(group)]
