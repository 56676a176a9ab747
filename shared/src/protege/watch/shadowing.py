"""Asking specialists in the shadow about the calls that the teacher has answered since they went there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from .. import cluster, serve
from ..asking.confidence import Scorer
from ..common.hashing import hash_of
from ..common.progress import Progress, Silent
from ..curate import Row, row_from
from ..errors import EngineError
from ..evaluate import Judged, answer_all, with_corrections
from ..evaluate.graders import grader_for
from ..rollout.policy import policy_of
from ..rollout.stages import KEPT, REPEATED, in_stage, stage, tries
from ..specialist import Route, Specialist
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
    numbered, seen = _fresh(workspace, task, cluster.Assigner(workspace.tasks()), began, route)
    if len(numbered) < LEAST:
        _seen(workspace, specialist, began, numbered[0][0] - 1 if numbered else seen)
        return 0
    rows, limit_ms = [row for _, row in numbered], policy_of(workspace, task.id).latency_ms
    examples = [Example.from_row(asdict(row)) for row in rows]
    corrections = workspace.corrections.of_calls({example.id for example in examples})
    with serve.open_engines(workspace, specialist) as engines:
        if engines.fingerprint(specialist) != route.fingerprint:
            raise EngineError(f"{specialist.name} is served by another engine than was certified.", "protege improve")
        with (progress or Silent()).step(f"{specialist.name}: asked in the shadow", len(rows)) as bar:
            judged = answer_all(
                engines,
                specialist,
                task,
                with_corrections(examples, corrections),
                parallel=engines.count,
                timeout_s=route.timeout_s if limit_ms is None else limit_ms / 1000,
                grader=grader_for(task, route.grader),
                bar=bar,
                scorer=None if route.scorer is None else Scorer.from_record(route.scorer),
                adviser=serve.adviser(workspace, specialist),
            )
    by_id = {row.id: row for row in rows}
    key = f"counted:{specialist.id}:{began.time}"
    counted = _counted(workspace, specialist, task, key) if route.proof == "owed" else None
    repeated = set[str]() if counted is None else _repeated(rows, counted)
    with workspace.turn, workspace.change():
        if stage(workspace, specialist) == began:
            workspace.history.add_attempts(
                _try(specialist, answer, by_id[answer.call_id], route.threshold, answer.call_id in repeated)
                for answer in judged
            )
            if counted is not None:
                workspace.cache(key, sorted(counted))
            _seen(workspace, specialist, began, seen)
    return len(judged)


def _seen(workspace: Workspace, specialist: Specialist, began: Stage, last: int) -> None:
    """The calls up to this number need not be looked at again."""
    with workspace.turn:
        if last != began.call and stage(workspace, specialist) == began:
            workspace.state.save_stage(specialist.id, replace(began, call=last))


def _counted(workspace: Workspace, specialist: Specialist, task: Task, key: str) -> set[str]:
    """The runs and prompts of the calls that count in a stage."""
    if (cached := workspace.cached(key)) is not None:
        return set(cached)
    calls = workspace.calls(ids=[attempt.call_id for attempt in tries(workspace, specialist)])
    rows = (row_from(task, call) for call in calls)
    return {name for row in rows if isinstance(row, Row) for name in _names(row)}


def _repeated(rows: Sequence[Row], counted: set[str]) -> set[str]:
    """The ids of the rows whose run or prompt counts already; those of the others are added to `counted`.

    Answers within a run, or to one prompt, tend to go wrong together. One of them is drawn, by its id: counted one by
    one they would be shown far too often.
    """
    repeated: set[str] = set()
    for row in sorted(rows, key=lambda row: hash_of(row.id)):
        if counted.isdisjoint(_names(row)):
            counted.update(_names(row))
        else:
            repeated.add(row.id)
    return repeated


def _names(row: Row) -> tuple[str, ...]:
    return (row.strict, hash_of("run", row.run)) if row.run else (row.strict,)


def _fresh(
    workspace: Workspace, task: Task, assigner: Assigner, began: Stage, route: Route
) -> tuple[list[tuple[int, Row]], int]:
    """The task's rows since the stage began that the route would take, of calls not looked at yet, each with its call's
    number; and the last number looked at."""
    rows: list[tuple[int, Row]] = []
    seen = began.call
    for number, call in workspace.numbered_calls(after=seen):
        seen = number
        if not in_stage(began, number, call.time):
            continue  # imported since, and made before: it may have been learnt from
        match = assigner.assign(call.request)
        row = row_from(task, call) if match is not None and match.id == task.id else ""
        if isinstance(row, Row) and row.sampled and route.covers(row.signature):
            rows.append((number, row))
            if len(rows) == MOST:
                break
    return rows, seen


def _try(specialist: Specialist, answer: Judged, row: Row, threshold: float, repeated: bool) -> Mapping[str, Any]:
    kept = answer.kept_at(threshold)
    reason = KEPT if kept else "below threshold" if answer.valid else "invalid structure"
    return {
        "call_id": answer.call_id,
        "specialist_id": specialist.id,
        "task_id": specialist.task_id,
        "time": row.started,
        "outcome": "shadowed",
        "reason": REPEATED if repeated else reason,
        "confidence": answer.confidence,
        "rate": 1.0,
        "agreed": answer.agreed,
        "latency_ms": answer.latency_ms,
    }
