"""What people decide about who answers: policies, the pin, and the switch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from ..common.prices import cost_usd, price_source
from ..common.switch import ALL, give, mark_of, of_specialist, of_task, switched, take
from ..errors import BadInput
from ..evaluate import graders
from ..specialist import Specialist
from ..store.records import Event
from ..task import Task
from ..workspace import Workspace
from .lifecycle import promote, retire, route_of
from .policy import EVERY, TEACHER, TaskPolicy, policy_of
from .publishing import publish, withheld

TERMS = frozenset({"epsilon", "delta", "promise", "epsilon_all", "pin", "grader", "off"})
"""What a policy may take an answer away by."""


def decide(workspace: Workspace, task: Task | None, changes: Mapping[str, Any]) -> TaskPolicy:
    """As `set_policy`, checked against what there is; a specialist that is pinned answers from now on.

    Raises BadInput if there is no such grader or the price list does not know the model of `price_as`, and if the
    pinned specialist is not the task's or has no certified threshold.
    """
    pinned = _pinned(workspace, task, changes.get("pin"))
    if changes.get("grader"):
        graders.grader_for(task or Task("", "", "text"), changes["grader"])
    if changes.get("price_as"):
        _check_price(changes["price_as"])
    if pinned is not None and pinned.state != "live":
        promote(workspace, pinned, why="pinned by its policy")
    return set_policy(workspace, task, changes)


def switch(workspace: Workspace, task: Task | None, *, off: bool) -> None:
    """Let the teacher answer a task (None: all), or specialists again. Running agents follow within a second.

    Off holds for agents even if this raises, because the store is locked, say, or the disk full.
    """
    set_policy(workspace, task, {"off": off})


def switch_of(task: Task | None) -> str:
    """The key of a task's switch, or of that for all."""
    return ALL if task is None else of_task(task.id)


def settle(workspace: Workspace) -> None:
    """End what others began and could not end: the store says what the switch says, and routes.json what both say."""
    with workspace.turn:
        marks = switched(workspace.home)
        for task in (None, *workspace.tasks()):
            policy = workspace.state.policy(task.id if task else EVERY)
            if mark_of(switch_of(task)) in marks and not policy.get("off"):
                set_policy(workspace, task, {"off": True})
        for specialist in workspace.specialists():
            how = marks.get(mark_of(of_specialist(specialist.id)))
            if how == "ended" and specialist.state in ("shadow", "canary", "live"):
                retire(workspace, specialist, "taken out while the store could not be told")
        publish(workspace)
        for specialist in workspace.specialists():
            if mark_of(of_specialist(specialist.id)) in marks:
                give(workspace.home, of_specialist(specialist.id))


def _pinned(workspace: Workspace, task: Task | None, name: str | None) -> Specialist | None:
    if not name or name == TEACHER:
        return None
    if task is None:
        raise BadInput("A specialist can be pinned for its own task alone.", "protege policy TASK --pin NAME")
    mine = workspace.specialists(task_id=task.id)
    pinned = next((s for s in mine if name in (s.id, s.name)), None)
    if pinned is None:
        raise BadInput(f"{task.name} has no specialist {name!r}.", "`protege status` lists them.")
    route_of(workspace, pinned)
    return pinned


def _check_price(model: str) -> None:
    if cost_usd(model, 1, 1) is None:
        raise BadInput(
            f"The price of {model!r} is unknown: {price_source()} does not list it.",
            "Name a listed model, such as gpt-4.1 or anthropic/claude-sonnet-4-5, or update the list: "
            "pip install --upgrade genai-prices",
        )


def set_policy(workspace: Workspace, task: Task | None, changes: Mapping[str, Any]) -> TaskPolicy:
    """Change what the policy of a task (None: of every task) says, and tell running agents. Returns what holds now.

    A value None takes back what was said. Raises BadInput for an impossible value or an unknown field.
    """
    if unknown := changes.keys() - {field.name for field in fields(TaskPolicy)}:
        raise BadInput(f"A policy has no {sorted(unknown)[0]!r}.", "It has epsilon, delta, latency_ms, budget_usd, …")
    task_id = task.id if task else EVERY
    _check(changes)
    key = switch_of(task)
    if changes.get("off"):
        take(workspace.home, key)  # first: what follows may wait or fail
    with workspace.turn:
        said = {**workspace.state.policy(task_id), **changes}
        _check(said)
        if changes.get("off"):
            take(workspace.home, key)  # again: somebody may have switched on meanwhile
        concerned = workspace.specialists(task_id=task_id if task else None) if TERMS & changes.keys() else ()
        with withheld(workspace, concerned):
            with workspace.change():
                workspace.state.save_policy(task_id, said)
                for name, value in changes.items():
                    event = Event(_what(name, value), _why(name, value), "" if task is None else task_id)
                    workspace.history.note(event)
            publish(workspace)
        if "off" in changes and not changes["off"]:
            give(workspace.home, key)
    return policy_of(workspace, task_id)


def _check(said: Mapping[str, Any]) -> None:
    """Raise BadInput for a value that no policy can have."""
    replace(TaskPolicy(), **{name: value for name, value in said.items() if value is not None})


def _what(name: str, value: Any) -> str:
    return ("off" if value else "on") if name == "off" else "policy"


def _why(name: str, value: Any) -> str:
    if name == "off":
        return "The teacher answers." if value else "Specialists answer where they are certified."
    return f"{name} is {value}." if value is not None else f"{name}: what was said is taken back."
