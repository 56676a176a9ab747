"""Specialists in the shadow asked about the calls that the teacher has answered since they went there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..asking.confidence import Scorer
from ..common.progress import Progress, Silent
from ..curate import Row, row_from
from ..evaluate import Judged, answer_all
from ..evaluate.graders import grader_for
from ..rollout.lifecycle import stage
from ..specialist import Specialist
from ..task import Example, Task
from ..workspace import Workspace

MOST = 300
"""Calls a pass: the rules are looked at in between."""
LEAST = 10
"""Fewer wait for others: starting an engine takes seconds."""


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
    numbered, seen = _fresh(workspace, task, Assigner(workspace.tasks()), began)
    if len(numbered) < LEAST:
        _seen(workspace, specialist, began, numbered[0][0] - 1 if numbered else seen)
        return 0
    rows = [row for _, row in numbered]
    with open_engines(workspace, specialist) as engines:
        if engines.fingerprint(specialist) != terms.fingerprint:
            raise EngineError(f"{specialist.name} is served by another engine than was certified.", "protege improve")
        with (progress or Silent()).step(f"{specialist.name}: asked in the shadow", len(rows)) as bar:
            judged = answer_all(
                engines,
                specialist,
                task,
                [Example.from_row(asdict(row)) for row in rows],
                parallel=engines.count,
                timeout_s=terms.timeout_s,
                grader=grader_for(task, terms.grader),
                bar=bar,
                scorer=None if terms.scorer is None else Scorer.from_record(terms.scorer),
            )
    times = {row.id: row.started for row in rows}
    with workspace.turn, workspace.change():
        if stage(workspace, specialist) == began:
            workspace.add_attempts(_try(specialist, one, times[one.call_id], terms.threshold) for one in judged)
            _seen(workspace, specialist, began, seen)
    return len(judged)


def _seen(workspace: Workspace, specialist: Specialist, began: Mapping[str, Any], last: int) -> None:
    """Up to this place in the order of arrival the calls need not be looked at again."""
    with workspace.turn:
        if last != began["calls"] and stage(workspace, specialist) == began:
            workspace.save_result(f"stage:{specialist.id}", {**began, "calls": last})


def _fresh(
    workspace: Workspace, task: Task, assigner: Any, began: Mapping[str, Any]
) -> tuple[list[tuple[int, Row]], int]:
    """The task's rows since the stage began, of calls not looked at yet, each with its place; and the last place."""
    rows: list[tuple[int, Row]] = []
    seen = int(began["calls"])
    for number, call in workspace.numbered_calls(after=seen):
        seen = number
        if (call.time or 0.0) < began["time"]:
            continue  # imported since, and made before: it may have been learnt from
        found = assigner.assign(call.request)
        if found is not None and found.id == task.id and isinstance(row := row_from(task, call), Row) and row.sampled:
            rows.append((number, row))
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
