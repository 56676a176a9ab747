"""What the user allows for a task: on what promise a specialist may answer, and whether any may.

Kept in the workspace for one task or, under EVERY, for all; a task's own policy goes before the one for all. A change
takes effect in running agents within a second and does not wait for a loop that is at work.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..errors import BadInput
from ..evaluate import graders
from ..store.state import EVERY as EVERY
from ..task import Task
from ..workspace import Workspace

if TYPE_CHECKING:
    from ..evaluate.graders import Grader

TEACHER = "teacher"
EPSILON_ALL = 0.05
BESIDE_ALL = 0.10
"""ε of the kept answers beside a promise of all calls, where the policy says none. At .05 it would imply the other."""


@dataclass(frozen=True, slots=True)
class TaskPolicy:
    """What is allowed for a task. A field that is None or empty leaves it to the loop's settings."""

    epsilon: float | None = None
    """With `delta`: P(disagreement among kept answers > epsilon) ≤ delta."""
    delta: float | None = None
    latency_ms: float | None = None
    """A specialist that has not answered by then is given up for this call; one whose test answers take longer at the
    95th percentile gets no route."""
    budget_usd: float | None = None
    """What a day's audits may cost in answers of the teacher. There are fewer audits if it does not suffice."""
    audit: float | None = None
    """The share of calls that is audited."""
    pin: str = ""
    """The name of the specialist that answers, or "teacher". The loop changes nothing then."""
    off: bool = False
    """The teacher answers until the task is switched on again."""
    grader: str = ""
    """What "the same answer" means (`evaluate.grader_for`)."""
    promise: Literal["", "kept", "all"] = ""
    """What is promised. "kept": at most epsilon of the kept answers disagree. "all": that, and at most epsilon_all of
    all calls are kept and disagree."""
    epsilon_all: float | None = None
    """For the promise "all"; EPSILON_ALL if it is None."""
    price_as: str = ""
    """The model whose list price stands for the teacher's, for calls whose own cost is unknown."""

    def __post_init__(self) -> None:
        for name in ("epsilon", "delta", "epsilon_all"):
            if (value := getattr(self, name)) is not None and not 0 < value < 1:
                raise BadInput(f"{name} is {value}.", "It is a probability between 0 and 1, such as 0.05.")
        if self.promise not in ("", "kept", "all"):
            raise BadInput(f"The promise is {self.promise!r}.", "It is kept, or all.")
        if self.audit is not None and not 0 < self.audit <= 1:
            raise BadInput(f"audit is {self.audit}.", "It is a share above 0, up to 1, such as 0.02: audits never end.")
        for name in ("latency_ms", "budget_usd"):
            if (value := getattr(self, name)) is not None and not (math.isfinite(value) and value > 0):
                raise BadInput(f"{name} is {value}.", "It is a number above 0.")

    @property
    def of_all(self) -> float | None:
        """The share of all calls that may be kept and disagree; None if the promise is of the kept alone."""
        return (self.epsilon_all or EPSILON_ALL) if self.promise == "all" else None

    def epsilon_of_kept(self, usual: float) -> float:
        """The share of kept answers that may disagree, where it is `usual` unless a policy says otherwise."""
        return self.epsilon or (BESIDE_ALL if self.promise == "all" else usual)

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def policy_of(workspace: Workspace, task_id: str) -> TaskPolicy:
    """The task's policy; what it leaves open is as the policy for every task. A task is off if either says so, and as
    long as something that they rest on is damaged (`State.in_doubt`)."""
    every, own = workspace.state.policy(EVERY), workspace.state.policy(task_id)
    off = bool(every.get("off") or own.get("off")) or workspace.state.in_doubt(task_id)
    return replace(TaskPolicy(**{**every, **own}), off=off)


def price_as_of(workspace: Workspace, task_id: str = EVERY) -> str | None:
    """The model whose list price stands for the teacher's in this task; None if its policy names none."""
    return policy_of(workspace, task_id).price_as or None


def fields_of(workspace: Workspace, task: Task) -> str:
    """The fields of JSON answers that alone count, by the grader that the task's policy names, with commas between:
    "*" for all that agents act on, empty for all."""
    grader = grader_of(workspace, task)
    return (",".join(grader.fields) or "*") if isinstance(grader, graders.DecisiveFields) else ""


def grader_of(workspace: Workspace, task: Task) -> Grader:
    """The grader that the task's policy names, else the one of its kind of output."""
    return graders.grader_for(task, policy_of(workspace, task.id).grader)
