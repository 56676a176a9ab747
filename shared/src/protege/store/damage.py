"""Which rows are damaged: counted for people, by table."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from . import tables
from .database import Database
from .history import SOUND
from .rows import READERS

_OFTEN = (tables.attempts, tables.cache, tables.quarantine)
"""Tables that may be too large for a look at each row. Calls are set aside where they are read."""


def damaged_rows(database: Database) -> dict[str, int]:
    """How many rows of each table cannot be read; tables without any are left out.

    Of tries so many as the database can tell; what is cached is made again and not counted.
    """
    small = [table for name, table in tables.metadata.tables.items() if name in READERS and table not in _OFTEN]
    counts = {table.name: len(database.read(table)[1]) for table in small}
    number = sa.select(sa.func.count()).select_from(tables.attempts)
    counts["attempts"] = database.scalar(number) - database.scalar(number.where(*SOUND))
    return {name: count for name, count in counts.items() if count}


def in_words(counts: Mapping[str, int]) -> str:
    """The counts for people."""
    return ", ".join(f"{count:,} of {name}" for name, count in counts.items())
