"""Why a task's specialist is to be made again.

A reason is open from when it is noticed until a specialist is certified. The times that it tells of stay true of the
task's calls after that.
"""

from __future__ import annotations

from dataclasses import replace

from ..store.records import Event, Reason
from ..workspace import Workspace

__all__ = ["Reason", "close_reason", "last_reason", "open_reason", "reason_of"]


def reason_of(workspace: Workspace, task_id: str) -> Reason | None:
    """The task's open reason."""
    reason = last_reason(workspace, task_id)
    return None if reason is None or reason.closed else reason


def last_reason(workspace: Workspace, task_id: str) -> Reason | None:
    """The last reason, open or closed: since when the task's calls are what they are."""
    return workspace.watched.reason(task_id)


def open_reason(workspace: Workspace, task_id: str, reason: Reason) -> None:
    """Open a reason. Of two, the later beginning counts: what was true before it is not true any more."""
    if (before := last_reason(workspace, task_id)) is not None:
        why = before.why if not before.closed and before.since >= reason.since else reason.why
        since, learn_since = max(before.since, reason.since), max(before.learn_since, reason.learn_since)
        reason = replace(reason, why=why, since=since, learn_since=learn_since)
    with workspace.change():
        workspace.watched.save_reason(task_id, reason)
        workspace.history.note(Event("retraining due", reason.why, task_id))


def close_reason(workspace: Workspace, task_id: str, made: float | None) -> None:
    """Close the reason, as a specialist is certified on calls since. A reason noticed later stays open.

    made: when the specialist's data set was made, seconds since 1970.
    """
    reason = reason_of(workspace, task_id)
    if reason is not None and made is not None and reason.opened <= made:
        workspace.watched.save_reason(task_id, replace(reason, closed=True))
