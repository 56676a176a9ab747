"""What happened: every try of a specialist at a call, and every change of who answers a task.

Tries come in with the calls that recorders wrote, or from a replay. Events are written with the change that they tell
of, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from ..common.checks import RANGES
from . import tables
from .database import Database, dump
from .records import AttemptCount, AttemptRow, Event


def _sound() -> list[sa.ColumnElement[bool]]:
    """The conditions of a try that is not damaged, as far as a database can tell. There are too many to look at each.

    In SQLite a text is greater than any number, and bytes are greater than any text.
    """
    table = tables.attempts.c
    named = [table[name].between("", "\U0010ffff") for name in ("call_id", "specialist_id", "task_id")]
    figures = [
        sa.or_(table[name].is_(None), table[name].between(*RANGES[name]))
        for name in ("time", "confidence", "rate", "latency_ms")
    ]
    known = table.outcome.in_(("kept", "handed_back", "failed", "audited", "shadowed"))
    agreed = sa.or_(table.agreed.is_(None), table.agreed.in_((True, False)))
    return [*named, *figures, known, table.reason.between("", "\U0010ffff"), agreed]


SOUND = _sound()


class History:
    """Tries and events, each numbered in the order of arrival."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def attempts(
        self,
        task_id: str | None = None,
        since: float | None = None,
        *,
        specialist_id: str | None = None,
        after: int = 0,
        outcomes: Sequence[str] = (),
    ) -> Iterator[AttemptRow]:
        """Tries in their order: of a task or specialist, of calls since a time, after a number, with these outcomes."""
        table = tables.attempts
        query = sa.select(*(table.c[name] for name in AttemptRow.__slots__)).order_by(table.c.number)
        for column, value in (("task_id", task_id), ("specialist_id", specialist_id)):
            if value is not None:
                query = query.where(table.c[column] == value)
        if since is not None:
            query = query.where(table.c.time >= since)
        if outcomes:
            query = query.where(table.c.outcome.in_(outcomes))
        with self._database.connection() as connection:
            query = query.where(table.c.number > after, *SOUND)
            rows = connection.execution_options(yield_per=5000).execute(query)
            for row in rows:
                yield AttemptRow(*row)

    def disputed(self, task_id: str) -> list[AttemptRow]:
        """The tries of a task that are held to disagree with a teacher whom a person has corrected."""
        table, said = tables.attempts, tables.corrections.c
        query = (
            sa.select(*(table.c[name] for name in AttemptRow.__slots__))
            .join_from(table, tables.corrections, said.call_id == table.c.call_id)
            .where(table.c.task_id == task_id, table.c.agreed.is_(False), said.body != b"null", *SOUND)
            .order_by(table.c.number.desc())
        )
        return [AttemptRow(*row) for row in self._database.rows(query)]

    def count_attempts(self, every_s: int | None = None) -> list[AttemptCount]:
        """The number of tries of each sort; with `every_s`, for each period of that many seconds of the calls' time."""
        table = tables.attempts
        sort = [table.c[name] for name in ("task_id", "specialist_id", "outcome", "reason", "agreed")]
        start = sa.null() if every_s is None else sa.cast(table.c.time / every_s, sa.Integer) * float(every_s)
        query = sa.select(*sort, start.label("start"), sa.func.count()).where(*SOUND)
        query = query.group_by(*sort, sa.text("start"))
        return [AttemptCount(*row) for row in self._database.rows(query)]

    def add_attempts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep tries; of several of one specialist at one call the first."""
        self._database.add(tables.attempts, list(rows))

    def save_agreed(self, agreed: Mapping[int, bool | None]) -> None:
        """Keep whether tries, by their number, agree with the teacher; None if that is not known."""
        if agreed:
            table = tables.attempts
            query = sa.update(table).where(table.c.number == sa.bindparam("of")).values(agreed=sa.bindparam("same"))
            with self._database.connection() as connection:
                connection.execute(query, [{"of": number, "same": same} for number, same in agreed.items()])

    def last_attempt(self) -> int:
        """The number of the latest try; 0 if there is none."""
        return self._database.scalar(sa.select(sa.func.max(tables.attempts.c.number))) or 0

    def last_event(self) -> int:
        """The number of the latest event; 0 if there is none."""
        return self._database.scalar(sa.select(sa.func.max(tables.events.c.number))) or 0

    def events(self, task_id: str | None = None, *, after: int = 0) -> list[Event]:
        """Events of one task or of all, after a number; oldest first."""
        table = tables.events.c
        of = () if task_id is None else (table.task_id == task_id,)
        return self._database.records(tables.events, table.number > after, *of)

    def note(self, event: Event) -> None:
        """Keep an event."""
        with self._database.connection() as connection:
            row = {"task_id": event.task_id, "body": dump(event)}
            connection.execute(sa.insert(tables.events).values(row))
