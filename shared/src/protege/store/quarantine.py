"""What was set aside: records, calls and tasks that raised an error, each with its reason.

Each is tried again once by every later version of Protégé, and not by the version that set it aside.
"""

from __future__ import annotations

import importlib.metadata
import logging
import time
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ..common.confinement import Aside
from . import tables
from .database import Database

log = logging.getLogger("protege")

MOST_BODY = 1 << 20
"""A larger record is noted without its bytes."""
MOST_ROWS = 100_000
"""When so many are set aside, further ones are told in the log only: a home must not fill up with them."""
MOST_BYTES = 256 << 20
"""When the records that are kept come to so much, further ones are noted without their bytes."""


class Quarantine:
    """What was set aside, by the place where it happened and by what it is (`Aside.key`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, asides: Sequence[Aside]) -> None:
        """Keep these, in place of what was kept under the same place and key."""
        if not asides:
            return
        number, size = self._size()
        if number >= MOST_ROWS:
            log.warning("%d more were set aside; the quarantine is full and keeps none of them.", len(asides))
            return
        now, version = time.time(), importlib.metadata.version("protege")
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for aside in asides[: MOST_ROWS - number]:
            kept = len(aside.body) <= MOST_BODY and size + len(aside.body) <= MOST_BYTES
            size += len(aside.body) if kept else 0
            rows[aside.place, aside.key] = {
                "place": aside.place,
                "key": aside.key,
                "reason": aside.reason,
                "detail": aside.detail,
                "version": version,
                "time": now,
                "body": aside.body if kept else b"",
            }
        self._database.put(tables.quarantine, list(rows.values()))

    def _size(self) -> tuple[int, int]:
        """How many there are, and the bytes of their records."""
        body = tables.quarantine.c.body
        ((number, size),) = self._database.rows(sa.select(sa.func.count(), sa.func.sum(sa.func.length(body))))
        return number, size or 0

    def keep(self, aside: Aside) -> None:
        """Keep one: what a loop may be given as `on_aside`, from any thread."""
        self.add([aside])

    def total(self) -> int:
        """How many are set aside."""
        return self._database.scalar(sa.select(sa.func.count()).select_from(tables.quarantine)) or 0

    def counts(self) -> dict[str, dict[str, int]]:
        """How many are set aside, by place and reason."""
        table = tables.quarantine.c
        query = sa.select(table.place, table.reason, sa.func.count()).group_by(table.place, table.reason)
        counts: dict[str, dict[str, int]] = {}
        for place, reason, number in self._database.rows(query.order_by(table.place, table.reason)):
            counts.setdefault(str(place), {})[str(reason)] = number
        return counts

    def keys(self, place: str) -> set[str]:
        """What this version set aside in this place: it does not try them again."""
        table = tables.quarantine.c
        version = importlib.metadata.version("protege")
        query = sa.select(table.key).where(table.place == place, table.version == version)
        return {row.key for row in self._database.rows(query)}

    def of_other_versions(self, places: Sequence[str]) -> list[Aside]:
        """What another version set aside in these places, with its bytes: this version may be able to read it."""
        table = tables.quarantine.c
        version = importlib.metadata.version("protege")
        where = (table.place.in_(places), table.version != version, table.body != b"")
        return [aside for aside, _ in self._database.records(tables.quarantine, *where)]

    def release(self, asides: Sequence[Aside]) -> None:
        """Forget these: they have been read."""
        table = tables.quarantine.c
        with self._database.connection() as connection:
            for aside in asides:
                connection.execute(
                    sa.delete(tables.quarantine).where(table.place == aside.place, table.key == aside.key)
                )
