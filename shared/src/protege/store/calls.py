"""Calls in the order of their arrival, and which task each belongs to."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
import sqlalchemy as sa

from ..call import ATTEMPT_FIELDS, Attempt, Call, Message
from ..common.checks import RANGES
from ..common.confinement import Aside, Confinement
from ..common.messages import correction_from
from ..errors import BadCall
from . import tables
from .corrections import Corrections
from .database import Database
from .parts import pack, read_part, unpack
from .quarantine import Quarantine


class Calls:
    """The recorded calls. Each has a number: its place in the order of arrival."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, new: Iterable[Call]) -> int:
        """Store calls; those whose id is known already keep all but their corrections. Returns how many were added."""
        new = list(new)
        parts: dict[str, bytes] = {}
        rows = [_row(call, parts) for call in new]
        task_of = self._task_of_specialist() if any(call.attempts for call in new) else {}
        attempts = [_attempt(call, attempt, task_of) for call in new for attempt in call.attempts]
        if not rows:
            return 0
        with self._database.change():
            self._database.add(tables.parts, [{"hash": digest, "body": body} for digest, body in parts.items()])
            self._database.add(tables.attempts, attempts)
            Corrections(self._database).save({call.id: call.correction for call in new if call.correction is not None})
            return self._database.add(tables.calls, rows)

    def _task_of_specialist(self) -> dict[str, str]:
        specialists = tables.specialists.c
        return {row.id: row.task_id for row in self._database.rows(sa.select(specialists.id, specialists.task_id))}

    def numbered(
        self,
        *,
        task_id: str | None = None,
        teacher_only: bool = False,
        ids: Sequence[str] | None = None,
        after: int = 0,
        until: int | None = None,
    ) -> Iterator[tuple[int, Call]]:
        """Calls with their numbers, in their order; as `Workspace.calls`."""
        table = tables.calls.c
        said = tables.corrections.c
        query = (
            sa.select(table.number, *(sa.type_coerce(body, sa.types.NULLTYPE) for body in (table.body, said.body)))
            .join_from(tables.calls, tables.corrections, said.call_id == table.id, isouter=True)
            .order_by(table.number)
        )
        if task_id is not None:
            query = query.where(table.task_id == task_id)
        if teacher_only:
            query = query.where(table.from_teacher)
        if ids is not None:
            query = query.where(table.id.in_(ids))
        if after or until is not None:
            query = query.where(table.number > after)
        if until is not None:
            query = query.where(table.number <= until)
        return self._read(query)

    def _read(self, query: sa.Executable) -> Iterator[tuple[int, Call]]:
        with self._database.connection() as connection:

            @functools.lru_cache(maxsize=4096)
            def part(digest: str) -> Any:
                column = sa.type_coerce(tables.parts.c.body, sa.types.NULLTYPE)
                return read_part(digest, connection.scalar(sa.select(column).where(tables.parts.c.hash == digest)))

            asides: list[Aside] = []
            confinement = Confinement("store", asides.append)
            for number, body, said in connection.execution_options(yield_per=2000).execute(query):
                call = None
                with confinement.each(f"calls {number}"):
                    call = Call.from_record(unpack(body, part))
                if call is not None:
                    yield number, call if said is None else replace(call, correction=_correction(said))
        if asides:
            Quarantine(self._database).add(asides)

    def last(self) -> int:
        """The number of the latest call; 0 if there is none."""
        return self._database.scalar(sa.select(sa.func.max(tables.calls.c.number))) or 0

    def count(
        self,
        *,
        specialist_id: str | None = None,
        task_id: str | None = None,
        teacher_only: bool = False,
        since: float | None = None,
    ) -> int:
        """The number of calls; as `Workspace.count_calls`."""
        table = tables.calls
        query = sa.select(sa.func.count()).select_from(table)
        if specialist_id is not None:
            query = query.where(table.c.specialist_id == specialist_id)
        if task_id is not None:
            query = query.where(table.c.task_id == task_id)
        if teacher_only:
            query = query.where(table.c.from_teacher)
        if since is not None:
            query = query.where(table.c.time >= since)
        return self._database.scalar(query) or 0

    def days(self, task_id: str) -> float | None:
        """The days that a task's calls span, at least one; None if their times are unknown."""
        table = tables.calls.c
        query = sa.select(sa.func.min(table.time), sa.func.max(table.time)).where(table.task_id == task_id)
        ((first, last),) = self._database.rows(query.where(table.time.between(*RANGES["time"])))
        return None if first is None else max(1.0, (last - first) / 86_400)

    def task_of(self, call_id: str) -> str | None:
        """The id of a call's task; None if it fits none, or there is no such call."""
        return self._database.scalar(sa.select(tables.calls.c.task_id).where(tables.calls.c.id == call_id))

    def known(self, call_ids: Iterable[str]) -> set[str]:
        """Those of these ids that calls have."""
        query = sa.select(tables.calls.c.id).where(tables.calls.c.id == sa.bindparam("of"))
        with self._database.connection() as connection:
            return {call_id for call_id in call_ids if connection.scalar(query, {"of": call_id}) is not None}

    def assignments(self) -> dict[str, str | None]:
        """The task's id by the call's id, None for a call that fits no task; in the order of arrival."""
        table = tables.calls.c
        rows = self._database.rows(sa.select(table.id, table.task_id).order_by(table.number))
        return {row.id: row.task_id for row in rows if isinstance(row.id, str) and isinstance(row.task_id, str | None)}

    def assign(self, assignment: Mapping[str, str | None]) -> None:
        """Say which task each call belongs to; calls that are not named keep theirs."""
        table = tables.calls
        query = sa.update(table).where(table.c.id == sa.bindparam("call")).values(task_id=sa.bindparam("task"))
        if assignment:
            with self._database.connection() as connection:
                connection.execute(query, [{"call": call, "task": task} for call, task in assignment.items()])


def _correction(body: Any) -> Message | None:
    """The answer in a row; None if it was taken back, or is damaged (`damage` counts that)."""
    with contextlib.suppress(ValueError, TypeError, BadCall):
        return None if (said := orjson.loads(body)) is None else correction_from(said)
    return None


def _row(call: Call, parts: dict[str, bytes]) -> dict[str, Any]:
    kept = next((attempt.by for attempt in reversed(call.attempts) if attempt.outcome == "kept"), None)
    return {
        "id": call.id,
        "content_hash": call.content_hash,
        "time": call.time,
        "from_teacher": kept is None,
        "specialist_id": kept,
        "body": pack(_record(call), parts.__setitem__),
    }


def _record(call: Call) -> dict[str, Any]:
    """A call's record as its row holds it: its correction has a table of its own."""
    record = call.to_record()
    record.pop("correction", None)
    return record


def _attempt(call: Call, attempt: Attempt, task_of: Mapping[str, str]) -> dict[str, Any]:
    row = {name: getattr(attempt, name) for name in ATTEMPT_FIELDS if name not in ("by", "content")}
    return {
        "call_id": call.id,
        "specialist_id": attempt.by,
        "task_id": task_of.get(attempt.by, ""),
        "time": call.time,
        **row,
    }
