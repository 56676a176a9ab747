"""Asking specialists in the shadow about the calls that the teacher has answered since they went there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from .. import cluster, serve
from ..asking.confidence import Scorer
from ..common.progress import Progress, Silent
from ..curate import Row, row_from
from ..errors import EngineError
from ..evaluate import Judged, answer_all
from ..evaluate.graders import grader_for
from ..rollout.lifecycle import in_stage, stage
from ..specialist import Specialist
from ..store.records import Stage
from ..task import Example, Task
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..cluster import Assigner

MOST = 300
"""Calls a pass: the rules are looked at between passes."""
LEAST = 10
"""Fewer calls wait for more: starting an engine takes seconds."""


def shadow(workspace: Workspace, specialist: Specialist, progress: Progress | None = None) -> int:
    """Ask a specialist, in the engine that is to serve it. Returns the number of calls that it was asked.

    A stage's calls are all that the teacher answered and no specialist was asked first, in their order. Raises
    EngineError if the engine fails, or is another than the specialist was certified on.
    """
    task = workspace.task_of(specialist)
    route = workspace.routes().get(specialist.id)
    if task is None or route is None:
        return 0
    began = stage(workspace, specialist)
    numbered, seen = _fresh(workspace, task, cluster.Assigner(workspace.tasks()), began)
    if len(numbered) < LEAST:
        _seen(workspace, specialist, began, numbered[0][0] - 1 if numbered else seen)
        return 0
    rows = [row for _, row in numbered]
    with serve.open_engines(workspace, specialist) as engines:
        if engines.fingerprint(specialist) != route.fingerprint:
            raise EngineError(f"{specialist.name} is served by another engine than was certified.", "protege improve")
        with (progress or Silent()).step(f"{specialist.name}: asked in the shadow", len(rows)) as bar:
            judged = answer_all(
                engines,
                specialist,
                task,
                [Example.from_row(asdict(row)) for row in rows],
                parallel=engines.count,
                timeout_s=route.timeout_s,
                grader=grader_for(task, route.grader),
                bar=bar,
                scorer=None if route.scorer is None else Scorer.from_record(route.scorer),
            )
    times = {row.id: row.started for row in rows}
    with workspace.turn, workspace.change():
        if stage(workspace, specialist) == began:
            workspace.history.add_attempts(
                _try(specialist, answer, times[answer.call_id], route.threshold) for answer in judged
            )
            _seen(workspace, specialist, began, seen)
    return len(judged)


def _seen(workspace: Workspace, specialist: Specialist, began: Stage, last: int) -> None:
    """The calls up to this number need not be looked at again."""
    with workspace.turn:
        if last != began.call and stage(workspace, specialist) == began:
            workspace.state.save_stage(specialist.id, replace(began, call=last))


def _fresh(workspace: Workspace, task: Task, assigner: Assigner, began: Stage) -> tuple[list[tuple[int, Row]], int]:
    """The task's rows since the stage began, of calls not looked at yet, each with its call's number; and the last
    number looked at."""
    rows: list[tuple[int, Row]] = []
    seen = began.call
    for number, call in workspace.numbered_calls(after=seen):
        seen = number
        if not in_stage(began, number, call.time):
            continue  # imported since, and made before: it may have been learnt from
        match = assigner.assign(call.request)
        if match is not None and match.id == task.id and isinstance(row := row_from(task, call), Row) and row.sampled:
            rows.append((number, row))
            if len(rows) == MOST:
                break
    return rows, seen


def _try(specialist: Specialist, answer: Judged, time: float | None, threshold: float) -> Mapping[str, Any]:
    kept = answer.kept_at(threshold)
    return {
        "call_id": answer.call_id,
        "specialist_id": specialist.id,
        "task_id": specialist.task_id,
        "time": time,
        "outcome": "shadowed",
        "reason": "kept" if kept else "below threshold" if answer.valid else "invalid structure",
        "confidence": answer.confidence,
        "rate": 1.0,
        "agreed": answer.agreed,
        "latency_ms": answer.latency_ms,
    }
