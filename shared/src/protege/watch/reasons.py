"""Why a task's specialist is to be made again, from when it is noticed until one is certified."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace

from ..history import Event
from ..workspace import Workspace


@dataclass(frozen=True, slots=True)
class Reason:
    """why: a sentence. since: when what it tells of began, seconds since 1970; the held-out calls are taken from there.

    only: what came before is not learnt from either, for its answers are of another teacher. opened: when it was
    noticed.
    """

    why: str
    since: float
    only: bool = False
    opened: float = field(default_factory=time.time)


def reason_of(workspace: Workspace, task_id: str) -> Reason | None:
    """The task's open reason."""
    record = workspace.result(f"reason:{task_id}")
    return Reason(**record) if record else None


def open_reason(workspace: Workspace, task_id: str, reason: Reason) -> None:
    """Open one. Of two the later beginning counts: what was true before it is not true any more."""
    before = reason_of(workspace, task_id)
    if before is not None and before.since >= reason.since:
        reason = replace(before, opened=reason.opened)
    elif before is not None and before.only:
        reason = replace(reason, only=True)
    with workspace.change():
        workspace.save_result(f"reason:{task_id}", asdict(reason))
        workspace.note(Event("retraining due", reason.why, task_id))


def clear_reason(workspace: Workspace, task_id: str) -> None:
    """A specialist is certified on calls since."""
    workspace.save_result(f"reason:{task_id}", None)
