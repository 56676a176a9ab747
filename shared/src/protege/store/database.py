"""Database: one home's store, with changes that are kept whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from ..errors import DamagedRow
from .backend import Backend
from .rows import plain, read


class Database:
    """What every kind of rows is read and written through. Safe for many threads and processes.

    engine: one that is open already; by default the backend's own, at first use.
    """

    def __init__(self, backend: Backend, engine: sa.Engine | None = None) -> None:
        self.backend = backend
        self._open = engine
        self._local = threading.local()

    @functools.cached_property
    def engine(self) -> sa.Engine:
        """Opened at first use. Raises WorkspaceError as `Backend.connect`."""
        return self._open or self.backend.connect()

    def close(self) -> None:
        """Give the connections back."""
        if "engine" in self.__dict__:
            self.engine.dispose()

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """All that this thread writes within the block is kept together, or nothing of it if the block raises."""
        if getattr(self._local, "connection", None) is not None:
            yield
            return
        with self.engine.begin() as connection:
            self._local.connection = connection
            try:
                yield
            finally:
                self._local.connection = None

    @contextlib.contextmanager
    def connection(self) -> Iterator[sa.Connection]:
        """The connection of the change under way; else one whose writes are kept when the block ends."""
        if (current := getattr(self._local, "connection", None)) is not None:
            yield current
            return
        with self.engine.begin() as connection:
            yield connection

    def rows(self, query: sa.Executable) -> Sequence[Any]:
        """All rows of a query."""
        with self.connection() as connection:
            return connection.execute(query).all()

    def scalar(self, query: sa.Executable) -> Any:
        """The first column of a query's first row; None if there is no row."""
        with self.connection() as connection:
            return connection.scalar(query)

    def put(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows, in place of those with the same primary key."""
        with self.connection() as connection:
            self.backend.upsert(connection, table, rows)

    def add(self, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
        """Add those rows that are not there yet. Returns how many were added."""
        with self.connection() as connection:
            return self.backend.insert_new(connection, table, rows)

    def read(self, table: sa.Table, *conditions: Any) -> tuple[list[Any], list[DamagedRow]]:
        """What each row that meets the conditions is (`rows.READERS`), in the order of its number if it has one; and an
        error for each that is damaged."""
        records: list[Any] = []
        damaged: list[DamagedRow] = []
        query = plain(table).where(*conditions)
        for row in self.rows(query.order_by(table.c.number) if "number" in table.columns else query):
            try:
                records.append(read(table, row._mapping))
            except DamagedRow as error:
                damaged.append(error)
        return records, damaged

    def records(self, table: sa.Table, *conditions: Any) -> list[Any]:
        """What each row is; those that are damaged are left out."""
        return self.read(table, *conditions)[0]

    def record(self, table: sa.Table, key: str) -> Any:
        """What the row of this primary key is; None if there is none, or it is damaged."""
        (column,) = table.primary_key
        return next(iter(self.records(table, column == key)), None)


def dump(value: Any) -> bytes:
    """JSON, as the tables hold it."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
