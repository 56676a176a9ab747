"""The built-in store: SQLite in WAL mode in the home itself, and file locks beside it."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import filelock
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError

from ..common.confinement import Aside
from ..common.files import write_private
from ..errors import WorkspaceBusy, WorkspaceError
from . import home as homes
from .backend import TURN_S, Damage, Mended
from .damage import damaged_rows
from .damaged_file import alone, damaged, is_damage, keep_original, left_open
from .database import Database
from .mending import mend
from .migrations import is_current, migrate
from .rows import MOST_NUMBER, as_text
from .salvage import EVERYTHING, WAL_MAGIC, description_of, salvage

OPENINGS = 3
"""A file that is replaced while it is opened is opened again this often."""


class Sqlite:
    """`store.db`, `lock` and `turn.lock` in a home folder, readable by their owner only."""

    name = "sqlite"

    def __init__(self, home: Path, address: str = "") -> None:
        if address:
            raise WorkspaceError(f"The store sqlite has no address {address!r}.", "It is in the home folder itself.")
        self._home = home
        self._path = home / "store.db"

    def connect(self) -> sa.Engine:
        try:
            with _private_umask():
                return self._connected()
        except DBAPIError as error:
            if is_damage(error.orig):
                raise damaged(self._path, str(error.orig)) from error
            raise WorkspaceError(
                f"The store {self._path} cannot be opened: {error.orig}.",
                "Another process may be writing, or the disk be full: try again in a minute.",
            ) from error

    def _connected(self) -> sa.Engine:
        with self._opening:  # two that turn WAL on at once would collide
            self._swap()
            if fault := self._fault():
                raise damaged(self._path, fault)
            if not self._path.exists():
                self._make(self._path)
            engine = _engine(self._path)
            if not is_current(engine):  # a look, which needs no write lock
                with self._without_an_older_loop():
                    homes.raise_version(self._home)
                    migrate(engine, begin_immediate)
                self._tables.unlink(missing_ok=True)
            if not self._tables.exists():
                self._note_tables(engine)
        return engine

    @property
    def _tables(self) -> Path:
        """What the pages that describe the tables held when they were last changed, for a repair."""
        return self._home / "store.tables"

    def _note_tables(self, engine: sa.Engine) -> None:
        with engine.connect() as connection:
            busy = connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
        if busy[1] == busy[2]:  # all of the log is in the file; else the next who opens it does this
            with contextlib.suppress(OSError):  # a disk that is full
                write_private(self._tables, description_of(left_open(self._path)))

    @functools.cached_property
    def _opening(self) -> filelock.FileLock:
        return filelock.FileLock(self._path.with_suffix(".lock"))

    def _make(self, path: Path) -> None:
        """Make an empty store: under another name first, so that one of no length is always one that was emptied."""
        fresh = path.with_name(f".{path.name}.new")
        for name in ("", "-wal", "-shm"):
            fresh.with_name(f"{fresh.name}{name}").unlink(missing_ok=True)
        engine = _engine(fresh)
        migrate(engine, begin_immediate)
        engine.dispose()
        with fresh.open("rb") as file:
            description = description_of(file)
        fresh.replace(path)
        if path == self._path:
            with contextlib.suppress(OSError):  # a disk that is full
                write_private(self._tables, description)

    def _fault(self) -> str:
        """What can be seen to be wrong with the files before they are opened; "" if nothing is.

        The database is not opened for that: closing it would end what SQLite has locked in this very process.
        """
        try:
            if not self._path.stat().st_size:
                return "it is empty"
        except FileNotFoundError:
            return "it is gone" if self._tables.exists() else ""
        with contextlib.suppress(FileNotFoundError), self._path.with_name("store.db-wal").open("rb") as file:
            if file.read(len(WAL_MAGIC[0])) not in (b"", *WAL_MAGIC):
                return "its write-ahead log is no such log any more"
        return ""

    @contextlib.contextmanager
    def _without_an_older_loop(self) -> Iterator[None]:
        """An older version that is improving this home would fail on tables that are gone."""
        if not homes.is_older(self._home):
            yield
            return
        busy = f"An older Protégé is improving {self._home}.", "Stop it before you update; nothing is lost."
        with _held(filelock.FileLock(self._home / "lock", timeout=0), *busy):
            yield

    def insert_new(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """The count is exact also if another process inserts at the same time."""
        return connection.execute(insert(table).on_conflict_do_nothing(), list(rows)).rowcount if rows else 0

    def upsert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        query = insert(table)
        keys = list(table.primary_key)
        others = {name: query.excluded[name] for name in rows[0] if name not in table.primary_key.columns}
        query = (
            query.on_conflict_do_update(index_elements=keys, set_=others) if others else query.on_conflict_do_nothing()
        )
        connection.execute(query, list(rows))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        lock = filelock.FileLock(self._home / "lock", timeout=0)
        busy = f"Another process is improving {self._home}.", "Wait until it ends, or stop it; nothing is lost."
        with _held(lock, *busy):
            yield

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        busy = f"Another process has been changing {self._home} for {TURN_S:.0f} s.", "Try again, or stop it."
        with _held(self._turn, *busy):
            yield

    @functools.cached_property
    def _turn(self) -> filelock.FileLock:
        """One for all of a thread's turns, so that the thread may take it again."""
        return filelock.FileLock(self._home / "turn.lock", timeout=TURN_S)

    def damage(self) -> Damage:
        if fault := self._fault():
            return Damage(fault)
        if not self._path.exists():
            return Damage()
        engine = sa.create_engine("sqlite://", creator=self._looking, poolclass=sa.NullPool)
        try:
            with engine.connect() as connection:
                fault = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                tables = sa.inspect(connection).get_table_names()
            if fault != "ok":
                return Damage(str(fault).splitlines()[-1])
            return Damage(rows=damaged_rows(Database(self, engine))) if tables else Damage()
        except DBAPIError as error:
            return Damage(str(error.orig))

    def repair(self, before: Callable[[], object]) -> Mended:
        with self.lock(), self.turn(), self._opening, _private_umask():
            self._swap()
            if fault := self.damage().fault:
                with alone(self._path):
                    return self._written_anew(fault, before)
            if not self._path.exists():
                return Mended()
            engine = _engine(self._path)
            try:
                migrate(engine, begin_immediate)
                return mend(Database(self, engine), before=before)
            finally:
                engine.dispose()

    def _written_anew(self, fault: str, before: Callable[[], object]) -> Mended:
        """Copy what can be read into a new store, and put that in the place of the damaged one."""
        for left in self._home.glob(".repair.*"):  # of a repair that was killed: this one is alone
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self._home, prefix=".repair.") as folder:
            fresh = Path(folder) / "fresh.db"
            self._make(fresh)
            description = self._tables.read_bytes() if self._tables.exists() else b""
            lost = salvage(self._path, fresh, Path(folder), description)
            if "log" in fault:
                lost.append(Aside("store", EVERYTHING, "DatabaseError", "The latest changes are lost."))
            engine = _engine(fresh)
            mended = mend(Database(self, engine), lost, before)
            with engine.connect() as connection:
                checked = connection.exec_driver_sql("PRAGMA integrity_check").scalars().all()
            engine.dispose()
            if checked != ["ok"]:
                raise WorkspaceError("The repaired store does not hold.", "Nothing was changed. Restore a backup.")
            kept = keep_original(self._path)
            fresh.replace(self._repaired)  # from here on the repair is made; what is left can be done by any opener
        self._put_in_place()
        return replace(mended, fault=fault, kept=kept)

    @property
    def _repaired(self) -> Path:
        return self._home / "store.db.repaired"

    def _swap(self) -> None:
        """End a repair whose process was killed."""
        if self._repaired.exists():
            with alone(self._path):
                self._put_in_place()

    def _put_in_place(self) -> None:
        # First: a log is applied to whatever database lies beside it, and other tables begin at other pages.
        for name in ("store.db-wal", "store.db-shm", "store.tables"):
            (self._home / name).unlink(missing_ok=True)
        self._repaired.replace(self._path)

    def _looking(self) -> sqlite3.Connection:
        """A connection that changes nothing."""
        connection = sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
        connection.text_factory = as_text
        return connection

    def set_aside(self) -> Mapping[str, Mapping[str, int]]:
        counts: dict[str, dict[str, int]] = {}
        try:
            with contextlib.closing(self._looking()) as store:
                query = "SELECT place, reason, count(*) FROM quarantine GROUP BY place, reason"
                for place, reason, number in store.execute(query):
                    counts.setdefault(str(place), {})[str(reason)] = number
        except sqlite3.Error:
            return {}
        return counts

    def journal_offsets(self) -> Mapping[str, int]:
        try:
            with contextlib.closing(self._looking()) as store:
                rows = store.execute("SELECT name, offset FROM journals WHERE offset BETWEEN 0 AND ?", (MOST_NUMBER,))
                return {name: offset for name, offset in rows if isinstance(name, str)}
        except sqlite3.Error:
            return {}


