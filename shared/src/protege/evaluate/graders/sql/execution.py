"""Two queries run on the same made-up rows: evidence that they are the same, or proof that they are not.

After "test suite accuracy" (Zhong, Yu and Klein 2020, "Semantic Evaluation for Text-to-SQL with Distilled Test
Suites"), with rows made from the queries' own literals: it fails where a difference shows on no data set that is made.
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
from .schema import Table
from .sql import parse

STEPS = 500_000
"""Instructions of SQLite's virtual machine a query: some 20 ms."""
SECONDS = 0.5
"""Of the thread's processor time, for all data sets of a pair: a busy machine changes no verdict."""
READS = 3
"""Most tables that a query may read, one twice as two: of joins of more, few rows are left to show a difference."""
ROWS = 5_000
TELLING = 4
DISTINCT = 3
"""So many data sets must give something else than the empty one does, and more than NULL, 0 and empty texts; and so
many different results: a query that says yes or no is the same as many others on a few dozen data sets."""
BYTES = 2_000
"""Of a value or a row. With STEPS it bounds what a query can hold in memory to some 200 MB."""
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
"""Those that compute and give the same each time."""

_Rows = list[tuple[Any, ...]]


def same_rows(schema: Sequence[Table], one: str, other: str) -> bool:
    """Whether two queries give the same rows on every data set made for them, and these tell something.

    As a bag of rows, whatever the columns are called; in order where both have ORDER BY. False also where that cannot
    be said: a table that the schema has not, anything but one SELECT, more tables than READS, what SQLite does not run
    within the limits or all of it not in SECONDS, ORDER BY in one only, LIMIT without it, another LIMIT or number in
    HAVING, other names in double quotes that are no names here, or hardly a data set on which the queries find anything
    (TELLING).
    """
    end = time.thread_time() + SECONDS
    first, second = (parse(query) for query in (one, other))
    if first is None or second is None or not all(_can_run(tree, schema) for tree in (first, second)):
        return False
    if _take_strings(first, schema) != _take_strings(second, schema):
        return False
    if bool(first.args.get("order")) != bool(second.args.get("order")) or _limits(first) != _limits(second):
        return False
    ordered = bool(first.args.get("order"))
    seen: list[_Rows | Counter[Any]] = []
    cases = (False, True) if "like" in f"{one} {other}".lower() else (False,)
    for tables in data_sets(schema, (first, second)):
        for like_minds_case in cases:
            with _database(tables, like_minds_case=like_minds_case) as database:
                mine, theirs = (_result(database, query, ordered, end) for query in (one, other))
            if mine is None or mine != theirs:
                return False
            seen.append(mine)
    found = [result for result in seen if result != seen[0] and any(map(any, result))]
    return len(found) >= TELLING and len({repr(result) for result in found}) >= DISTINCT


def _can_run(tree: Any, schema: Sequence[Table]) -> bool:
    """Whether what the query gives is settled by the rows of the schema's tables."""
    from sqlglot import expressions as exp

    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        return False
    known = {table.name for table in schema}
    defined = {node.alias.lower() for node in tree.find_all(exp.CTE)}
    read = [table.name.lower() for table in tree.find_all(exp.Table)]
    if len(read) > READS or not all(name in known | defined for name in read):
        return False
    return all(node.args.get("order") for node in tree.find_all(exp.Query) if node.args.get("limit"))


def _limits(tree: Any) -> Counter[str]:
    """What LIMIT and OFFSET say, and HAVING of literals: small data sets have too few rows to show it."""
    from sqlglot import expressions as exp

    said = Counter(node.sql() for node in tree.find_all(exp.Limit, exp.Offset))
    literals = (literal for having in tree.find_all(exp.Having) for literal in having.find_all(exp.Literal))
    said.update(f"{type(literal.parent).__name__} {literal.sql()}" for literal in literals)
    return said


def _take_strings(tree: Any, schema: Sequence[Table]) -> set[str]:
    """Makes literals of the columns in double quotes that are no name here, and gives them: SQLite and MySQL read them
    as strings, others do not, so that both queries must have the same."""
    from sqlglot import expressions as exp

    names = {column.name for table in schema for column in table.columns}
    names |= {node.alias.lower() for node in tree.find_all(exp.Alias)}
    names |= {column.name.lower() for node in tree.find_all(exp.TableAlias) for column in node.columns}
    taken: set[str] = set()
    for column in list(tree.find_all(exp.Column)):
        if column.this.args.get("quoted") and not column.table and column.name.lower() not in names:
            taken.add(column.name)
            column.replace(exp.Literal.string(column.name))
    return taken


def _result(database: sqlite3.Connection, query: str, ordered: bool, end: float) -> _Rows | Counter[Any] | None:
    """None: not run, or not within the steps or before the thread's time is the end."""
    steps = iter(range(STEPS // 1000))
    database.set_progress_handler(lambda: next(steps, None) is None or time.thread_time() > end, 1000)
    if time.thread_time() > end:
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
    """A database in memory that can only be read, by SELECT, in its own tables, with harmless functions. Whether LIKE
    minds case is not the same in all databases, so that a query is tried either way."""
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
