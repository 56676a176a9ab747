"""Why a task's specialist is to be made again, from when it is noticed until one is certified; and what stays true of
the task's calls after that."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace

from ..store.history import Event
from ..workspace import Workspace


@dataclass(frozen=True, slots=True)
class Reason:
    """why: a sentence. since: when what it tells of began, seconds since 1970; held-out calls are taken from there.

    learn_since: what came before is not learnt from either, for its answers are of another teacher. opened: when it was
    noticed. closed: a specialist was certified on calls since; the times hold on.
    """

    why: str
    since: float
    learn_since: float = 0.0
    opened: float = field(default_factory=time.time)
    closed: bool = False


def reason_of(workspace: Workspace, task_id: str) -> Reason | None:
    """The task's open reason."""
    found = last_reason(workspace, task_id)
    return None if found is None or found.closed else found


def last_reason(workspace: Workspace, task_id: str) -> Reason | None:
    """The last reason, open or closed: since when the task's calls are what they are."""
    record = workspace.result(f"reason:{task_id}")
    return Reason(**record) if record else None


def open_reason(workspace: Workspace, task_id: str, reason: Reason) -> None:
    """Open one. What began later counts: what was true before it is not true any more."""
    if (before := last_reason(workspace, task_id)) is not None:
        why = before.why if not before.closed and before.since >= reason.since else reason.why
        since, learn_since = max(before.since, reason.since), max(before.learn_since, reason.learn_since)
        reason = replace(reason, why=why, since=since, learn_since=learn_since)
    with workspace.change():
        workspace.save_result(f"reason:{task_id}", asdict(reason))
        workspace.note(Event("retraining due", reason.why, task_id))


def close_reason(workspace: Workspace, task_id: str, made: float | None) -> None:
    """A specialist is certified on calls since; `made`: when its data set was. What was noticed later stays open."""
    reason = reason_of(workspace, task_id)
    if reason is not None and made is not None and reason.opened <= made:
        workspace.save_result(f"reason:{task_id}", asdict(replace(reason, closed=True)))
