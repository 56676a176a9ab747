"""Runs two queries on the same made-up rows: evidence that they are the same, or proof that they are not.

After "test suite accuracy" (Zhong, Yu and Klein 2020, "Semantic Evaluation for Text-to-SQL with Distilled Test
Suites"), with rows made from the queries' own literals. It misses a difference that shows on none of the data sets
made.
"""

from __future__ import annotations

import contextlib
import functools
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .data_sets import data_sets
from .parsing import exp, parse
from .schema import Table

STEPS = 500_000
"""Instructions of SQLite's virtual machine for each query: about 20 ms."""
STEPS_A_LOOK = 1_000
STEPS_OF_A_PAIR = 25 * STEPS
"""Instructions for all data sets of a pair. Instructions, and not time, so that a slow machine changes no verdict."""
SECONDS = 5.0
"""Processor time of the thread for a pair: ends the few queries whose instructions are slow, and no others."""
READS = 3
"""The most tables that a query may read; one read twice counts as two. Joins of more leave too few rows to show a
difference."""
ROWS = 5_000
TELLING = 4
DISTINCT = 3
"""At least TELLING data sets must give a result that differs from the empty data set's and holds more than NULL, 0 and
empty texts, and at least DISTINCT of these results must differ: on a few dozen data sets, a query that answers yes or
no gives the same as many others."""
BYTES = 2_000
"""The most bytes of a value or a row. With STEPS it bounds the memory of a query to about 200 MB."""
LIMITS = (
    (sqlite3.SQLITE_LIMIT_LENGTH, BYTES),
    (sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000),
    (sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200),
    (sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 20),
    (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 200),
    (sqlite3.SQLITE_LIMIT_ATTACHED, 0),
)
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        """abs avg ceil ceiling coalesce concat count cume_dist date datetime dense_rank exp first_value floor glob
        group_concat hex ifnull iif instr julianday lag last_value lead length like ln log lower ltrim max min mod
        nth_value ntile nullif percent_rank pow power rank replace round row_number rtrim sign sqrt strftime substr
        substring sum time total trim typeof unicode upper""",
    )
)
"""SQL functions that only compute and give the same result each time."""

_Rows = list[tuple[Any, ...]]


def same_rows(schema: Sequence[Table], first_query: str, second_query: str) -> bool:
    """Whether two queries give the same rows on every data set made for them, and the data sets tell something.

    Rows are compared as a bag, whatever their columns are called; in order if both queries have ORDER BY.

    Also False where this cannot be decided: the schema lacks a table; a query is anything but one SELECT; it reads more
    than READS tables; SQLite does not run it within the limits, or both on all data sets within STEPS_OF_A_PAIR and
    SECONDS; only one has ORDER BY; LIMIT stands without ORDER BY; LIMIT or a number in HAVING differs; the two put
    different strings in double quotes; or the queries find something on too few data sets (TELLING, DISTINCT).
    """
    budget = _Budget()
    first, second = (parse(query) for query in (first_query, second_query))
    if first is None or second is None or not all(_can_run(tree, schema) for tree in (first, second)):
        return False
    if _take_strings(first, schema) != _take_strings(second, schema):
        return False
    if bool(first.args.get("order")) != bool(second.args.get("order")) or _limits(first) != _limits(second):
        return False
    ordered = bool(first.args.get("order"))
    seen: list[_Rows | Counter[Any]] = []
    cases = (False, True) if "like" in f"{first_query} {second_query}".lower() else (False,)
    for tables in data_sets(schema, (first, second)):
        for like_minds_case in cases:
            with _database(tables, like_minds_case=like_minds_case) as database:
                mine, theirs = (_result(database, query, ordered, budget) for query in (first_query, second_query))
            if mine is None or mine != theirs:
                return False
            seen.append(mine)
    telling = [result for result in seen if result != seen[0] and any(map(any, result))]
    return len(telling) >= TELLING and len({repr(result) for result in telling}) >= DISTINCT


