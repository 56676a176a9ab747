"""Which specialist answers a task: promoted, retired, rolled back. Running agents follow within a second."""

from __future__ import annotations

from dataclasses import replace

from .errors import BadInput
from .specialist import Route, Specialist
from .workspace import Workspace


def promote(workspace: Workspace, specialist: Specialist) -> None:
    """Let a specialist answer its task on the terms that were certified for it, in place of the one that does now.

    Where it is in Ollama, it is there and in memory before the first call goes to it. Raises BadInput where no
    threshold was certified for it, EngineError where Ollama does not answer or is another version than was certified.
    """
    from .serve import bring_back, unload

    record = workspace.result(f"route:{specialist.id}")
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
    workspace.save_specialist(replace(specialist, state="live"))
    workspace.save_route(terms)
    publish(workspace)
    for other in older:
        unload(other)


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

    Raises BadInput where it does not answer its task.
    """
    if specialist.state != "live":
        raise BadInput(f"{specialist.name} does not answer now.", "`protege status` tells who does.")
    retire(workspace, specialist)
    older = [s for s in workspace.specialists(task_id=specialist.task_id) if s.version < specialist.version]
    for predecessor in sorted(older, key=lambda s: -s.version):
        if workspace.result(f"route:{predecessor.id}") is not None and not taken_out(workspace, predecessor):
            promote(workspace, predecessor)
            return predecessor
    return None


def _taken_out(specialist: Specialist) -> str:
    return f"taken-out:{specialist.id}"


def publish(workspace: Workspace) -> None:
    """Tell running agents which specialists may answer now."""
    from .route import publish as write

    write(workspace)
