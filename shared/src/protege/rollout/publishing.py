"""Writing routes.json from the workspace."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ..common.files import write_private
from ..common.switch import give, of_specialist, take
from ..common.trust import is_trusted
from ..errors import ProtegeError
from ..route.sealing import parted, seal, unseal
from ..route.table import to_bytes
from ..specialist import Route, Specialist
from ..workspace import Workspace
from .policy import TaskPolicy, policy_of

log = logging.getLogger("protege.lifecycle")


def publish(workspace: Workspace) -> Path:
    """Tell running agents which routes are on; they follow within a second. An unchanged file is left as it is.

    On are those of specialists that answer (a share: canary, first; all: live), as far as their tasks' policies let
    them. All tasks are written, so that a call of a task without a route is not taken for the nearest that has one.

    Routes are signed with this user's key. Where that cannot be, or the home is not known as this user's, what is taken
    away is written all the same, agents leave all calls to the teacher, and that is logged.
    """
    path = workspace.home / "routes.json"
    with workspace.turn:  # of two that publish at once, the later one writes what both have changed
        routes = workspace.routes()
        answering = [s for s in workspace.specialists() if s.answers and s.id in routes]
        allowed = [(in_force(routes[s.id], s, policy_of(workspace, s.task_id)), s) for s in answering]
        on = sorted(((route, s) for route, s in allowed if route), key=lambda pair: pair[1].state)  # "canary" < "live"
        _write(path, to_bytes(workspace.tasks(), on), answers=bool(on))
    return path


def _write(path: Path, document: bytes, *, answers: bool) -> None:
    there, readable = (path.read_bytes(), path.stat().st_mode) if path.exists() else (b"", 0)
    same = parted(there)[0] == document
    if same and _is_believed(path.parent, there):
        return
    body = _signed(path.parent, document) if answers else document
    if not same or body != document:
        write_private(path, body, readable=readable)  # agents of another user may have been given it to read


def _signed(home: Path, document: bytes) -> bytes:
    """With this user's signature; without one where there can be none, which is logged."""
    try:
        return seal(home, document)
    except ProtegeError as error:
        log.warning("The routes of %s are not signed, so that the teacher answers: %s", home, error)
        return document


def _is_believed(home: Path, body: bytes) -> bool:
    try:
        unseal(home, body)
    except ProtegeError:
        return False
    return True


def check_signing(workspace: Workspace) -> None:
    """Raise WorkspaceError if this user's key cannot be used, so that nobody can be let answer.

    In a home that is not known as this user's all can be decided, and agents follow once it is trusted.
    """
    if is_trusted(workspace.home):
        seal(workspace.home, b"{}")


def keep_moved(workspace: Workspace, before: Specialist, after: Specialist) -> None:
    """Store where an engine has a specialist now, and tell agents; unless somebody decided otherwise meanwhile."""
    with workspace.turn:
        stored = workspace.specialist(before.id)
        if stored is not None and stored.answers and stored.placed == before.placed:
            workspace.save_specialist(replace(stored, placed=after.placed))
            publish(workspace)


@contextlib.contextmanager
def withheld(workspace: Workspace, specialists: Iterable[Specialist]) -> Iterator[None]:
    """Take specialists' answers away before the block changes who answers, and give them back after it.

    Within the block the store is changed and then routes.json written: an agent never follows a specialist that the
    store has ended already. If the block is not finished, they stay away until the next `settle`.
    """
    keys = [of_specialist(specialist.id) for specialist in specialists if specialist.answers]
    for key in keys:
        take(workspace.home, key, "held")
    yield
    for key in keys:
        give(workspace.home, key, ("held",))


def in_force(route: Route, specialist: Specialist, policy: TaskPolicy) -> Route | None:
    """The route as the task's policy lets it be; None if the teacher is to answer.

    The teacher answers if the policy switches the task off or pins another; and until the next `improve` if the policy
    asks for a promise that was not certified: a smaller ε or δ, one of all calls, or another grader.
    """
    pinned = policy.pin in ("", specialist.id, specialist.name)
    if policy.off or not pinned or policy.grader != route.grader:
        return None
    if policy.promise == "kept" and route.epsilon_all is not None:
        return None
    if policy.of_all is not None and (route.epsilon_all is None or route.epsilon_all > policy.of_all):
        return None
    if route.proof == "owed" or route.epsilon > (policy.epsilon or 1.0) or route.delta > (policy.delta or 1.0):
        return None
    return route if policy.latency_ms is None else replace(route, timeout_s=policy.latency_ms / 1000)
