"""What the watch has seen: how far it has looked, what changed, and why a task's specialist is to be made again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import tables
from .database import Database, dump
from .records import Reason

NOTICED, COMPARED = "noticed", "compared"


class Watched:
    """Cursors, windows and noticed changes, and the last reason of each task."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def noticed(self) -> int:
        """The number of the last call whose traffic was looked at; 0 if none was."""
        return self._cursor(NOTICED, "")

    def save_noticed(self, call: int) -> None:
        self._save_cursor(NOTICED, "", call)

    def compared(self, task_id: str) -> int:
        """The number of the last of a task's tries that was looked at to be compared; 0 if none was."""
        return self._cursor(COMPARED, task_id)

    def save_compared(self, task_id: str, attempt: int) -> None:
        self._save_cursor(COMPARED, task_id, attempt)

    def window(self, specialist_id: str) -> Mapping[str, Any]:
        """The latest calls of a specialist's task in a few words each (`watch.traffic`); empty if there are none."""
        return self._database.record(tables.windows, specialist_id) or {}

    def save_window(self, specialist_id: str, window: Mapping[str, Any]) -> None:
        self._database.put(tables.windows, [{"specialist_id": specialist_id, "body": dump(window)}])

    def changes(self, specialist_id: str) -> dict[str, int]:
        """What has changed since a specialist was certified, with the number of the latest try when it was noticed."""
        table = tables.changes
        rows = self._database.records(table, table.c.specialist_id == specialist_id)
        return {row["what"]: row["attempt"] for row in rows}

    def add_change(self, specialist_id: str, what: str, attempt: int) -> None:
        self._database.put(tables.changes, [{"specialist_id": specialist_id, "what": what, "attempt": attempt}])

    def reason(self, task_id: str) -> Reason | None:
        """The last reason, open or closed, to make a task's specialist again."""
        return self._database.record(tables.reasons, task_id)

    def save_reason(self, task_id: str, reason: Reason) -> None:
        self._database.put(tables.reasons, [{"task_id": task_id, **asdict(reason)}])

    def _cursor(self, name: str, task_id: str) -> int:
        """How far it is; from the beginning if that is damaged: what was looked at is looked at again."""
        table = tables.cursors
        rows = self._database.records(table, table.c.name == name, table.c.task_id == task_id)
        return rows[0]["number"] if rows else 0

    def _save_cursor(self, name: str, task_id: str, number: int) -> None:
        self._database.put(tables.cursors, [{"name": name, "task_id": task_id, "number": number}])
