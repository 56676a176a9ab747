"""What happened: every try of a specialist at a call, and every change of who answers a task.

Both are tables of the workspace's database. Tries come in with the calls that recorders wrote, or from a replay; events
are written with the change that they tell of, in one transaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from .database import Database


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A specialist's try at a call.

    outcome: "kept" (the agent got this answer), "handed_back", "failed"; "audited": drawn at random, so that the
    teacher answered whatever the specialist said; "shadowed": asked afterwards, of a call that the teacher had
    answered. reason: of the last two "kept" where the answer would have been kept, else why not. rate: the probability
    with which it was drawn. agreed: whether it is the teacher's answer; None where nobody compared. time: of the call,
    seconds since 1970. number: place in the order of arrival.
    """

    call_id: str
    task_id: str
    specialist_id: str
    outcome: str
    reason: str
    time: float | None = None
    confidence: float | None = None
    rate: float | None = None
    agreed: bool | None = None
    latency_ms: float | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """So many tries of one sort; fields as in `AttemptRow`. start: of the period, seconds since 1970; None where the
    calls' time is not known, or was not asked for."""

    task_id: str
    specialist_id: str
    outcome: str
    reason: str
    agreed: bool | None
    start: float | None
    n: int


@dataclass(frozen=True, slots=True)
class Event:
    """A change of who answers a task, or what speaks for one. why: a sentence without content of calls."""

    what: str
    why: str
    task_id: str
    specialist_id: str | None = None
    time: float = field(default_factory=time.time)
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])


class History(Database):
    """The part of a workspace that keeps what happened."""

    def attempts(
        self,
        task_id: str | None = None,
        since: float | None = None,
        *,
        specialist_id: str | None = None,
        after: int = 0,
        outcomes: Sequence[str] = (),
    ) -> Iterator[AttemptRow]:
        """Tries in the order of their arrival; those of calls since a time, or behind a number, of these outcomes."""
        import sqlalchemy as sa

        from . import tables as store

        table = store.attempts
        query = sa.select(*(table.c[name] for name in AttemptRow.__slots__)).order_by(table.c.number)
        for column, value in (("task_id", task_id), ("specialist_id", specialist_id)):
            if value is not None:
                query = query.where(table.c[column] == value)
        if since is not None:
            query = query.where(table.c.time >= since)
        if outcomes:
            query = query.where(table.c.outcome.in_(outcomes))
        with self.connection() as connection:
            rows = connection.execution_options(yield_per=5000).execute(query.where(table.c.number > after))
            for row in rows:
                yield AttemptRow(*row)

    def count_attempts(self, every_s: int | None = None) -> list[AttemptCount]:
        """How many tries there are of each sort; by the time of their calls too, in periods of so many seconds."""
        import sqlalchemy as sa

        from . import tables as store

        table = store.attempts
        sort = [table.c[name] for name in ("task_id", "specialist_id", "outcome", "reason", "agreed")]
        start = sa.null() if every_s is None else sa.cast(table.c.time / every_s, sa.Integer) * float(every_s)
        query = sa.select(*sort, start.label("start"), sa.func.count()).group_by(*sort, sa.text("start"))
        with self.connection() as connection:
            return [AttemptCount(*row) for row in connection.execute(query)]

    def add_attempts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep tries; of a specialist's at one call the first."""
        from sqlalchemy.dialects.sqlite import insert

        from . import tables as store

        if values := list(rows):
            with self.connection() as connection:
                connection.execute(insert(store.attempts).on_conflict_do_nothing(), values)

    def save_agreed(self, found: Mapping[int, bool]) -> None:
        """What came of comparing tries, by their number."""
        import sqlalchemy as sa

        from . import tables as store

        if found:
            table = store.attempts
            query = sa.update(table).where(table.c.number == sa.bindparam("of")).values(agreed=sa.bindparam("same"))
            with self.connection() as connection:
                connection.execute(query, [{"of": number, "same": agreed} for number, agreed in found.items()])

    def last_attempt(self) -> int:
        """The number of the latest try; 0 where there is none."""
        import sqlalchemy as sa

        from . import tables as store

        with self.connection() as connection:
            return connection.scalar(sa.select(sa.func.max(store.attempts.c.number))) or 0

    def last_event(self) -> int:
        """The number of the latest event; 0 where there is none."""
        import sqlalchemy as sa

        from . import tables as store

        with self.connection() as connection:
            return connection.scalar(sa.select(sa.func.max(store.events.c.number))) or 0

    def events(self, task_id: str | None = None, *, after: int = 0) -> list[Event]:
        """What happened, oldest first: to one task, or to all; behind a number."""
        import sqlalchemy as sa

        from . import tables as store

        query = sa.select(store.events.c.body).where(store.events.c.number > after).order_by(store.events.c.number)
        if task_id is not None:
            query = query.where(store.events.c.task_id == task_id)
        with self.connection() as connection:
            return [Event(**orjson.loads(body)) for (body,) in connection.execute(query)]

    def note(self, event: Event) -> None:
        """Keep an event."""
        import sqlalchemy as sa

        from . import tables as store

        with self.connection() as connection:
            body = orjson.dumps(event, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
            connection.execute(sa.insert(store.events).values(task_id=event.task_id, body=body))
