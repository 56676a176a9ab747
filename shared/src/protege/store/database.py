"""Database: the store behind a workspace, with changes that are kept whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..errors import WorkspaceError

if TYPE_CHECKING:
    import sqlalchemy as sa


class Database:
    """The tables of `store` in one home folder. Safe for many threads and processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._local = threading.local()

    @functools.cached_property
    def database(self) -> sa.Engine:
        """The store; opened at first use."""
        from sqlalchemy.exc import DatabaseError, OperationalError

        from . import tables as store

        path = self.home / "store.db"
        try:
            with _private_umask():
                return store.connect(path)
        except OperationalError as error:
            raise WorkspaceError(
                f"The store {path} cannot be opened: {error.orig}.",
                "Another process may be writing, or the disk be full: try again in a minute.",
            ) from error
        except DatabaseError as error:
            raise WorkspaceError(
                f"The store {path} cannot be opened: {error.orig}.",
                "Restore it from a backup; without it calls can be collected again, specialists cannot.",
            ) from error

    def close(self) -> None:
        """Give the database's connections back."""
        if "database" in self.__dict__:
            self.database.dispose()

    @contextlib.contextmanager
    def change(self) -> Iterator[None]:
        """All that this thread writes within the block is kept together, or nothing of it where it raises."""
        if getattr(self._local, "connection", None) is not None:
            yield
            return
        with self.database.begin() as connection:
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
        with self.database.begin() as connection:
            yield connection

    # Results of steps

    def result(self, key: str) -> Any:
        """What a step kept under this key, None where nothing."""
        import sqlalchemy as sa

        from . import tables as store

        with self.connection() as connection:
            body = connection.scalar(sa.select(store.results.c.body).where(store.results.c.key == key))
        return None if body is None else orjson.loads(body)

    def save_result(self, key: str, value: Any) -> None:
        """Keep what a step found; `key` names the step and the hash of all that it was made from."""
        self._put("results", {"key": key}, value)

    def _records(self, table: str) -> list[dict[str, Any]]:
        import sqlalchemy as sa

        from . import tables as store

        with self.connection() as connection:
            return [orjson.loads(row[0]) for row in connection.execute(sa.select(store.metadata.tables[table].c.body))]

    def _put(self, table: str, keys: Mapping[str, str], body: Any) -> None:
        from sqlalchemy.dialects.sqlite import insert

        from . import tables as store

        target = store.metadata.tables[table]
        values = {**keys, "body": dump(body)}
        with self.connection() as connection:
            query = insert(target).values(values)
            connection.execute(query.on_conflict_do_update(index_elements=list(target.primary_key), set_=values))


def dump(value: Any) -> bytes:
    """As the tables hold a record."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


@contextlib.contextmanager
def _private_umask() -> Iterator[None]:
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
