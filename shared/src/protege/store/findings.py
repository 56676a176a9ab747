"""Findings: what the loop and the measurements came to, the last of each kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import tables
from .database import Database, dump
from .records import DataSet, ImprovementRow, Realised

STAND_IN = "stand-in teacher"
END_TO_END = "end to end"


class Findings:
    """Data sets, improvements and figures, by task; and a few that concern the whole workspace."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def data_set(self, task_id: str) -> DataSet | None:
        """The last data set of a task; None if it has none."""
        return self._database.record(tables.data_sets, task_id)

    def save_data_set(self, task_id: str, data_set: DataSet) -> None:
        self._database.put(tables.data_sets, [{"task_id": task_id, **asdict(data_set)}])

    def improvement(self, task_id: str) -> ImprovementRow | None:
        """What the last improvement of a task came to; None if there was none."""
        return self._database.record(tables.improvements, task_id)

    def save_improvement(self, improvement: ImprovementRow) -> None:
        packed = {name: dump(getattr(improvement, name)) for name in ("figures", "passed_over")}
        plain = {name: getattr(improvement, name) for name in ("task_id", "decision", "reason", "specialist_id")}
        self._database.put(tables.improvements, [{**plain, **packed}])

    def ceiling(self, task_id: str) -> Mapping[str, Any] | None:
        """How far the teacher agrees with itself, as `measure.Ceiling` writes it; None if nobody has asked it again."""
        return self._database.record(tables.ceilings, task_id)

    def save_ceiling(self, task_id: str, record: Mapping[str, Any]) -> None:
        self._database.put(tables.ceilings, [{"task_id": task_id, "body": dump(record)}])

    def realised(self, task_id: str) -> Realised | None:
        """What a run of the agent after the route went live came to, for the report."""
        return self._database.record(tables.realised, task_id)

    def save_realised(self, task_id: str, realised: Realised) -> None:
        """Have the report show what specialists answered in a run of yours, and how much of it was wrong."""
        self._database.put(tables.realised, [{"task_id": task_id, **asdict(realised)}])

    def end_to_end(self) -> Mapping[str, Any] | None:
        """Runs of the whole agent, as `measure.agents.EndToEnd.from_record` reads them."""
        return self.remark(END_TO_END)

    def save_end_to_end(self, record: Mapping[str, Any]) -> None:
        """Have the report show runs of the whole agent: at least {"without": {"runs", "succeeded"}, "with": …}."""
        self.save_remark(END_TO_END, record)

    def stand_in(self) -> str | None:
        """A note if the teacher is a stand-in, so that its latencies mean nothing; None for a model."""
        return self.remark(STAND_IN)

    def save_stand_in(self, note: str | None) -> None:
        """Have the report say, in this sentence, that no model answers as the teacher; None takes it back."""
        self.save_remark(STAND_IN, note)

    def remark(self, about: str) -> Any:
        """What a script of yours has kept about something; None if nothing."""
        return self._database.record(tables.remarks, about)

    def save_remark(self, about: str, value: Any) -> None:
        """Keep something that JSON can hold, in place of what was kept about the same."""
        self._database.put(tables.remarks, [{"about": about, "body": dump(value)}])
