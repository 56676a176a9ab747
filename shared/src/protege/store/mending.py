"""Takes damaged rows out of a store: they go to the quarantine, and what they said about who may answer is not made up.

An entry of the ledger of δ that is lost is replaced by one that has looked at every call of its task and spent nothing:
whoever looks at these calls again pays for one look more, never for one less.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from ..call import Call
from ..common.confinement import Aside
from ..errors import BadCall, DamagedRow
from . import tables
from .backend import Mended
from .database import Database
from .parts import read_part, unpack
from .quarantine import Quarantine
from .records import Decision
from .rows import STATE, NotUnicode, plain, read
from .salvage import EVERYTHING, SCHEMA, aside_of
from .state import State
from .watched import COMPARED, NOTICED


def mend(database: Database, lost: Iterable[Aside] = (), before: Callable[[], object] = lambda: None) -> Mended:
    """Set aside every row that cannot be read, in one transaction.

    lost: what could not even be copied. before: is called before anything is changed if something is lost that says who
    may answer.
    """
    asides = list(lost)
    with database.change():
        with database.connection() as connection:  # nobody writes between the look and the change
            connection.execute(sa.delete(tables.cache).where(sa.false()))
        bad = [(table, row) for table in tables.metadata.sorted_tables for row in _damaged(database, table)]
        asides += [aside_of(table.name, row["_id"], _without_id(row)) for table, row in bad]
        counts: dict[str, int] = {}
        for aside in asides:
            name = aside.key.partition(" ")[0]
            counts[name] = counts.get(name, 0) + 1
        state_lost = bool(counts.keys() & {EVERYTHING, SCHEMA, *(table.name for table in STATE)})
        if state_lost:
            before()
        tasks = _tasks_of_lost_looks(database, asides, bad)
        with database.connection() as connection:
            for table, row in bad:
                connection.execute(sa.delete(table).where(sa.literal_column("rowid") == row["_id"]))
        for task_id in tasks:
            calls = tuple(call for call, task in database_assignments(database) if task == task_id)
            key = f"lost {len(State(database).decisions(task_id))}"
            State(database).add_decision(task_id, Decision(key, calls, 0.0))
        _bring_down(database)
        Quarantine(database).add(asides)
    return Mended(lost=counts, state_lost=state_lost)


def _bring_down(database: Database) -> None:
    """Nobody has seen a number that no row has: the next row gets it, and would be passed over."""
    with database.connection() as connection:
        for table, column, of, *where in _SEEN:
            last = connection.scalar(sa.select(sa.func.max(of.c.number))) or 0
            connection.execute(sa.update(table).where(table.c[column] > last, *where).values({column: last}))


_SEEN: tuple[tuple[Any, ...], ...] = (
    (tables.stages, "attempt", tables.attempts),
    (tables.stages, "call", tables.calls),
    (tables.changes, "attempt", tables.attempts),
    (tables.data_sets, "attempt", tables.attempts),
    (tables.cursors, "number", tables.calls, tables.cursors.c.name == NOTICED),
    (tables.cursors, "number", tables.attempts, tables.cursors.c.name == COMPARED),
)
"""Where the last number that was seen of a table is kept."""


def _damaged(database: Database, table: sa.Table) -> list[dict[str, Any]]:
    """The rows of a table that cannot be read, each with its rowid as `_id`."""
    look = _call_reader(database) if table is tables.calls else _read_part if table is tables.parts else None
    found: list[dict[str, Any]] = []
    query = plain(table).add_columns(sa.literal_column("rowid").label("_id"))
    with database.connection() as connection:
        for row in connection.execution_options(yield_per=1000).execute(query).mappings():
            values = {str(name): value for name, value in row.items()}
            try:
                look(values) if look else read(table, values)
            except (DamagedRow, BadCall, ValueError, TypeError, KeyError, AttributeError):
                found.append(values)
    return found


def _read_part(row: Mapping[str, Any]) -> None:
    read_part(row["hash"], row["body"])


def _call_reader(database: Database) -> Callable[[Mapping[str, Any]], None]:
    def part(digest: str) -> Any:
        table = tables.parts
        column = sa.type_coerce(table.c.body, sa.types.NULLTYPE)
        return read_part(digest, database.scalar(sa.select(column).where(table.c.hash == digest)))

    def look(row: Mapping[str, Any]) -> None:
        call = Call.from_record(unpack(row["body"], part))
        if call.id != row["id"] or isinstance(row["task_id"], NotUnicode | bytes):
            raise BadCall("its row is another's.")

    return look


def _tasks_of_lost_looks(database: Database, asides: Iterable[Aside], bad: Iterable[tuple[sa.Table, Any]]) -> set[str]:
    """The tasks of which an entry of the ledger is lost; every task if nobody can tell whose it was."""
    lost = sum(aside.key.startswith(("decisions ", EVERYTHING)) for aside in asides)
    told = [row["task_id"] for table, row in bad if table is tables.decisions]
    known = {task for task in told if isinstance(task, str) and not isinstance(task, NotUnicode)}
    if lost == len([task for task in told if task in known]):
        return known
    tasks = {task.id for task in database.records(tables.tasks)}
    return known | tasks | {task for _, task in database_assignments(database) if task}


def database_assignments(database: Database) -> list[tuple[str, str | None]]:
    """The id and the task of each call."""
    table = tables.calls.c
    return [(row.id, row.task_id) for row in database.rows(sa.select(table.id, table.task_id))]


def _without_id(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_id"}
