"""Small tables made to tell two queries apart: from their literals and what lies next to them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .literals import asked_of, plain_values
from .schema import Column, Table

MIXED = 6
SMALL = 8
MOSTLY_NULL = 6
FAMILIES = 8
OWN = 3
MOST_OWN = 8
MOST_ALONE = 30
"""Data sets of each sort."""
ROWS = {1: 40, 2: 16, 3: 10}
"""Most rows a table, by the number of tables; 7 beyond three."""
NULLS = 0.12
REPEATS = 0.25

Rows = list[tuple[Any, ...]]
DataSet = list[tuple[Table, Rows]]
_Changed = frozenset[tuple[str, str]]
"""Table and name of columns whose values meet no condition but by chance."""


def data_sets(schema: Sequence[Table], queries: Sequence[Any]) -> Iterator[DataSet]:
    """Data sets for the tables that the queries read, the same ones each time for the same queries.

    First an empty one, then such of one and of few rows a table: many rows hide what is left out of a greatest or of a
    sum. Then mixed rows of the values that the columns are compared with, and of their neighbours, in some of which a
    column is mostly NULL. Then families: rows of all tables that meet each condition of the queries, and the same with
    one column changed, for each column, and those under OR but for one; all together, some with half of the columns
    changed, and each alone. Last, families by the conditions of one query, which the other's may hide. Rows repeat and
    values are NULL where keys and NOT NULL allow it; foreign keys may point to nothing.
    """
    from sqlglot.expressions import Table as Read

    read = Counter(table.name.lower() for query in queries[:1] for table in query.find_all(Read))
    read |= Counter(table.name.lower() for query in queries[1:] for table in query.find_all(Read))
    made = _Maker([table for table in schema if table.name in read], read, queries)
    most = ROWS.get(len(made.tables), 7)
    for seed, rows in enumerate((0, 1, 1, 2)):
        yield made.mixed(rows, random.Random(seed))
    for seed in range(SMALL):
        yield made.mixed(2 + seed // 2, random.Random(50 + seed))
    for seed, column in enumerate(made.named()[:MOSTLY_NULL]):
        yield made.mixed(most // 2, random.Random(80 + seed), mostly_null=column)
    for seed in range(MIXED):
        chance = random.Random(100 + seed)
        yield made.mixed(chance.randint(most // 2, most), chance)
    single = made.changes()
    for seed in range(FAMILIES):
        yield made.families(single if seed % 2 else single[1:], random.Random(200 + seed))
    for seed in range(FAMILIES):
        chance = random.Random(300 + seed)
        yield made.families([made.some_places(chance) for _ in range(1 + seed)], chance)
    for seed, changed in enumerate([*single[:1], *single[: MOST_ALONE - 1]]):
        yield made.families([changed], random.Random(400 + seed))
    for query in queries:
        own = _Maker(made.tables, read, [query])
        single = own.changes()
        for seed in range(OWN):
            yield own.families(single, random.Random(500 + seed))
        for seed, changed in enumerate(single[:MOST_OWN]):
            yield own.families([changed], random.Random(600 + seed))


class _Maker:
    """Rows for tables. read: how often a query reads each."""

    def __init__(self, tables: list[Table], read: Counter[str], queries: Sequence[Any]) -> None:
        self.tables = tables
        self._read = read
        self._asked = asked_of(tables, queries)
        self._queries = queries

    def changes(self) -> list[_Changed]:
        """None, those under OR, and each alone."""
        return [frozenset(), *self.all_but_one(), *(frozenset({place}) for place in self.places())]

    def places(self) -> list[tuple[str, str]]:
        """The columns that a query asks something of, each with its table."""
        return [(t.name, c.name) for t in self.tables for c in t.columns if self._asked[c.name].wanted]

    def named(self) -> list[str]:
        """The columns that the queries name and that may be NULL."""
        from sqlglot.expressions import Column as Named

        nullable = {column.name for table in self.tables for column in table.columns if not column.required}
        names = (column.name.lower() for query in self._queries for column in query.find_all(Named))
        return [name for name in dict.fromkeys(names) if name in nullable]

    def all_but_one(self) -> list[_Changed]:
        """Of the columns under OR, all, and all but one, for each: a condition shows where it alone is met."""
        from sqlglot.expressions import Column as Named
        from sqlglot.expressions import Or

        nodes = [node for query in self._queries for node in query.find_all(Or)]
        names = {column.name.lower() for node in nodes for column in node.find_all(Named)}
        places = [place for place in self.places() if place[1] in names and not self._asked[place[1]].joined]
        return [frozenset(p for p in places if p[1] != name) for name in ("", *sorted(names))] if places else []

    def some_places(self, chance: random.Random) -> _Changed:
        """Half of them, but few by which tables are joined: conditions under OR show only where others fail."""
        return frozenset(p for p in self.places() if chance.random() < (0.1 if self._asked[p[1]].joined else 0.5))

    def mixed(self, n: int, chance: random.Random, *, mostly_null: str = "") -> DataSet:
        """At most n rows a table, of any values, some more frequent. mostly_null: a column's name."""
        frequent: dict[Any, Any] = {}
        for asked in self._asked.values():
            if asked.wanted and chance.random() < 0.7:
                frequent[asked.names] = chance.choice(asked.wanted)
        if mostly_null:
            frequent[self._asked[mostly_null].names] = None
        return [(table, self._mixed_rows(table, n, frequent, chance)) for table in self.tables]

    def _mixed_rows(self, table: Table, n: int, frequent: dict[Any, Any], chance: random.Random) -> Rows:
        rows = _Filling(table)
        for _ in range(n):
            row = [self._any(column, chance, frequent) for column in table.columns]
            if rows.rows and chance.random() < REPEATS:  # an earlier row again, changed in one column or in none
                new = chance.randrange(len(row))
                row = [row[at] if at == new else old for at, old in enumerate(chance.choice(rows.rows))]
            rows.add(row)
        return rows.rows

    def families(self, changes: Sequence[_Changed], chance: random.Random) -> DataSet:
        """A family of rows, as many of each table as a query reads, for each of the changes."""
        filling = [_Filling(table) for table in self.tables]
        for number, changed in enumerate(changes):
            shared = {a.names: a.shared(number, chance) for a in self._asked.values() if a.joined}
            for rows in filling:
                read = self._read[rows.table.name]
                for _ in range(read):  # of a table that is read twice, one row is changed, or both, or none
                    mine = changed if read == 1 or chance.random() < 0.7 else frozenset[tuple[str, str]]()
                    rows.add([self._kin(rows.table, column, mine, shared, chance) for column in rows.table.columns])
        return [(rows.table, rows.rows) for rows in filling]

    def _kin(
        self, table: Table, column: Column, changed: _Changed, shared: dict[Any, Any], chance: random.Random
    ) -> Any:
        asked = self._asked[column.name]
        if not asked.wanted:
            return self._any(column, chance)
        if (table.name, column.name) in changed:
            return self._other(column, chance)
        return shared[asked.names] if asked.joined else chance.choice(asked.wanted)

    def _other(self, column: Column, chance: random.Random) -> Any:
        """Mostly a value that meets no condition: what is near a pattern often fits it; so does, if LIKE does not mind,
        the other case."""
        asked = self._asked[column.name]
        if (sort := chance.random()) < 0.4:
            return chance.choice(asked.unmet or plain_values(column, asked))
        wanted = chance.choice(asked.wanted)
        return wanted.swapcase() if sort < 0.6 and isinstance(wanted, str) else self._any(column, chance)

    def _any(self, column: Column, chance: random.Random, frequent: dict[Any, Any] | None = None) -> Any:
        asked = self._asked[column.name]
        if frequent and asked.names in frequent and chance.random() < 0.6:
            value = frequent[asked.names]
            if value is not None or not column.required:
                return value
        if not column.required and chance.random() < NULLS:
            return None
        return chance.choice([*asked.near, *plain_values(column, asked)])


class _Filling:
    """A table's rows as they come: one that would repeat a key of one column gets a new one, of several is left out."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.rows: Rows = []
        names = [column.name for column in table.columns]
        self._keys = [[names.index(name) for name in sorted(key)] for key in table.keys]
        self._taken: set[tuple[Any, ...]] = set()

    def add(self, row: list[Any]) -> None:
        for key in self._keys:
            if len(key) == 1 and (key[0], row[key[0]]) in self._taken:
                row[key[0]] = _fresh(self.table.columns[key[0]], len(self.rows))
        marks = {(*key, *(row[at] for at in key)) for key in self._keys if all(row[at] is not None for at in key)}
        if not marks & self._taken:
            self._taken |= marks
            self.rows.append(tuple(row))


def _fresh(column: Column, number: int) -> Any:
    if column.date:
        return f"20{number:02}-11-11"
    return f"k{number}" if column.affinity == "TEXT" else 1000 + number
