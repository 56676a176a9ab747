"""A specialist in the engine that it belongs to: opened, brought back, described, taken out."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from ..common.trust import check_trusted
from ..errors import ProtegeError
from ..specialist import Specialist
from .engine import Engine
from .kind import TemplateCheck
from .registry import engine_kind
from .replicas import Replicas

if TYPE_CHECKING:
    from ..workspace import Workspace

log = logging.getLogger("protege.serve")


def open_engine(workspace: Workspace, specialist: Specialist) -> Engine:
    """The engine that the specialist belongs to, for the caller to close.

    Raises WorkspaceError if the home is not known as this user's, since an engine loads what lies there; else as
    `EngineKind.open`.
    """
    check_trusted(workspace.home)
    return engine_kind(specialist.engine).open(workspace, specialist)


def open_engines(workspace: Workspace, specialist: Specialist) -> Replicas:
    """As many of them as this machine answers most calls with. Raises as `open_engine`."""
    check_trusted(workspace.home)
    return engine_kind(specialist.engine).open_many(workspace, specialist)


def check_room(workspace: Workspace, specialists: Sequence[Specialist]) -> None:
    """Raise ResourceError if those of one kind of engine take more memory together than is free."""
    for name in {specialist.engine for specialist in specialists}:
        engine_kind(name).check_room(workspace, [s for s in specialists if s.engine == name])


def bring_back(workspace: Workspace, specialist: Specialist, calibrated: str, *, load: bool = True) -> Specialist:
    """Make sure that the specialist can answer as it was certified, and is in memory. See `EngineKind.bring_back`."""
    return engine_kind(specialist.engine).bring_back(workspace, specialist, calibrated, load=load)


def describe(workspace: Workspace, specialist: Specialist) -> Specialist:
    """Write its report into the engine's own metadata, if the engine has any. Raises EngineError."""
    return engine_kind(specialist.engine).describe(workspace, specialist)


def template(specialist: Specialist) -> TemplateCheck:
    """Whether the engine's own chat template, where it has one, writes the prompts of tuning."""
    return engine_kind(specialist.engine).template(specialist)


def unload(specialist: Specialist) -> None:
    """Take it out of its engine's memory. Never raises: an engine that is gone, or cannot do it, is logged."""
    if specialist.engine in specialist.placed:
        with _going_on(specialist):
            engine_kind(specialist.engine).unload(specialist)


def remove(workspace: Workspace, specialist: Specialist) -> Specialist:
    """Delete what its engine has of it, if the engine is there; the specialist, as it is placed then."""
    name = specialist.engine
    if name in specialist.placed and _removed(workspace, specialist, name):
        return specialist.taken_from(name)
    return specialist


def prune(workspace: Workspace, task_id: str, keep: int, spared: Collection[str]) -> list[str]:
    """Delete a task's older models from engines, all but the newest `keep` and those spared (ids).

    Returns the specialists' names. Where an engine does not answer, they are tried again the next time.
    """
    placed = [s for s in workspace.specialists(task_id=task_id) if s.placed]
    newest = sorted(placed, key=lambda s: -s.version)
    removed: list[str] = []
    for specialist in newest[max(keep, 0) :]:
        if specialist.id in spared:
            continue
        left = specialist
        for name in specialist.placed:
            if _removed(workspace, specialist, name):
                left = left.taken_from(name)
        if left != specialist:
            workspace.save_specialist(left)
            removed.append(specialist.name)
    return removed


def _removed(workspace: Workspace, specialist: Specialist, engine: str) -> bool:
    with _going_on(specialist):
        return engine_kind(engine).remove(workspace, specialist)
    return False


@contextlib.contextmanager
def _going_on(specialist: Specialist) -> Iterator[None]:
    """Log what an engine cannot do and go on: the package that brought it may have been uninstalled.

    A change of who answers that is written already must not end half way.
    """
    try:
        yield
    except ProtegeError as error:
        log.warning("The engine of %s does not let it go: %s", specialist.name, error)
