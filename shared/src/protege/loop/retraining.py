"""When a task's specialist is made again."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ..rollout.stages import proof_so_far, stage
from ..specialist import Specialist
from ..store.records import DataSet, ImprovementRow
from ..task import Task
from ..watch.reasons import last_reason
from ..workspace import Workspace

STAGE_DAYS = 14
"""After this many days a shadow or a canary no longer blocks a new specialist."""
GROWTH = 1.5
"""A retraining is due once the teacher has answered this many times as many calls as the last one learnt from."""
SOONER = 1.2
"""In place of GROWTH while a reason is open and no specialist was certified since: what few calls did not show, some
more may."""
PROOF_GROWTH = 2.0
"""In place of GROWTH while a shadow owes the proof: a new specialist would have it begin anew, and may need none."""
NEARLY = 0.5
"""A shadow that is this far with its proof is let end, however many calls have come."""
ENOUGH = 0.95
"""Coverage from which more calls alone bring nothing."""
HARD = 200
"""Calls handed back since the last time that make a retraining due by themselves."""
CORRECTED = 20
"""Calls that people corrected since the last time, of which the same is true."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What speaks for a retraining."""

    calls: int
    """Calls that the teacher has answered; since the open reason began if there is one."""
    then: int
    """The same count when the last data set was made."""
    coverage: float
    """The certified share of calls kept; 0 if no specialist answers."""
    handed_back: int
    """Calls that specialists handed back since the last data set."""
    reason: str = ""
    """An open reason (an alarm, another teacher, a new wording); "" if there is none."""
    new: bool = False
    """Whether the reason was opened after the last data set was made."""
    shown: bool = False
    """Whether a specialist is in the shadow or a canary."""
    proof: float | None = None
    """How far a shadow is with the proof that it owes, from 0 to 1; None if it owes none."""
    corrected: int = 0
    """Calls that people corrected since the last data set."""


def due(standing: Standing) -> tuple[bool, str]:
    """Whether a retraining is due, and why or why not."""
    if standing.new:
        return True, standing.reason
    if standing.shown and (standing.proof is None or standing.proof >= NEARLY):
        return False, "One is on its way: more calls alone do not start another."
    if standing.shown and standing.calls < PROOF_GROWTH * standing.then:
        return False, "One is in the shadow, which owes the proof: twice as many calls start another."
    if standing.corrected >= CORRECTED:
        return True, f"People have corrected {standing.corrected} answers since."
    growth = SOONER if standing.reason else GROWTH
    if standing.coverage >= ENOUGH and not standing.reason:
        return False, f"{standing.coverage:.0%} of the calls are kept already."
    if standing.calls >= growth * standing.then:
        return True, f"The teacher has answered {standing.calls:,} calls, {standing.then:,} the last time."
    if standing.coverage and standing.handed_back >= HARD:
        return True, f"{standing.handed_back} calls were handed back since."
    more = max(1, math.ceil(growth * standing.then) - standing.calls)
    return False, f"{standing.calls - standing.then:,} calls have come since; {more:,} more make a retraining due."


def retraining(workspace: Workspace, task: Task) -> tuple[bool, str]:
    """Whether a retraining of the task's specialist is due, and why or why not."""
    last = workspace.findings.data_set(task.id)
    return due_since(workspace, task, last) if last else (True, "It was never trained.")


def due_since(workspace: Workspace, task: Task, last: DataSet) -> tuple[bool, str]:
    """As `retraining`, for a task whose last data set was `last`."""
    improvement = workspace.findings.improvement(task.id)
    specialists = workspace.specialists(task_id=task.id)
    reason = last_reason(workspace, task.id)
    is_open = reason is not None and not reason.closed
    routes = workspace.routes()
    proofs = [proof.share for s in specialists if (proof := proof_so_far(workspace, s)) is not None]
    second = next((s.id for s in specialists if s.answers and s.id in routes and routes[s.id].after), None)
    handed_back = workspace.history.attempts(
        task.id, after=last.attempt, specialist_id=second, outcomes=("handed_back",)
    )
    since = reason.since if reason is not None else None
    return due(
        Standing(
            calls=workspace.count_calls(task_id=task.id, teacher_only=True, since=since),
            then=last.calls,
            coverage=_certified_coverage(improvement) if any(s.answers for s in specialists) else 0.0,
            handed_back=sum(1 for _ in handed_back),
            corrected=workspace.corrections.count(task, since=last.time),
            reason=reason.why if reason is not None and is_open else "",
            new=reason is not None and is_open and reason.opened > last.time,
            shown=any(s.state in ("shadow", "canary") and _recent(workspace, s) for s in specialists),
            proof=max(proofs, default=None),
        )
    )


def _recent(workspace: Workspace, specialist: Specialist) -> bool:
    """Whether it may still be shown soon: with one run id for all calls, a canary may never see a call."""
    # Either way, since the clock may have been ahead when the stage began.
    return abs(time.time() - stage(workspace, specialist).time) < STAGE_DAYS * 86_400


def _certified_coverage(improvement: ImprovementRow | None) -> float:
    figures = improvement.figures if improvement else {}
    second = figures.get("cascade") or {}
    more = second["share"] * second["coverage"] if second.get("answers") else 0.0
    return (figures.get("certified_coverage") or 0.0) + more
