"""Which specialist answers a task: promoted, retired, rolled back. Running agents follow within a second."""

from __future__ import annotations

import logging
from dataclasses import replace

from .errors import BadInput, ProtegeError
from .specialist import Route, Specialist
from .workspace import Workspace

log = logging.getLogger("protege.lifecycle")


def promote(workspace: Workspace, specialist: Specialist, terms: Route | None = None) -> None:
    """Let a specialist answer its task, in place of the one that does now: on these terms, or those last certified.

    Where it is in Ollama, it is there and in memory before the first call goes to it. Raises BadInput where no
    threshold was certified for it, EngineError where Ollama does not answer or is another version than was certified;
    nothing is changed then.
    """
    from .serve import bring_back, unload

    if terms is None:
        record = workspace.result(_terms(specialist))
        if record is None:
            raise BadInput(
                f"No threshold is certified for {specialist.name}, so it may not answer.",
                "`protege improve` certifies one once there are calls enough.",
            )
        terms = Route.from_record(record)
    specialist = bring_back(workspace, specialist, terms.fingerprint)
    mine = workspace.specialists(task_id=specialist.task_id)
    older = [s for s in mine if s.state == "live" and s.id != specialist.id]
    for other in older:
        workspace.save_specialist(replace(other, state="retired"))
    workspace.save_result(_taken_out(specialist), False)
    save_terms(workspace, specialist, terms)
    workspace.save_specialist(replace(specialist, state="live"))
    workspace.save_route(terms)
    publish(workspace)
    for other in older:
        unload(other)


def save_terms(workspace: Workspace, specialist: Specialist, terms: Route) -> None:
    """Keep what was certified for it, for when it is promoted."""
    workspace.save_result(_terms(specialist), terms.to_record())


def retire(workspace: Workspace, specialist: Specialist) -> None:
    """Take a specialist out of service; where it was live, the teacher answers its task from the next call on.

    `improve` does not let it answer again; `promote` does.
    """
    workspace.save_result(_taken_out(specialist), True)
    withdraw(workspace, specialist)


def withdraw(workspace: Workspace, specialist: Specialist) -> None:
    """As `retire`, for now: `improve` may let it answer again."""
    from .serve import unload

    if specialist.state == "live":
        workspace.drop_route(specialist.task_id)
    workspace.save_specialist(replace(specialist, state="retired"))
    publish(workspace)
    unload(specialist)


def taken_out(workspace: Workspace, specialist: Specialist) -> bool:
    """Whether a person took it out of service."""
    return bool(workspace.result(_taken_out(specialist)))


def rollback(workspace: Workspace, specialist: Specialist) -> Specialist | None:
    """Give the task back to the specialist's predecessor, which is returned, or to the teacher where there is none.

    A predecessor that cannot be had (its Ollama is away, or another version) is passed over. Raises BadInput where the
    specialist does not answer its task.
    """
    if specialist.state != "live":
        raise BadInput(f"{specialist.name} does not answer now.", "`protege status` tells who does.")
    for predecessor in predecessors(workspace, specialist):
        try:
            promote(workspace, predecessor)
        except ProtegeError as error:
            log.warning("%s is passed over: %s", predecessor.name, error)
            continue
        workspace.save_result(_taken_out(specialist), True)
        return predecessor
    retire(workspace, specialist)
    return None


def predecessors(workspace: Workspace, specialist: Specialist) -> list[Specialist]:
    """The task's older specialists that a rollback may bring back, newest first."""
    older = [s for s in workspace.specialists(task_id=specialist.task_id) if s.version < specialist.version]
    return [
        s
        for s in sorted(older, key=lambda s: -s.version)
        if workspace.result(_terms(s)) is not None and not taken_out(workspace, s)
    ]


def prune(workspace: Workspace, task_id: str, keep: int) -> list[str]:
    """Remove a task's models from Ollama, all but the newest `keep`, the live one and its predecessor.

    Returns the names of those that were removed; never touches what this workspace did not make.
    """
    from .serve import prune

    live = [s for s in workspace.specialists(task_id=task_id) if s.state == "live"]
    spared = {s.id for one in live for s in (one, *predecessors(workspace, one)[:1])}
    return prune(workspace, task_id, keep, spared)


def _terms(specialist: Specialist) -> str:
    return f"route:{specialist.id}"


def _taken_out(specialist: Specialist) -> str:
    return f"taken-out:{specialist.id}"


def publish(workspace: Workspace) -> None:
    """Tell running agents which specialists may answer now."""
    from .route import publish as write

    write(workspace)
