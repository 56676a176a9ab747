"""State: what people allow, where each specialist stands, and the ledger of δ.

Without it nobody knows who may answer and what a certificate still says. Nothing here is a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from . import tables
from .database import Database
from .records import Decision, Stage


class State:
    """Policies by task; stages and marks by specialist; decisions by task, in their order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def policy(self, task_id: str) -> dict[str, Any]:
        """What is said for a task, by the names of `rollout.TaskPolicy`'s fields. An absent field is left open."""
        row = self._database.row(tables.policies, task_id) or {}
        return {name: value for name, value in row.items() if value is not None and name != "task_id"}

    def save_policy(self, task_id: str, said: Mapping[str, Any]) -> None:
        """Replace what is said for a task."""
        row = {name: said.get(name) for name in tables.policies.columns.keys()}  # noqa: SIM118 - of a collection
        self._database.put(tables.policies, [{**row, "task_id": task_id}])

    def stage(self, specialist_id: str) -> Stage | None:
        """Since when a specialist is in its state; None if it never entered one."""
        row = self._database.row(tables.stages, specialist_id)
        return None if row is None else Stage(row["attempt"], row["call"], row["time"])

    def save_stage(self, specialist_id: str, stage: Stage) -> None:
        row = {"attempt": stage.attempt, "call": stage.call, "time": stage.time}
        self._database.put(tables.stages, [{"specialist_id": specialist_id, **row}])

    def replaced(self, specialist_id: str) -> bool:
        """Whether it was live until another took its place: a rollback may bring it back."""
        return self._mark(specialist_id, "replaced")

    def save_replaced(self, specialist_id: str, mark: bool) -> None:
        self._database.put(tables.marks, [{"specialist_id": specialist_id, "replaced": mark}])

    def taken_out(self, specialist_id: str) -> bool:
        """Whether a person or an alarm took it out of service: the loop does not let it answer again."""
        return self._mark(specialist_id, "taken_out")

    def save_taken_out(self, specialist_id: str, mark: bool) -> None:
        self._database.put(tables.marks, [{"specialist_id": specialist_id, "taken_out": mark}])

    def _mark(self, specialist_id: str, name: str) -> bool:
        return bool((self._database.row(tables.marks, specialist_id) or {}).get(name))

    def decisions(self, task_id: str) -> list[Decision]:
        """The ledger of δ of a task: every look at its calibration calls, oldest first."""
        table = tables.decisions
        query = sa.select(table).where(table.c.task_id == task_id).order_by(table.c.number)
        rows = self._database.rows(query)
        return [Decision(row.key, tuple(orjson.loads(row.calls)), row.delta) for row in rows]

    def add_decision(self, task_id: str, decision: Decision) -> None:
        """Enter a look into the ledger. One of the same key is there already and stays as it is."""
        row = {"task_id": task_id, "key": decision.key, "calls": orjson.dumps(decision.calls), "delta": decision.delta}
        self._database.add(tables.decisions, [row])
