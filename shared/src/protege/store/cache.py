"""What steps have found out and can find out again. Clearing it costs time and changes nothing else."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from . import tables
from .database import Database, dump


class Cache:
    """Values by key: the name of a step, and a hash of all that the value was made from."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str) -> Any:
        """What is cached under the key; None if nothing is, or it is damaged and has to be made again."""
        return self._database.record(tables.cache, key)

    def put(self, key: str, value: Any) -> None:
        """Keep a value that JSON can hold."""
        self._database.put(tables.cache, [{"key": key, "body": dump(value)}])

    def clear(self) -> None:
        """Forget all of it."""
        with self._database.connection() as connection:
            connection.execute(sa.delete(tables.cache))
