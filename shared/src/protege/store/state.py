"""State: what people allow, where each specialist stands, and the ledger of δ.

Without it nobody knows who may answer and what a certificate still says. Nothing here is a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import sqlalchemy as sa

from ..errors import DamagedRow, WorkspaceError
from . import tables
from .database import Database
from .records import Decision, Stage
from .rows import STATE, NotUnicode

EVERY = "*"
"""In the place of a task's id: the policy for every task."""


class State:
    """Policies by task; stages and marks by specialist; decisions by task, in their order.

    Where a row is damaged nobody knows any more what was allowed or spent, so the teacher answers (`in_doubt`).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def policy(self, task_id: str) -> dict[str, Any]:
        """What is said for a task, by the names of `rollout.TaskPolicy`'s fields. An absent field is left open.

        Where the row is damaged, it says that the teacher is to answer.
        """
        said, damaged = self._database.read(tables.policies, tables.policies.c.task_id == task_id)
        return {"off": True} if damaged else said[0] if said else {}

    def save_policy(self, task_id: str, said: Mapping[str, Any]) -> None:
        """Replace what is said for a task. Raises WorkspaceError if that is damaged: it would be lost unnoticed."""
        if self._database.read(tables.policies, tables.policies.c.task_id == task_id)[1]:
            raise WorkspaceError("The policy is damaged.", "protege doctor --repair")
        row = {name: said.get(name) for name in tables.policies.columns.keys()}  # noqa: SIM118 - of a collection
        self._database.put(tables.policies, [{**row, "task_id": task_id}])

    def stage(self, specialist_id: str) -> Stage | None:
        """Since when a specialist is in its state; None if it never entered one."""
        return self._database.record(tables.stages, specialist_id)

    def save_stage(self, specialist_id: str, stage: Stage) -> None:
        row = {"attempt": stage.attempt, "call": stage.call, "time": stage.time}
        self._database.put(tables.stages, [{"specialist_id": specialist_id, **row}])

    def replaced(self, specialist_id: str) -> bool:
        """Whether it was live until another took its place: a rollback may bring it back."""
        marks, damaged = self._marks(specialist_id)
        return bool(marks and marks[0]["replaced"]) and not damaged

    def save_replaced(self, specialist_id: str, mark: bool) -> None:
        self._database.put(tables.marks, [{"specialist_id": specialist_id, "replaced": mark}])

    def taken_out(self, specialist_id: str) -> bool:
        """Whether a person or an alarm took it out of service: the loop does not let it answer again."""
        marks, damaged = self._marks(specialist_id)
        return bool(damaged) or bool(marks and marks[0]["taken_out"])

    def save_taken_out(self, specialist_id: str, mark: bool) -> None:
        self._database.put(tables.marks, [{"specialist_id": specialist_id, "taken_out": mark}])

    def _marks(self, specialist_id: str) -> tuple[list[Any], list[DamagedRow]]:
        return self._database.read(tables.marks, tables.marks.c.specialist_id == specialist_id)

    def decisions(self, task_id: str) -> list[Decision]:
        """The ledger of δ of a task: every look at its calibration calls, oldest first.

        Raises WorkspaceError if an entry is damaged: what was spent would count as unspent.
        """
        decisions, damaged = self._database.read(tables.decisions, tables.decisions.c.task_id == task_id)
        if damaged:
            raise WorkspaceError("The ledger of δ is damaged.", "protege doctor --repair")
        return decisions

    def add_decision(self, task_id: str, decision: Decision) -> None:
        """Enter a look into the ledger. One of the same key is there already and stays as it is."""
        row = {"task_id": task_id, "key": decision.key, "calls": orjson.dumps(decision.calls), "delta": decision.delta}
        self._database.add(tables.decisions, [row])

    def in_doubt(self, task_id: str) -> bool:
        """Whether a row that says who may answer this task is damaged, or one of which nobody can tell whose it is."""
        specialists = sa.select(tables.specialists.c.id).where(tables.specialists.c.task_id == task_id)
        for table in STATE:
            of_task = "task_id" in table.columns
            key = table.c.task_id if of_task else table.c.specialist_id
            keys = self._database.rows(sa.select(sa.type_coerce(key, sa.types.NULLTYPE)).distinct())
            if any(not isinstance(of, str) or isinstance(of, NotUnicode) for (of,) in keys):
                return True
            mine = key.in_((task_id, EVERY)) if of_task else key.in_(specialists)
            if self._database.read(table, mine)[1]:
                return True
        return False