def _can_run(tree: Any, schema: Sequence[Table]) -> bool:
    """Whether the rows of the schema's tables alone decide what the query gives."""
    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        return False
    known = {table.name for table in schema}
    defined = {node.alias.lower() for node in tree.find_all(exp.CTE)}
    read = [table.name.lower() for table in tree.find_all(exp.Table)]
    if len(read) > READS or not all(name in known | defined for name in read):
        return False
    return all(node.args.get("order") for node in tree.find_all(exp.Query) if node.args.get("limit"))


def _limits(tree: Any) -> Counter[str]:
    """LIMIT, OFFSET and the literals in HAVING: small data sets have too few rows to show a difference in them."""
    said = Counter(node.sql() for node in tree.find_all(exp.Limit, exp.Offset))
    literals = (literal for having in tree.find_all(exp.Having) for literal in having.find_all(exp.Literal))
    said.update(f"{type(literal.parent).__name__} {literal.sql()}" for literal in literals)
    return said


def _take_strings(tree: Any, schema: Sequence[Table]) -> set[str]:
    """Turn columns in double quotes that name nothing here into string literals, and return their texts.

    SQLite and MySQL read them as strings, other databases do not; so both queries must have the same ones.
    """
    names = {column.name for table in schema for column in table.columns}
    names |= {node.alias.lower() for node in tree.find_all(exp.Alias)}
    names |= {column.name.lower() for node in tree.find_all(exp.TableAlias) for column in node.columns}
    taken: set[str] = set()
    for column in list(tree.find_all(exp.Column)):
        if column.this.args.get("quoted") and not column.table and column.name.lower() not in names:
            taken.add(column.name)
            column.replace(exp.Literal.string(column.name))
    return taken


class _Budget:
    """What a pair of queries may still take."""

    def __init__(self) -> None:
        self._steps = STEPS_OF_A_PAIR
        self._end_s = time.thread_time() + SECONDS
        self._of_query = 0

    def begin(self) -> None:
        self._of_query = STEPS

    def exceeded(self, steps: int = 0) -> bool:
        self._steps -= steps
        self._of_query -= steps
        return self._of_query < 0 or self._steps < 0 or time.thread_time() > self._end_s


def _result(database: sqlite3.Connection, query: str, ordered: bool, budget: _Budget) -> _Rows | Counter[Any] | None:
    """The query's rows; None if it fails or takes more than the budget."""
    budget.begin()
    database.set_progress_handler(lambda: budget.exceeded(STEPS_A_LOOK), STEPS_A_LOOK)
    if budget.exceeded():
        return None
    try:
        rows = database.execute(query).fetchmany(ROWS + 1)
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeError):
        return None
    if len(rows) > ROWS:
        return None
    rounded = [tuple(float(f"{value:.9g}") if isinstance(value, float) else value for value in row) for row in rows]
    return rounded if ordered else Counter(rounded)


@contextlib.contextmanager
def _database(tables: Sequence[tuple[Table, _Rows]], *, like_minds_case: bool) -> Iterator[sqlite3.Connection]:
    """A database in memory that permits only SELECT, on its own tables, with harmless functions.

    Databases differ in whether LIKE minds case, so a query is tried both ways.
    """
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as database:
        for limit, most in LIMITS:
            database.setlimit(limit, most)
        database.execute("PRAGMA temp_store = MEMORY")
        database.execute(f"PRAGMA case_sensitive_like = {like_minds_case:d}")
        for table, rows in tables:
            columns = ", ".join(f"{_quoted(column.name)} {column.affinity}" for column in table.columns)
            database.execute(f"CREATE TABLE {_quoted(table.name)} ({columns})")
            marks = ", ".join("?" * len(table.columns))
            database.executemany(f"INSERT INTO {_quoted(table.name)} VALUES ({marks})", rows)
        database.execute("PRAGMA query_only = ON")
        known = frozenset(table.name for table, _ in tables)
        database.set_authorizer(functools.partial(_allowed, known))
        yield database


def _allowed(known: frozenset[str], action: int, first: str | None, second: str | None, *_: str | None) -> int:
    allowed = (
        action == sqlite3.SQLITE_SELECT
        or (action == sqlite3.SQLITE_READ and (first or "").lower() in known)
        or (action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in FUNCTIONS)
    )
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
