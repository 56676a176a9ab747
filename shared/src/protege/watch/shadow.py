"""Specialists in the shadow asked about the calls that the teacher has answered since they went there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..curate import Row, row_from
from ..evaluate import Judged, Scorer, answer_all, grader_for
from ..lifecycle import stage
from ..policy import policy_of
from ..progress import Progress, Silent
from ..specialist import Specialist
from ..task import Task
from ..workspace import Workspace

MOST = 300
"""Calls a pass: the rules are looked at in between."""


def shadow(workspace: Workspace, specialist: Specialist, progress: Progress | None = None) -> int:
    """Ask it, in the engine that is to serve it. Returns how many calls it was asked.

    A stage's calls are all that the teacher answered and no specialist was asked first, in their order. Raises
    EngineError where the engine fails, or is another than it was certified on.
    """
    from ..cluster import Assigner
    from ..errors import EngineError
    from ..serve import open_engines

    task = next((t for t in workspace.tasks() if specialist.task_id in (t.id, *t.merged)), None)
    terms = workspace.routes().get(specialist.id)
    if task is None or terms is None:
        return 0
    began = stage(workspace, specialist)
    rows, seen = _fresh(workspace, task, Assigner(workspace.tasks()), int(began.get("calls", 0)))
    if not rows:
        return 0
    with open_engines(workspace, specialist) as engines:
        if engines.fingerprint(specialist) != terms.fingerprint:
            raise EngineError(f"{specialist.name} is served by another engine than was certified.", "protege improve")
        with (progress or Silent()).step(f"{specialist.name}: asked in the shadow", len(rows)) as bar:
            judged = answer_all(
                engines,
                specialist,
                task,
                [asdict(row) for row in rows],
                parallel=engines.count,
                timeout_s=terms.timeout_s,
                grader=grader_for(task, policy_of(workspace, task.id).grader),
                bar=bar,
                scorer=None if terms.scorer is None else Scorer.from_record(terms.scorer),
            )
    times = {row.id: row.started for row in rows}
    with workspace.turn, workspace.change():
        if stage(workspace, specialist) == began:
            workspace.add_attempts(_try(specialist, one, times[one.call_id], terms.threshold) for one in judged)
            workspace.save_result(f"stage:{specialist.id}", {**began, "calls": seen})
    return len(judged)


def _fresh(workspace: Workspace, task: Task, assigner: Any, after: int) -> tuple[list[Row], int]:
    """Rows of the task behind a place in the order of arrival, and the place behind the last call looked at."""
    rows: list[Row] = []
    seen = after
    for number, call in workspace.numbered_calls(after=after):
        seen = number
        found = assigner.assign(call.request)
        if found is not None and found.id == task.id and isinstance(row := row_from(task, call), Row) and row.sampled:
            rows.append(row)
            if len(rows) == MOST:
                break
    return rows, seen


def _try(specialist: Specialist, one: Judged, time: float | None, threshold: float) -> Mapping[str, Any]:
    kept = one.kept_at(threshold)
    return {
        "call_id": one.call_id,
        "specialist_id": specialist.id,
        "task_id": specialist.task_id,
        "time": time,
        "outcome": "shadowed",
        "reason": "kept" if kept else "below threshold" if one.valid else "invalid structure",
        "confidence": one.confidence,
        "rate": 1.0,
        "agreed": one.agreed,
        "latency_ms": one.latency_ms,
    }
