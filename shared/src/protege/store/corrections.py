"""Corrections: the answers that people say are right, by call.

They stand beside the calls, since they come later than these, and are taken back. `Calls` hands each call out with its
correction (`Call.correction`).
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa

from ..call import Message
from ..task import Task
from . import tables
from .database import Database, dump


class Corrections:
    """One for a call at most. What was said by hand, a withdrawal too, is not replaced by what a file says."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, corrections: Mapping[str, Message | None], *, by_hand: bool = False) -> int:
        """Keep the right answers, by the ids of their calls; None takes one back. Returns how many were kept or
        changed."""
        table = tables.corrections
        bodies = {call_id: dump(answer) for call_id, answer in corrections.items()}
        if not bodies:
            return 0
        with self._database.change(), self._database.connection() as connection:
            connection.execute(sa.delete(table).where(sa.false()))  # nobody writes between the look and the change
            known = _known(connection, list(bodies))
            new = {
                call_id: body
                for call_id, body in bodies.items()
                if by_hand or not (call_id in known and (known[call_id][1] or known[call_id][0] == body))
            }
            row = {"by_hand": by_hand, "time": time.time()}
            self._database.put(table, [{"call_id": call_id, "body": body, **row} for call_id, body in new.items()])
        return len(new)

    def of(self, call_id: str) -> Message | None:
        """The right answer to a call; None if nobody said one."""
        return self._database.record(tables.corrections, call_id)

    def of_calls(self, call_ids: Collection[str]) -> dict[str, Message]:
        """The right answers to those of these calls that people corrected, by their ids."""
        known = self._database.rows(sa.select(tables.corrections.c.call_id))  # people correct few of many calls
        wanted = [row.call_id for row in known if row.call_id in call_ids]
        return {call_id: answer for call_id in wanted if (answer := self.of(call_id)) is not None}

    def count(self, task: Task, since: float = 0.0) -> int:
        """The number of corrected calls of a task. since: those that were corrected at this time or later."""
        calls, said = tables.calls.c, tables.corrections.c
        query = (
            sa.select(sa.func.count())
            .join_from(tables.corrections, tables.calls, calls.id == said.call_id)
            .where(said.body != b"null", said.time >= since, calls.task_id.in_((task.id, *task.merged)))
        )
        return self._database.scalar(query) or 0


def _known(connection: sa.Connection, call_ids: Iterable[str]) -> dict[str, tuple[bytes, bool]]:
    """Body of each correction that is there, and whether it was said by hand."""
    table = tables.corrections.c
    query = sa.select(table.call_id, table.body, table.by_hand).where(table.call_id == sa.bindparam("of"))
    rows = (connection.execute(query, {"of": call_id}).first() for call_id in call_ids)
    return {row.call_id: (bytes(row.body), bool(row.by_hand)) for row in rows if row is not None}
