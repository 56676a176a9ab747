"""Small data sets that tell two queries apart, made of the queries' literals and the values next to them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .literals import asked_of, plain_values
from .parsing import exp
from .schema import Column, Table

MIXED = 6
SMALL = 8
MOSTLY_NULL = 6
FAMILIES = 8
OWN = 3
MOST_OWN = 8
MOST_ALONE = 30
"""The number of data sets of each sort."""
ROWS = {1: 40, 2: 16, 3: 10}
"""The most rows of a table, by the number of tables; 7 beyond three."""
NULLS = 0.12
REPEATS = 0.25

Rows = list[tuple[Any, ...]]
DataSet = list[tuple[Table, Rows]]
_Changed = frozenset[tuple[str, str]]
"""Table and name of the columns whose values meet a condition only by chance."""


def data_sets(schema: Sequence[Table], queries: Sequence[Any]) -> Iterator[DataSet]:
    """Data sets for the tables that the queries read; the same queries get the same data sets each time.

    1. An empty data set, then ones with one or a few rows a table: many rows hide what is missing from a maximum or a
       sum.
    2. Mixed rows, made of the values that the columns are compared with and their neighbours; in some of them one
       column is mostly NULL.
    3. Families: rows of all tables that meet every condition of the queries; then, for each column, the same rows with
       that column changed; then with all columns under OR changed but one. They come all together, with half of the
       columns changed, and each alone.
    4. Families by the conditions of one query only, which the other query's conditions may hide.

    Rows repeat and values are NULL wherever keys and NOT NULL allow it; foreign keys may point to nothing.
    """
    read = Counter(table.name.lower() for query in queries[:1] for table in query.find_all(exp.Table))
    read |= Counter(table.name.lower() for query in queries[1:] for table in query.find_all(exp.Table))
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
    """Makes rows for tables. read: how often a query reads each table."""

    def __init__(self, tables: list[Table], read: Counter[str], queries: Sequence[Any]) -> None:
        self.tables = tables
        self._read = read
        self._asked = asked_of(tables, queries)
        self._queries = queries

    def changes(self) -> list[_Changed]:
        """No change, changes under OR, and each column changed alone."""
        return [frozenset(), *self.all_but_one(), *(frozenset({place}) for place in self.places())]

    def places(self) -> list[tuple[str, str]]:
        """The columns that a condition of a query names, each with its table."""
        return [(t.name, c.name) for t in self.tables for c in t.columns if self._asked[c.name].meeting]

    def named(self) -> list[str]:
        """The columns that the queries name and that may be NULL."""
        nullable = {column.name for table in self.tables for column in table.columns if not column.required}
        names = (column.name.lower() for query in self._queries for column in query.find_all(exp.Column))
        return [name for name in dict.fromkeys(names) if name in nullable]

    def all_but_one(self) -> list[_Changed]:
        """All columns under OR, then all but each one in turn: a condition shows where it alone is met."""
        nodes = [node for query in self._queries for node in query.find_all(exp.Or)]
        names = {column.name.lower() for node in nodes for column in node.find_all(exp.Column)}
        places = [place for place in self.places() if place[1] in names and not self._asked[place[1]].joined]
        return [frozenset(p for p in places if p[1] != name) for name in ("", *sorted(names))] if places else []

    def some_places(self, chance: random.Random) -> _Changed:
        """Half of the places, but few that join tables: a condition under OR shows only where the others fail."""
        return frozenset(p for p in self.places() if chance.random() < (0.1 if self._asked[p[1]].joined else 0.5))

    def mixed(self, n: int, chance: random.Random, *, mostly_null: str = "") -> DataSet:
        """At most n rows a table, of any values, some values more frequent. mostly_null: a column's name."""
        frequent: dict[Any, Any] = {}
        for asked in self._asked.values():
            if asked.meeting and chance.random() < 0.7:
                frequent[asked.names] = chance.choice(asked.meeting)
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
        """For each change a family of rows: as many rows of each table as a query reads the table."""
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
        if not asked.meeting:
            return self._any(column, chance)
        if (table.name, column.name) in changed:
            return self._other(column, chance)
        return shared[asked.names] if asked.joined else chance.choice(asked.meeting)

    def _other(self, column: Column, chance: random.Random) -> Any:
        """Mostly a value that meets no condition. Values near a pattern often fit it, and so does the other case where
        LIKE ignores case."""
        asked = self._asked[column.name]
        if (sort := chance.random()) < 0.4:
            return chance.choice(asked.missing or plain_values(column, asked))
        value = chance.choice(asked.meeting)
        return value.swapcase() if sort < 0.6 and isinstance(value, str) else self._any(column, chance)

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
    """Collects a table's rows. A row that would repeat a key of one column gets a new key; a key of several:
    dropped."""

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
