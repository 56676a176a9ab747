"""Which engine a specialist belongs to, and what has to happen there before it may answer."""

from __future__ import annotations

from dataclasses import replace

from ..errors import EngineError
from ..ollama_api import Ollama
from ..progress import Progress
from ..specialist import Specialist
from ..workspace import Workspace
from . import ollama_models
from .embedded import EmbeddedEngine, serve
from .ollama import OllamaEngine, fingerprint
from .ollama_models import imported
from .replicas import Replicas, replicate


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


def bring_back(workspace: Workspace, specialist: Specialist, calibrated: str) -> Specialist:
    """Make sure that the specialist can answer on the terms that were certified: in Ollama, the same, and in memory.

    calibrated: the route's fingerprint. The embedded engine is started by those who ask it. Raises EngineError where
    Ollama does not answer, or is another version than it was calibrated on.
    """
    if specialist.engine == "embedded":
        return specialist
    where = imported(specialist)
    server = Ollama(where.address)
    try:
        version = server.version()
        if fingerprint(version, where) != calibrated:
            raise EngineError(
                f"Ollama is {version} now; the threshold of {specialist.name} was calibrated on another version.",
                "`protege improve` calibrates it again.",
            )
        return ollama_models.bring_back(workspace, specialist, _task_name(workspace, specialist), server)
    finally:
        server.close()


def describe(workspace: Workspace, specialist: Specialist) -> Specialist:
    """With its report in the model's own metadata, where it is in Ollama."""
    if specialist.engine == "embedded":
        return specialist
    server = Ollama(imported(specialist).address)
    try:
        return ollama_models.describe(workspace, specialist, _task_name(workspace, specialist), server)
    finally:
        server.close()


def unload(specialist: Specialist) -> None:
    """Out of its engine's memory; the embedded one sees to that itself. Never raises for what Ollama does not do."""
    if specialist.engine == "ollama" and specialist.imported:
        ollama_models.unload(specialist)


def prune(workspace: Workspace, task_id: str, keep: int) -> list[str]:
    """Remove what is old from Ollama: `ollama_models.prune`."""
    return ollama_models.prune(workspace, task_id, keep)


def _task_name(workspace: Workspace, specialist: Specialist) -> str:
    task = next((task for task in workspace.tasks() if task.id == specialist.task_id), None)
    return task.name if task else specialist.name.rpartition("-v")[0]