@contextlib.contextmanager
def begin_immediate(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that has the write lock from its beginning and holds changes of tables too.

    Left to itself, Python's driver begins one at the first write of rows: changes of tables before it stand outside.
    """
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()


@contextlib.contextmanager
def _held(lock: filelock.FileLock, fact: str, remedy: str) -> Iterator[None]:
    try:
        lock.acquire()
    except filelock.Timeout:
        raise WorkspaceBusy(fact, remedy) from None
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _private_umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _engine(path: Path) -> sa.Engine:
    """Raises WorkspaceError, at any statement, if the file turns out to be damaged."""
    engine = sa.create_engine(f"sqlite:///{path}", creator=functools.partial(_connection, path))

    def on_error(context: sa.engine.ExceptionContext) -> None:
        if is_damage(context.original_exception):
            raise damaged(path, str(context.original_exception)) from context.original_exception

    event.listen(engine, "handle_error", on_error)
    return engine


def _connection(path: Path) -> sqlite3.Connection:
    for _ in range(OPENINGS):
        connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
        connection.text_factory = as_text  # bytes that are no text cost their row, not the query
        seen = path.stat().st_ino
        connection.execute("PRAGMA journal_mode=WAL")  # opens the file, and holds a lock on it from here on
        connection.execute("PRAGMA synchronous=NORMAL")
        if path.stat().st_ino == seen:
            return connection
        connection.close()  # a repair has put another in its place meanwhile
    raise sqlite3.OperationalError("the file is replaced again and again")
