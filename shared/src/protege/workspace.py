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
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from .call import Call
from .errors import WorkspaceBusy, WorkspaceError
from .specialist import Route, Specialist
from .task import Task

if TYPE_CHECKING:
    import sqlalchemy as sa

VERSION = 1
"""Of the folder's layout. A home written by a newer version is refused."""


def home_path(home: str | os.PathLike[str] | None = None) -> Path:
    """The home folder: the one given, else PROTEGE_HOME, else `.protege` here."""
    return Path(home or os.environ.get("PROTEGE_HOME") or ".protege").absolute()


class Workspace:
    """One folder that holds calls, tasks, specialists and routes. Safe to open from many processes at once.

    Raises WorkspaceError where the folder cannot be written or was written by a newer version.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = home_path(home)
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
    def database(self) -> sa.Engine:
        """The store; opened at first use."""
        from sqlalchemy.exc import DatabaseError

        from . import store

        path = self.home / "store.db"
        try:
            with _private_umask():
                return store.connect(path)
        except DatabaseError as error:
            raise WorkspaceError(
                f"The store {path} cannot be opened: {error.orig}.",
                "Move the file away and collect again; the journal and the imported files are unharmed.",
            ) from error

    @functools.cached_property
    def key(self) -> str:
        """A secret of this workspace alone, made at first use: what stands for personal data hangs on it."""
        return _made_once(self.home / "key", secrets.token_hex(16).encode()).decode()

    def close(self) -> None:
        """Give the database's connections back."""
        if "database" in self.__dict__:
            self.database.dispose()

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the workspace for a change that must be alone. Raises WorkspaceBusy where another process has it."""
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

    # Calls

    def add_calls(self, new: Iterable[Call]) -> int:
        """Store calls; those whose id is known already are left as they are. Returns how many were added."""
        from sqlalchemy.dialects.sqlite import insert

        from . import store

        rows: list[dict[str, Any]] = []
        parts: dict[str, bytes] = {}
        for call in new:
            record = call.to_record()
            kept = next((a.by for a in reversed(call.attempts) if a.outcome == "kept"), None)
            rows.append(
                {
                    "id": call.id,
                    "content_hash": call.content_hash,
                    "time": call.time,
                    "from_teacher": kept is None,
                    "specialist_id": kept,
                    "body": store.pack(record, parts.__setitem__),
                }
            )
        if not rows:
            return 0
        with self.database.begin() as connection:
            if parts:
                values = [{"hash": digest, "body": body} for digest, body in parts.items()]
                connection.execute(insert(store.parts).on_conflict_do_nothing(), values)
            # The rows that were inserted, exact also where another process adds calls at the same time.
            return connection.execute(insert(store.calls).on_conflict_do_nothing(), rows).rowcount

    def calls(self, *, task_id: str | None = None, teacher_only: bool = False) -> Iterator[Call]:
        """The stored calls in the order of their arrival: all, or one task's, or only those the teacher answered."""
        import sqlalchemy as sa

        from . import store

        query = sa.select(store.calls.c.body).order_by(sa.text("rowid"))
        if task_id is not None:
            query = query.where(store.calls.c.task_id == task_id)
        if teacher_only:
            query = query.where(store.calls.c.from_teacher)
        with self.database.connect() as connection:

            @functools.lru_cache(maxsize=4096)
            def part(digest: str) -> Any:
                body = connection.scalar(sa.select(store.parts.c.body).where(store.parts.c.hash == digest))
                return orjson.loads(body or b"null")

            for (body,) in connection.execution_options(yield_per=2000).execute(query):
                yield Call.from_record(store.unpack(body, part))

    def count_calls(self, *, specialist_id: str | None = None) -> int:
        """How many calls are stored; or how many of them a specialist answered."""
        import sqlalchemy as sa

        from . import store

        query = sa.select(sa.func.count()).select_from(store.calls)
        if specialist_id is not None:
            query = query.where(store.calls.c.specialist_id == specialist_id)
        with self.database.connect() as connection:
            return connection.scalar(query) or 0

    # Journals

    def journal_offsets(self) -> dict[str, int]:
        """How far each journal file, by its name, is brought into the store, in bytes."""
        import sqlalchemy as sa

        from . import store

        with self.database.connect() as connection:
            return {row.name: row.offset for row in connection.execute(sa.select(store.journals))}

    def save_journal_offset(self, name: str, offset: int) -> None:
        """Keep how far a journal file is brought into the store."""
        from sqlalchemy.dialects.sqlite import insert

        from . import store

        query = insert(store.journals).values(name=name, offset=offset)
        with self.database.begin() as connection:
            connection.execute(query.on_conflict_do_update(index_elements=["name"], set_={"offset": offset}))

    def forget_journals(self, names: Iterable[str]) -> None:
        """Forget the offsets of journal files that are gone."""
        import sqlalchemy as sa

        from . import store

        if gone := [{"gone": name} for name in names]:
            with self.database.begin() as connection:
                query = sa.delete(store.journals).where(store.journals.c.name == sa.bindparam("gone"))
                connection.execute(query, gone)

    # Tasks

    def tasks(self) -> list[Task]:
        """The tasks, largest first."""
        return sorted((Task.from_record(r) for r in self._records("tasks")), key=lambda t: -t.calls)

    def assignments(self) -> dict[str, str | None]:
        """Task id by call id, None where a call fits no task; in the order of the calls' arrival."""
        import sqlalchemy as sa

        from . import store

        query = sa.select(store.calls.c.id, store.calls.c.task_id).order_by(sa.text("rowid"))
        with self.database.connect() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def save_tasks(self, tasks: Sequence[Task], assignment: Mapping[str, str | None]) -> None:
        """Replace the tasks, and say which task each call belongs to (calls that are not named keep theirs)."""
        import sqlalchemy as sa

        from . import store

        update = (
            sa.update(store.calls).where(store.calls.c.id == sa.bindparam("call")).values(task_id=sa.bindparam("task"))
        )
        with self.database.begin() as connection:
            connection.execute(sa.delete(store.tasks))
            if tasks:
                rows = [{"id": t.id, "body": _dump(t.to_record())} for t in tasks]
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
        """The routes by task id."""
        return {r["task_id"]: Route.from_record(r) for r in self._records("routes")}

    def save_route(self, route: Route) -> None:
        """Store a task's route in place of the one it had."""
        self._put("routes", {"task_id": route.task_id}, route.to_record())

    def drop_route(self, task_id: str) -> None:
        """Take a task's route away; the teacher answers from then on."""
        import sqlalchemy as sa

        from . import store

        with self.database.begin() as connection:
            connection.execute(sa.delete(store.routes).where(store.routes.c.task_id == task_id))

    # Results of steps

    def result(self, key: str) -> Any:
        """What a step kept under this key, None where nothing."""
        import sqlalchemy as sa

        from . import store

        with self.database.connect() as connection:
            body = connection.scalar(sa.select(store.results.c.body).where(store.results.c.key == key))
        return None if body is None else orjson.loads(body)

    def save_result(self, key: str, value: Any) -> None:
        """Keep what a step found; `key` names the step and the hash of all that it was made from."""
        self._put("results", {"key": key}, value)

    def _records(self, table: str) -> list[dict[str, Any]]:
        import sqlalchemy as sa

        from . import store

        with self.database.connect() as connection:
            return [orjson.loads(row[0]) for row in connection.execute(sa.select(store.metadata.tables[table].c.body))]

    def _put(self, table: str, keys: Mapping[str, str], body: Any) -> None:
        from sqlalchemy.dialects.sqlite import insert

        from . import store

        target = store.metadata.tables[table]
        values = {**keys, "body": _dump(body)}
        with self.database.begin() as connection:
            query = insert(target).values(values)
            connection.execute(query.on_conflict_do_update(index_elements=list(target.primary_key), set_=values))


def write_private(path: Path, body: bytes) -> None:
    """Write a file whole or not at all, readable by its owner only."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def _identity(home: Path) -> str:
    """The workspace's id; made where the folder is new."""
    file = home / "workspace.json"
    try:
        found = orjson.loads(_made_once(file, orjson.dumps({"version": VERSION, "id": secrets.token_hex(4)})))
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


def _made_once(file: Path, body: bytes) -> bytes:
    """What the file holds; `body` where there is none yet. Of two processes that come here at once, one makes it."""
    if not file.exists():
        fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        write_private(fresh, body)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
        fresh.unlink()
    return file.read_bytes()


@contextlib.contextmanager
def _private_umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
