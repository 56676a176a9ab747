"""A home with rows in every table, and ways to damage it."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from protege import Workspace
from protege.rollout import lifecycle, publish, set_policy
from protege.route.table import from_bytes
from protege.store import DataSet, Decision, ImprovementRow, Realised, Reason
from watched import call, colour_task, specialist, terms

TASK = colour_task()


def filled_home(home: Path) -> Workspace:
    """A home with rows in every table; its second specialist is live."""
    workspace = Workspace(home)
    workspace.add_calls(call(number, by="s2", instruction="Name the colour. " * 40) for number in range(10))
    workspace.save_tasks([TASK], {f"c{number}": "colour" for number in range(10)})
    for version in (1, 2):
        workspace.save_specialist(specialist(version, "candidate"))
        lifecycle.promote(workspace, specialist(version, "candidate"), terms(version), "certified")
    workspace.corrections.save({"c1": {"role": "assistant", "content": "blue"}}, by_hand=True)
    set_policy(workspace, TASK, {"epsilon": 0.1})
    workspace.state.add_decision(TASK.id, Decision("of before", ("c1", "c2"), 0.05))
    figures = {"evaluation": {"agreement": 0.97, "latency_p50_ms": 5.0}, "certified_coverage": 0.9}
    workspace.findings.save_improvement(ImprovementRow(TASK.id, "live", "It keeps 90%.", "s2", figures))
    workspace.findings.save_data_set(TASK.id, DataSet("d", "m", 20, 5.0, 3))
    workspace.findings.save_ceiling(TASK.id, {"agreement": 0.9, "n": 9})
    workspace.findings.save_realised(TASK.id, Realised(9, 8, 8, 1))
    workspace.findings.save_stand_in("Labels, not a model.")
    workspace.watched.save_reason(TASK.id, Reason("A drift.", 5.0))
    workspace.watched.save_noticed(3)
    workspace.watched.save_window("s2", {"calls": []})
    workspace.watched.add_change("s2", "what", 3)
    workspace.journals.save_offset("1.journal", 10)
    workspace.cache("k", {"some": "thing"})
    publish(workspace)
    return workspace


def damage(home: Path, table: str, column: str, value: Any, where: str = "") -> int:
    """Write a value that no column of ours could hold into a row, by default the latest. In how many it is then."""
    where = where or f"rowid = (SELECT max(rowid) FROM {table})"
    connection = sqlite3.connect(home / "store.db")
    connection.execute("PRAGMA writable_schema=ON")
    with connection:
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE type = 'table'")
    connection.close()
    connection = sqlite3.connect(home / "store.db")
    with connection:
        number = connection.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,)).rowcount
    connection.close()
    return number


def followed(home: Path) -> list[str]:
    routes = from_bytes((home / "routes.json").read_bytes()).routes
    return sorted(entry.specialist.id for entries in routes.values() for entry in entries)
