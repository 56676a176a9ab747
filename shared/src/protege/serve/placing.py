"""Which engine a specialist belongs to, and what has to happen there before it may answer."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from ..common.progress import Progress
from ..errors import EngineError
from ..ollama.api import Ollama
from ..specialist import Specialist
from ..workspace import Workspace
from .embedded.engine import EmbeddedEngine, serve
from .embedded.replicas import Replicas, replicate
from .ollama import models as ollama_models
from .ollama.engine import OllamaEngine, fingerprint
from .ollama.models import imported, server_at


def place(
    workspace: Workspace,
    specialist: Specialist,
    server: Ollama | None,
    *,
    keep_alive: str = ollama_models.KEEP_ALIVE,
    progress: Progress | None = None,
) -> Specialist:
    """The specialist, belonging to this Ollama and ready there; without one, to the embedded engine.

    Raises as `ollama_models.bring`.
    """
    if server is None:
        return replace(specialist, engine="embedded")
    name = _task_name(workspace, specialist)
    return ollama_models.bring(workspace, specialist, name, server, keep_alive=keep_alive, progress=progress)


def open_engine(workspace: Workspace, specialist: Specialist) -> EmbeddedEngine | OllamaEngine:
    """The engine that the specialist belongs to, to be closed. Raises as `serve`, and where Ollama does not answer."""
    if specialist.engine == "embedded":
        return serve(workspace, [specialist])
    engine = OllamaEngine()
    engine.fingerprint(specialist)
    return engine


def open_engines(workspace: Workspace, specialist: Specialist) -> Replicas:
    """As many of them as this machine answers most calls with. An Ollama is one, and uses all cores for each answer."""
    if specialist.engine == "embedded":
        return replicate(workspace, specialist)
    return Replicas([open_engine(workspace, specialist)])


def bring_back(workspace: Workspace, specialist: Specialist, calibrated: str, *, load: bool = True) -> Specialist:
    """Make sure that the specialist can answer on the terms that were certified: in Ollama, the same, and in memory.

    calibrated: the route's fingerprint. load: also where it is there as it was. The embedded engine is started by those
    who ask it. Raises EngineError where Ollama does not answer, or is another version than it was calibrated on.
    """
    if specialist.engine == "embedded":
        return specialist
    where = imported(specialist)
    with contextlib.closing(server_at(where.address)) as server:
        version = server.version()
    if fingerprint(version, where) == calibrated:
        back = ollama_models.bring_back(workspace, specialist, _task_name(workspace, specialist), load=load)
        if fingerprint(version, imported(back)) == calibrated:
            return back
    raise EngineError(
        f"Ollama is {version} now; the threshold of {specialist.name} was calibrated on something else.",
        "`protege improve` calibrates it again.",
    )


def describe(workspace: Workspace, specialist: Specialist) -> Specialist:
    """With its report in the model's own metadata, where it is in Ollama."""
    if specialist.engine == "embedded":
        return specialist
    return ollama_models.describe(workspace, specialist, _task_name(workspace, specialist))


def unload(specialist: Specialist) -> None:
    """Out of its engine's memory; the embedded one sees to that itself. Never raises for what Ollama does not do."""
    if specialist.engine == "ollama" and specialist.imported:
        ollama_models.unload(specialist)


def remove(workspace: Workspace, specialist: Specialist) -> Specialist:
    """Out of Ollama's store, where it is there and Ollama answers."""
    if specialist.imported and ollama_models.remove(workspace, specialist):
        return replace(specialist, imported={})
    return specialist


def _task_name(workspace: Workspace, specialist: Specialist) -> str:
    task = workspace.task(specialist.task_id)
    return task.name if task else specialist.name.rpartition("-v")[0]
