"""A store of somebody else's, for the tests: another SQLite file, SQL of its own, and `flock` for the locks."""

from __future__ import annotations

import contextlib
import fcntl
import threading
import time
from pathlib import Path

import sqlalchemy as sa
from protege.errors import WorkspaceBusy
from protege.store import migrate
from protege.store.sqlite import begin_immediate


class ToyStore:
    name = "toy"

    def __init__(self, home: Path, address: str) -> None:
        self._home, self._held = home, threading.local()

    def connect(self):
        engine = sa.create_engine(f"sqlite:///{self._home / 'toy.db'}", connect_args={"timeout": 30})
        with self._flock("toy.opening", 30), engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        migrate(engine, begin_immediate)
        return engine

    def insert_new(self, connection, table, rows):
        return sum(connection.execute(sa.insert(table).prefix_with("OR IGNORE"), row).rowcount for row in rows)

    def upsert(self, connection, table, rows):
        for row in rows:
            keys = [column == row[column.name] for column in table.primary_key]
            if not connection.execute(sa.update(table).where(*keys).values(row)).rowcount:
                connection.execute(sa.insert(table).values(row))

    def lock(self):
        return self._flock("toy.lock", 0)

    @contextlib.contextmanager
    def turn(self):
        if getattr(self._held, "turn", False):
            yield
            return
        with self._flock("toy.turn", 60):
            self._held.turn = True
            try:
                yield
            finally:
                self._held.turn = False

    def journal_offsets(self):
        if not (self._home / "toy.db").exists():
            return {}
        with self.connect().connect() as connection:
            return {row.name: row.offset for row in connection.execute(sa.text("SELECT * FROM journals"))}

    @contextlib.contextmanager
    def _flock(self, name: str, timeout_s: float):
        end_s = time.monotonic() + timeout_s
        with (self._home / name).open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= end_s:
                        raise WorkspaceBusy(f"Another process holds {name}.", "Wait.") from None
                    time.sleep(0.01)
            yield
