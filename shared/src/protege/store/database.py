"""Database: one home's store, with changes that are kept whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson
import sqlalchemy as sa

from .backend import Backend


class Database:
    """What every kind of rows is read and written through. Safe for many threads and processes."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._local = threading.local()

    @functools.cached_property
    def engine(self) -> sa.Engine:
        """Opened at first use. Raises WorkspaceError as `Backend.connect`."""
        return self.backend.connect()

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

    def row(self, table: sa.Table, key: str) -> dict[str, Any] | None:
        """The row of this primary key."""
        (column,) = table.primary_key
        with self.connection() as connection:
            row = connection.execute(sa.select(table).where(column == key)).mappings().first()
        return None if row is None else dict(row)

    def body(self, table: sa.Table, key: str) -> Any:
        """What the row of this primary key holds as JSON; None if there is no such row."""
        row = self.row(table, key)
        return None if row is None else orjson.loads(row["body"])


def dump(value: Any) -> bytes:
    """JSON, as the tables hold it."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
