"""Workspace: one folder that holds calls, tasks, specialists and routes.

    <home>/
        workspace.json      version and id
        journal/            what recorders wrote and the store has not yet taken in
        store.db            calls, tasks, specialists, routes, results of steps
        datasets/<hash>/    curated data sets
        specialists/<id>/   weights
        reports/            HTML
        routes.json         what running agents need to route, rewritten whole on every change
        engine.json         where the running engine is (protege serve)

Folder and files are readable by their owner only. `Workspace` opens them all; the recorder and the live route, which
run inside the agent, touch `journal/` and `routes.json` alone and never the database.
"""

from __future__ import annotations

import contextlib
import functools
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from .call import ATTEMPT_FIELDS, Attempt, Call
from .common.files import home_path, made_once
from .errors import WorkspaceBusy, WorkspaceError
from .specialist import Route, Specialist
from .store.database import dump
from .store.history import History
from .store.parts import pack, unpack
from .task import Task

if TYPE_CHECKING:
    import filelock

TURN_S = 60.0
VERSION = 1
"""Of the folder's layout. A home written by a newer version is refused."""


class Workspace(History):
    """One folder that holds calls, tasks, specialists and routes. Safe to open from many processes at once.

    Raises WorkspaceError where the folder cannot be written or was written by a newer version.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        super().__init__(home_path(home))
        try:
            for folder in (self.home, self.home / "journal"):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.id = _identity(self.home)
        except OSError as error:
            raise WorkspaceError(
                f"The home folder {self.home} cannot be written: {error.strerror}.",
                "Choose another with --home or PROTEGE_HOME, or change its permissions.",
            ) from error

    @functools.cached_property
    def key(self) -> str:
        """A secret of this workspace alone, made at first use: what stands for personal data hangs on it."""
        return made_once(self.home / "key", secrets.token_hex(16).encode()).decode()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for the loop, which must run alone. Raises WorkspaceBusy where another process has it."""
        import filelock

        lock = filelock.FileLock(self.home / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise WorkspaceBusy(
                f"Another process is improving {self.home}.", "Wait until it ends, or stop it; nothing is lost."
            ) from None
        try:
            yield
        finally:
            lock.release()

    @property
    def turn(self) -> AbstractContextManager[None]:
        """Held, for moments, by whoever changes who answers: while one decides by what is so, no other changes it.

        Apart from `lock`, which the loop holds for hours: a rollback and the off switch do not wait for it. A thread
        that has it may take it again. Raises WorkspaceBusy where it cannot be had within TURN_S.
        """
        return self._taking_turn()

    @contextlib.contextmanager
    def _taking_turn(self) -> Iterator[None]:
        import filelock

        try:
            self._turn.acquire()
        except filelock.Timeout:
            raise WorkspaceBusy(
                f"Another process has been changing {self.home} for {TURN_S:.0f} s.", "Try again, or stop it."
            ) from None
        try:
            yield
        finally:
            self._turn.release()

    @functools.cached_property
    def _turn(self) -> filelock.FileLock:
        import filelock

        return filelock.FileLock(self.home / "turn.lock", timeout=TURN_S)

    # Calls

    def add_calls(self, new: Iterable[Call]) -> int:
        """Store calls; those whose id is known already are left as they are. Returns how many were added."""
        from sqlalchemy.dialects.sqlite import insert

        from .store import tables as store

        new = list(new)
        rows: list[dict[str, Any]] = []
        parts: dict[str, bytes] = {}
        tries: list[dict[str, Any]] = []
        task_of = {s.id: s.task_id for s in self.specialists()} if any(call.attempts for call in new) else {}
        for call in new:
            tries += [_try(call, attempt, task_of) for attempt in call.attempts]
            record = call.to_record()
            kept = next((a.by for a in reversed(call.attempts) if a.outcome == "kept"), None)
            rows.append(
                {
                    "id": call.id,
                    "content_hash": call.content_hash,
                    "time": call.time,
                    "from_teacher": kept is None,
                    "specialist_id": kept,
                    "body": pack(record, parts.__setitem__),
                }
            )
        if not rows:
            return 0
        with self.change(), self.connection() as connection:
            if parts:
                values = [{"hash": digest, "body": body} for digest, body in parts.items()]
                connection.execute(insert(store.parts).on_conflict_do_nothing(), values)
            self.add_attempts(tries)
            # The rows that were inserted, exact also where another process adds calls at the same time.
            return connection.execute(insert(store.calls).on_conflict_do_nothing(), rows).rowcount

    def calls(
        self,
        *,
        task_id: str | None = None,
        teacher_only: bool = False,
        ids: Sequence[str] | None = None,
        after: int = 0,
        until: int | None = None,
    ) -> Iterator[Call]:
        """The stored calls in the order of their arrival: all, or one task's, those the teacher answered, these ids',
        those behind a place in that order."""
        import sqlalchemy as sa

        from .store import tables as store

        conditions: list[Any] = []
        if task_id is not None:
            conditions.append(store.calls.c.task_id == task_id)
        if teacher_only:
            conditions.append(store.calls.c.from_teacher)
        if ids is not None:
            conditions.append(store.calls.c.id.in_(ids))
        if after or until is not None:
            conditions.append(sa.text("calls.rowid > :after").bindparams(after=after))
        if until is not None:
            conditions.append(sa.text("calls.rowid <= :until").bindparams(until=until))
        return (call for _, call in self._stored_calls(conditions))

    def numbered_calls(self, *, after: int = 0) -> Iterator[tuple[int, Call]]:
        """Calls behind a place in the order of arrival, each with its own place."""
        import sqlalchemy as sa

        return self._stored_calls([sa.text("calls.rowid > :after").bindparams(after=after)])

    def last_call(self) -> int:
        """The place of the latest call in the order of arrival; 0 where there is none."""
        import sqlalchemy as sa

        with self.connection() as connection:
            return connection.scalar(sa.text("SELECT max(rowid) FROM calls")) or 0

    def _stored_calls(self, conditions: Sequence[Any]) -> Iterator[tuple[int, Call]]:
        import sqlalchemy as sa

        from .store import tables as store

        query = sa.select(sa.literal_column("calls.rowid"), store.calls.c.body).order_by(sa.text("calls.rowid"))
        with self.connection() as connection:

            @functools.lru_cache(maxsize=4096)
            def part(digest: str) -> Any:
                body = connection.scalar(sa.select(store.parts.c.body).where(store.parts.c.hash == digest))
                return orjson.loads(body or b"null")

            for number, body in connection.execution_options(yield_per=2000).execute(query.where(*conditions)):
                yield number, Call.from_record(unpack(body, part))

    def count_calls(
        self,
        *,
        specialist_id: str | None = None,
        task_id: str | None = None,
        teacher_only: bool = False,
        since: float | None = None,
    ) -> int:
        """How many calls are stored; or how many of them a specialist answered, are a task's, the teacher answered,
        began since a time."""
        import sqlalchemy as sa

        from .store import tables as store

        query = sa.select(sa.func.count()).select_from(store.calls)
        if specialist_id is not None:
            query = query.where(store.calls.c.specialist_id == specialist_id)
        if task_id is not None:
            query = query.where(store.calls.c.task_id == task_id)
        if teacher_only:
            query = query.where(store.calls.c.from_teacher)
        if since is not None:
            query = query.where(store.calls.c.time >= since)
        with self.connection() as connection:
            return connection.scalar(query) or 0

    def days(self, task_id: str) -> float | None:
        """How many days a task's calls span, one at the least; None where their times are not known."""
        import sqlalchemy as sa

        from .store import tables as store

        table = store.calls
        query = sa.select(sa.func.min(table.c.time), sa.func.max(table.c.time)).where(table.c.task_id == task_id)
        with self.connection() as connection:
            first, last = connection.execute(query).one()
        return None if first is None else max(1.0, (last - first) / 86_400)

    # Journals

    def journal_offsets(self) -> dict[str, int]:
        """How far each journal file, by its name, is brought into the store, in bytes."""
        import sqlalchemy as sa

        from .store import tables as store

        with self.connection() as connection:
            return {row.name: row.offset for row in connection.execute(sa.select(store.journals))}

    def save_journal_offset(self, name: str, offset: int) -> None:
        """Keep how far a journal file is brought into the store."""
        from sqlalchemy.dialects.sqlite import insert

        from .store import tables as store

        query = insert(store.journals).values(name=name, offset=offset)
        with self.connection() as connection:
            connection.execute(query.on_conflict_do_update(index_elements=["name"], set_={"offset": offset}))

    def forget_journals(self, names: Iterable[str]) -> None:
        """Forget the offsets of journal files that are gone."""
        import sqlalchemy as sa

        from .store import tables as store

        if gone := [{"gone": name} for name in names]:
            with self.connection() as connection:
                query = sa.delete(store.journals).where(store.journals.c.name == sa.bindparam("gone"))
                connection.execute(query, gone)

    # Tasks

    def tasks(self) -> list[Task]:
        """The tasks, largest first."""
        return sorted((Task.from_record(r) for r in self._records("tasks")), key=lambda t: -t.calls)

    def assignments(self) -> dict[str, str | None]:
        """Task id by call id, None where a call fits no task; in the order of the calls' arrival."""
        import sqlalchemy as sa

        from .store import tables as store

        query = sa.select(store.calls.c.id, store.calls.c.task_id).order_by(sa.text("rowid"))
        with self.connection() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def save_tasks(self, tasks: Sequence[Task], assignment: Mapping[str, str | None]) -> None:
        """Replace the tasks, and say which task each call belongs to (calls that are not named keep theirs)."""
        import sqlalchemy as sa

        from .store import tables as store

        update = (
            sa.update(store.calls).where(store.calls.c.id == sa.bindparam("call")).values(task_id=sa.bindparam("task"))
        )
        with self.connection() as connection:
            connection.execute(sa.delete(store.tasks))
            if tasks:
                rows = [{"id": t.id, "body": dump(t.to_record())} for t in tasks]
                connection.execute(sa.insert(store.tasks), rows)
            if assignment:
                connection.execute(update, [{"call": call, "task": task} for call, task in assignment.items()])

    # Specialists and routes

    def specialists(self, *, task_id: str | None = None) -> list[Specialist]:
        """The specialists, oldest first."""
        found = (Specialist.from_record(r) for r in self._records("specialists"))
        return sorted((s for s in found if task_id in (None, s.task_id)), key=lambda s: (s.created, s.version))

    def specialist_folder(self, specialist: Specialist) -> Path:
        """Where the specialist's weights are."""
        return self.home / "specialists" / specialist.id

    def save_specialist(self, specialist: Specialist) -> None:
        """Store a specialist, in place of what was there under its id."""
        self._put(
            "specialists",
            {"id": specialist.id, "name": specialist.name, "task_id": specialist.task_id},
            specialist.to_record(),
        )

    def routes(self) -> dict[str, Route]:
        """What was certified of each specialist, by its id."""
        return {r["specialist_id"]: Route.from_record(r) for r in self._records("terms")}

    def save_route(self, route: Route) -> None:
        """Store a specialist's terms in place of those it had."""
        self._put("terms", {"specialist_id": route.specialist_id, "task_id": route.task_id}, route.to_record())


def _try(call: Call, attempt: Attempt, task_of: Mapping[str, str]) -> dict[str, Any]:
    figures = {name: getattr(attempt, name) for name in ATTEMPT_FIELDS if name not in ("by", "content")}
    task_id = task_of.get(attempt.by, "")
    return {"call_id": call.id, "specialist_id": attempt.by, "task_id": task_id, "time": call.time, **figures}


def _identity(home: Path) -> str:
    """The workspace's id; made where the folder is new."""
    file = home / "workspace.json"
    try:
        found = orjson.loads(made_once(file, orjson.dumps({"version": VERSION, "id": secrets.token_hex(4)})))
        version, identity = int(found["version"]), str(found["id"])
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        raise WorkspaceError(
            f"{file} is damaged.", "Restore it from a backup, or choose another home with --home."
        ) from None
    if version > VERSION:
        raise WorkspaceError(
            f"{home} was written by a newer Protégé (layout {version}, this one knows {VERSION}).",
            "Update: pip install --upgrade protege",
        )
    return identity
