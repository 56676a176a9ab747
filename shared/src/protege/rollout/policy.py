"""What the user allows for a task: on what terms a specialist may answer, and whether any may.

Kept in the workspace, for one task or, under EVERY, for all; a task's own word goes before the one for all. A change
takes effect in running agents within a second and does not wait for a loop that is at work.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..errors import BadInput
from ..evaluate.graders import Grader
from ..task import Task
from ..workspace import Workspace

EVERY = "*"
TEACHER = "teacher"


@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """None, or empty: as the loop's settings say.

    epsilon, delta: P(disagreement among kept > epsilon) ≤ delta. latency_ms: a specialist that has not answered by then
    is given up for this call; one whose test answers take longer at the 95th percentile gets no route. budget_usd: what
    a day's audits may cost in answers of the teacher; they become fewer where it does not suffice. audit: the share of
    calls that are audited. pin: the specialist's name that answers, or "teacher"; the loop changes nothing then. off:
    the teacher answers, until it is switched on again. grader: what "the same answer" means (`evaluate.grader_for`).
    """

    epsilon: float | None = None
    delta: float | None = None
    latency_ms: float | None = None
    budget_usd: float | None = None
    audit: float | None = None
    pin: str = ""
    off: bool = False
    grader: str = ""

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta"):
            if (value := getattr(self, name)) is not None and not 0 < value < 1:
                raise BadInput(f"{name} is {value}.", "It is a probability between 0 and 1, such as 0.05.")
        if self.audit is not None and not 0 < self.audit <= 1:
            raise BadInput(f"audit is {self.audit}.", "It is a share above 0, up to 1, such as 0.02: audits never end.")
        for name in ("latency_ms", "budget_usd"):
            if (value := getattr(self, name)) is not None and not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} is {value}.", "It is a number above 0.")

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def policy_of(workspace: Workspace, task_id: str) -> TaskPolicy:
    """The task's policy; where it says nothing, the one for every task. Off is off, whichever says so."""
    every, own = stated(workspace, EVERY), stated(workspace, task_id)
    off = bool(every.get("off") or own.get("off"))
    return replace(TaskPolicy(**{**every, **own}), off=off)


def stated(workspace: Workspace, task_id: str) -> dict[str, Any]:
    return workspace.result(f"policy:{task_id}") or {}


def grader_of(workspace: Workspace, task: Task) -> Grader:
    """What counts as the same answer: by the task's policy, else by its kind of output."""
    from ..evaluate.graders import grader_for

    return grader_for(task, policy_of(workspace, task.id).grader)
