"""Taking an answer away by the switch alone: without the store, which may be locked, and without space on the disk."""

from __future__ import annotations

from pathlib import Path

from ..common.switch import ALL, of_specialist, of_task, take
from ..route.table import Table, from_bytes


def off_at_once(home: Path, task_name: str | None = None) -> bool:
    """Let the teacher answer the task of this name or id; every task if it is None.

    Agents follow within a second. Returns False if routes.json names no such task, or nothing could be written; then
    nothing has changed.
    """
    if task_name is None:
        return home.is_dir() and take(home, ALL)
    tasks = assigner.tasks if (assigner := _table(home).assigner) else ()
    by_id = [task for task in tasks if task.id == task_name]
    named = by_id or [task for task in tasks if task.name == task_name]
    return bool(named) and take(home, of_task(named[0].id))


def retire_at_once(home: Path, name: str) -> bool:
    """Take the specialist of this name or id out of service, as `off_at_once` does a task."""
    entries = [entry for entries in _table(home).routes.values() for entry in entries]
    ids = [entry.specialist.id for entry in entries if name in (entry.specialist.id, entry.specialist.name)]
    return bool(ids) and take(home, of_specialist(ids[0]))


def _table(home: Path) -> Table:
    try:
        return from_bytes((home / "routes.json").read_bytes())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Table()
