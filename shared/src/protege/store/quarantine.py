"""What was set aside: records, calls and tasks that raised an error, each with its reason.

Each is tried again once by every later version of Protégé, and not by the version that set it aside.
"""

from __future__ import annotations

import importlib.metadata
import time
from collections.abc import Sequence

import sqlalchemy as sa

from ..common.confinement import Aside
from . import tables
from .database import Database

MOST_BODY = 1 << 20
"""A larger record is noted without its bytes."""
MOST_ROWS = 100_000
"""When so many are set aside, further ones are told in the log only: a home must not fill up with them."""


class Quarantine:
    """What was set aside, by the place where it happened and by what it is (`Aside.key`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, asides: Sequence[Aside]) -> None:
        """Keep these, in place of what was kept under the same place and key."""
        if not asides or self.total() >= MOST_ROWS:
            return
        now, version = time.time(), importlib.metadata.version("protege")
        rows = {
            (aside.place, aside.key): {
                "place": aside.place,
                "key": aside.key,
                "reason": aside.reason,
                "detail": aside.detail,
                "version": version,
                "time": now,
                "body": aside.body if len(aside.body) <= MOST_BODY else b"",
            }
            for aside in asides
        }
        self._database.put(tables.quarantine, list(rows.values()))

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
            counts.setdefault(place, {})[reason] = number
        return counts

    def of_other_versions(self, places: Sequence[str]) -> list[Aside]:
        """What another version set aside in these places, with its bytes: this version may be able to read it."""
        table = tables.quarantine
        version = importlib.metadata.version("protege")
        query = sa.select(table).where(table.c.place.in_(places), table.c.version != version, table.c.body != b"")
        return [Aside(row.place, row.key, row.reason, row.detail, row.body) for row in self._database.rows(query)]

    def release(self, asides: Sequence[Aside]) -> None:
        """Forget these: they have been read."""
        table = tables.quarantine.c
        with self._database.connection() as connection:
            for aside in asides:
                connection.execute(
                    sa.delete(tables.quarantine).where(table.place == aside.place, table.key == aside.key)
                )
