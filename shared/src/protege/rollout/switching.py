"""What people decide about who answers: policies, the pin, and the switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ..errors import BadInput
from ..specialist import Specialist
from ..store.history import Event
from ..task import Task
from ..workspace import Workspace
from .lifecycle import promote, route_of
from .policy import EVERY, TEACHER, TaskPolicy, policy_of, stated


def set_terms(workspace: Workspace, task: Task | None, changes: Mapping[str, Any]) -> TaskPolicy:
    """As `set_policy`, checked against what there is; a specialist that is pinned answers from now on.

    Raises BadInput where the grader is none, or the pinned specialist is not the task's or has no certified threshold.
    """
    pinned = _pinned(workspace, task, changes.get("pin"))
    if changes.get("grader"):
        from ..evaluate.graders import grader_for

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
    route_of(workspace, found)
    return found


def set_policy(workspace: Workspace, task: Task | None, changes: Mapping[str, Any]) -> TaskPolicy:
    """Change what the policy of a task (None: of every task) says, and tell running agents. Returns what holds now.

    A value None takes back what was said. Raises BadInput where a value cannot be, or there is no such field.
    """
    from .publishing import publish

    if unknown := changes.keys() - {field.name for field in fields(TaskPolicy)}:
        raise BadInput(f"A policy has no {sorted(unknown)[0]!r}.", "It has epsilon, delta, latency_ms, budget_usd, …")
    task_id = task.id if task else EVERY
    with workspace.turn:
        said = {name: value for name, value in {**stated(workspace, task_id), **changes}.items() if value is not None}
        replace(TaskPolicy(), **said)
        with workspace.change():
            workspace.save_result(f"policy:{task_id}", said)
            for name, value in changes.items():
                workspace.note(Event(_what(name, value), _why(name, value), "" if task is None else task_id))
        publish(workspace)
    return policy_of(workspace, task_id)


def _what(name: str, value: Any) -> str:
    return ("off" if value else "on") if name == "off" else "policy"


def _why(name: str, value: Any) -> str:
    if name == "off":
        return "The teacher answers." if value else "Specialists answer where they are certified."
    return f"{name} is {value}." if value is not None else f"{name}: what was said is taken back."
