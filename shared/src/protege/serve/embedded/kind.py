"""The embedded engine as a kind: run inside the loop, and by one process for all agents of a workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.finding import Finding
from ...common.signing import is_named
from ...common.trust import is_trusted
from ...errors import BadInput
from ...specialist import EMBEDDED, ServeAs, Specialist
from ..kind import EngineKind
from ..replicas import Replicas
from .engine import EmbeddedEngine, check_room, serve
from .hosting import EmbeddedHost
from .replicating import replicate
from .shared import RemoteEngine, connect, trouble
from .starting import start_in_background

if TYPE_CHECKING:
    from ...workspace import Workspace


class EmbeddedKind(EngineKind):
    """llama.cpp's server in child processes. It serves whatever has GGUF files, and needs nothing that runs already."""

    name = EMBEDDED
    title = "the embedded engine"

    def available(self, serve_as: ServeAs) -> bool:
        """Always but for heads: it is the last to be asked."""
        return serve_as != "head"

    def check(self, serve_as: ServeAs) -> None:
        """It must be asked for something that llama.cpp reads."""
        if serve_as == "head":
            remedy = "Leave out --engine: a head answers in the agent's process."
            raise BadInput("The embedded engine serves no heads.", remedy)

    def open(self, workspace: Workspace, specialist: Specialist) -> EmbeddedEngine:
        """A child process of this one. Raises as `serve`."""
        return serve(workspace, [specialist])

    def open_many(self, workspace: Workspace, specialist: Specialist) -> Replicas:
        """One a core, as far as memory allows. Raises as `serve`."""
        return replicate(workspace, specialist)

    def check_room(self, workspace: Workspace, specialists: Sequence[Specialist]) -> None:
        """By the sizes of their files."""
        check_room(workspace, specialists)

    def access(self, home: Path, address: str) -> EmbeddedAccess:
        """By the file engine.json in the home folder."""
        return EmbeddedAccess(home)

    def host(self, workspace: Workspace) -> EmbeddedHost:
        """The engine that engine.json leads agents to."""
        return EmbeddedHost(workspace)

    def findings(self, home: Path) -> Iterator[Finding]:
        """Whether a process serves this home."""
        if not (home / "engine.json").exists():
            yield Finding("engine", None, "not running", "")
        elif not (is_trusted(home) or is_named()):  # whoever wrote it would have us speak to whom they like
            yield Finding("engine", None, "not looked at: the home is not known as yours", "")
        elif (engine := connect(home)) is not None:
            engine.close()
            yield Finding("engine", True, "running, and known by its token")
        else:
            yield trouble(home)


class EmbeddedAccess:
    """An agent's way to the engine of a home folder, which it starts where none runs."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def connect(self) -> RemoteEngine | None:
        """The running engine; None if none answers within a second."""
        return connect(self._home)

    def start(self) -> None:
        """A process of its own, which ends with this one."""
        start_in_background(self._home)
