"""How far each journal file is brought into the store."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from . import tables
from .database import Database


class Journals:
    """Offsets in bytes, by the file's name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def offsets(self) -> dict[str, int]:
        """Those of all files. One whose row is damaged is read from its beginning: calls that are known are left."""
        return {row["name"]: row["offset"] for row in self._database.records(tables.journals)}

    def save_offset(self, name: str, offset: int) -> None:
        """Keep how far a file is stored."""
        self._database.put(tables.journals, [{"name": name, "offset": offset}])

    def forget(self, names: Iterable[str]) -> None:
        """Forget files that are gone."""
        if gone := [{"gone": name} for name in names]:
            with self._database.connection() as connection:
                query = sa.delete(tables.journals).where(tables.journals.c.name == sa.bindparam("gone"))
                connection.execute(query, gone)
