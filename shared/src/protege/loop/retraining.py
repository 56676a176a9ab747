"""When a task's specialist is made again."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..rollout.lifecycle import stage
from ..specialist import Specialist
from ..task import Task
from ..workspace import Workspace

STAGE_DAYS = 14
"""After so many days in the shadow or as a canary a specialist keeps no other from being made."""


def retraining(workspace: Workspace, task: Task) -> tuple[bool, str]:
    """Whether a retraining of the task's specialist is due, and why or why not."""
    kept = workspace.result(f"data:{task.id}")
    return due_for(workspace, task, kept) if kept else (True, "It was never trained.")


def due_for(workspace: Workspace, task: Task, kept: Mapping[str, Any]) -> tuple[bool, str]:
    from ..watch import last_reason

    improvement = workspace.result(f"improvement:{task.id}") or {}
    mine = workspace.specialists(task_id=task.id)
    reason = last_reason(workspace, task.id)
    since = reason.since if reason is not None else None
    terms = workspace.routes()
    last = next((s.id for s in mine if s.answers and s.id in terms and terms[s.id].after), None)  # of a cascade
    handed_back = workspace.attempts(task.id, after=kept["after"], specialist_id=last, outcomes=("handed_back",))
    return due(
        Standing(
            calls=workspace.count_calls(task_id=task.id, teacher_only=True, since=since),
            then=kept["calls"],
            coverage=_certified_coverage(improvement) if any(s.answers for s in mine) else 0.0,
            handed_back=sum(1 for _ in handed_back),
            reason=reason.why if reason is not None and not reason.closed else "",
            new=reason is not None and not reason.closed and reason.opened > kept["time"],
            shown=any(s.state in ("shadow", "canary") and _recent(workspace, s) for s in mine),
        )
    )


def _recent(workspace: Workspace, specialist: Specialist) -> bool:
    """Whether it may still be shown soon: with one run id for all calls, a canary may never see one."""
    return time.time() - stage(workspace, specialist)["time"] < STAGE_DAYS * 86_400


def _certified_coverage(improvement: Mapping[str, Any]) -> float:
    figures = improvement.get("figures") or {}
    then = figures.get("cascade") or {}
    more = then["share"] * then["coverage"] if then.get("answers") else 0.0
    return (figures.get("certified_coverage") or 0.0) + more


GROWTH = 1.5


SOONER = 1.2
"""Where a reason is open and no specialist was certified since: what few calls did not show, some more may."""


ENOUGH = 0.95


HARD = 200


@dataclass(frozen=True, slots=True)
class Standing:
    """What speaks for a retraining.

    calls: that the teacher answered; then: when the data set was made. coverage: what is certified, 0 where nothing is.
    handed_back: since then. reason: an open one (an alarm, another teacher, a new wording), "" where none; the calls
    are those since it began, then. new: it was opened after the data set was made. shown: one is in the shadow or a
    canary.
    """

    calls: int
    then: int
    coverage: float
    handed_back: int
    reason: str = ""
    new: bool = False
    shown: bool = False


def due(standing: Standing) -> tuple[bool, str]:
    """Whether a retraining is due, and why or why not."""
    if standing.new:
        return True, standing.reason
    if standing.shown:
        return False, "One is on its way: more calls alone do not start another."
    growth = SOONER if standing.reason else GROWTH
    if standing.coverage >= ENOUGH and not standing.reason:
        return False, f"{standing.coverage:.0%} of the calls are kept already."
    if standing.calls >= growth * standing.then:
        return True, f"The teacher has answered {standing.calls:,} calls, {standing.then:,} the last time."
    if standing.coverage and standing.handed_back >= HARD:
        return True, f"{standing.handed_back} calls were handed back since."
    more = max(1, math.ceil(growth * standing.then) - standing.calls)
    return False, f"{standing.calls - standing.then:,} calls have come since; {more:,} more make a retraining due."
