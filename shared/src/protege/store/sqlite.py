"""The built-in store: SQLite in WAL mode in the home itself, and file locks beside it."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError

from ..errors import WorkspaceBusy, WorkspaceError
from . import home as homes
from .backend import TURN_S, Damage
from .damage import damaged_rows
from .database import Database
from .migrations import is_current, migrate
from .rows import MOST_NUMBER, as_text


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
        except OperationalError as error:
            raise WorkspaceError(
                f"The store {self._path} cannot be opened: {error.orig}.",
                "Another process may be writing, or the disk be full: try again in a minute.",
            ) from error
        except DatabaseError as error:
            raise WorkspaceError(
                f"The store {self._path} cannot be opened: {error.orig}.",
                "Restore it from a backup; without it calls can be collected again, specialists cannot.",
            ) from error

    def _connected(self) -> sa.Engine:
        engine = sa.create_engine(f"sqlite:///{self._path}", connect_args={"timeout": 30})
        event.listen(engine, "connect", _pragmas)
        with filelock.FileLock(self._path.with_suffix(".lock")):  # two that turn WAL on at once would collide
            if not is_current(engine):  # a look, which needs no write lock
                with self._without_an_older_loop():
                    homes.raise_version(self._home)
                    migrate(engine, begin_immediate)
        return engine

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
        if not self._path.exists():
            return Damage()
        engine = sa.create_engine("sqlite://", creator=self._looking, poolclass=sa.NullPool)
        try:
            with engine.connect() as connection:
                fault = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                tables = sa.inspect(connection).get_table_names()
            if fault != "ok":
                return Damage(str(fault))
            return Damage(rows=damaged_rows(Database(self, engine))) if tables else Damage()
        except DBAPIError as error:
            return Damage(str(error.orig))

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


def _pragmas(connection: Any, _record: Any) -> None:
    connection.text_factory = as_text  # bytes that are no text cost their row, not the query
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.close()
