"""What people decide about who answers: policies, the pin, and the switch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .errors import BadInput
from .lifecycle import promote, terms_of
from .policy import TEACHER, TaskPolicy, set_policy
from .specialist import Specialist
from .task import Task
from .workspace import Workspace


def set_terms(workspace: Workspace, task: Task | None, changes: Mapping[str, Any]) -> TaskPolicy:
    """As `set_policy`, checked against what there is; a specialist that is pinned answers from now on.

    Raises BadInput where the grader is none, or the pinned specialist is not the task's or has no certified threshold.
    """
    pinned = _pinned(workspace, task, changes.get("pin"))
    if changes.get("grader"):
        from .evaluate import grader_for

        grader_for(task or Task("", "", "text"), changes["grader"])
    if pinned is not None and pinned.state != "live":
        promote(workspace, pinned, why="pinned by its policy")
    return set_policy(workspace, task, changes)


def switch(workspace: Workspace, task: Task | None, *, off: bool) -> None:
    """Let the teacher answer a task (None: all), or specialists again. Running agents follow within a second."""
    set_policy(workspace, task, {"off": off})


def _pinned(workspace: Workspace, task: Task | None, name: str | None) -> Specialist | None:
    if not name or name == TEACHER:
        return None
    if task is None:
        raise BadInput("A specialist can be pinned for its own task alone.", "protege policy TASK --pin NAME")
    mine = workspace.specialists(task_id=task.id)
    found = next((s for s in mine if name in (s.id, s.name)), None)
    if found is None:
        raise BadInput(f"{task.name} has no specialist {name!r}.", "`protege status` lists them.")
    terms_of(workspace, found)
    return found
