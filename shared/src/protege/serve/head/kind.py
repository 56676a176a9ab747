"""Heads as a kind of engine: there is no server, each process that asks reads their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.digest import sha256_of
from ...embedding import embedder_named
from ...errors import BadInput, BaseModelError, MissingDependency
from ...specialist import ServeAs, Specialist
from ..kind import EngineKind

if TYPE_CHECKING:
    from ...common.progress import Progress
    from ...embedding import Embedder
    from ...workspace import Workspace
    from .engine import HeadEngine

NAME = "head"
READY_S = 60.0
"""How long an embedder may take for its first text, which loads its model. No agent waits for it."""


class HeadKind(EngineKind):
    """It serves heads and nothing else, wherever the home folder can be read."""

    name = NAME
    title = "this process"

    def available(self, serve_as: ServeAs) -> bool:
        """For heads always: they need no server."""
        return serve_as == "head"

    def check(self, serve_as: ServeAs) -> None:
        """It must be asked for heads."""
        if serve_as != "head":
            raise BadInput("The engine `head` serves heads alone.", "Add --kind head, or leave out --engine head.")

    def place(
        self, workspace: Workspace, specialist: Specialist, *, keep_alive: str, progress: Progress | None = None
    ) -> Specialist:
        """The digest of its file, by which agents know it, and where its embedder is, if it has one.

        Raises BaseModelError if the file is not the one that was tuned, BadInput, MissingDependency.
        """
        file = specialist.files.get("head")
        if file is None:
            raise BaseModelError(f"{specialist.name} is no head.", "Tune one: `protege improve --kind head`.")
        path, digest = workspace.specialist_folder(specialist) / file, specialist.digests["head"]
        if not path.is_file() or sha256_of(path) != digest:
            raise BaseModelError(f"{specialist.name}'s {file} is not the file that was tuned.", "`protege improve`.")
        by = _embedder_named_in(path)
        return specialist.placed_in(NAME, {"sha256": digest} | ({"address": by.address} if by else {}))

    def open(self, workspace: Workspace, specialist: Specialist) -> HeadEngine:
        """In this process. Raises NotServed, MissingDependency."""
        engine = _engine(workspace.home)
        engine.fingerprint(specialist)
        return engine

    def access(self, home: Path, address: str) -> HeadAccess:
        """In the agent's process."""
        return HeadAccess(home, address)

    def facts(self, specialists: Sequence[Specialist]) -> Mapping[str, Mapping[str, Any]]:
        """The first digits of the file's digest."""
        return {specialist.id: {"sha256": str(specialist.placed[NAME]["sha256"])[:12]} for specialist in specialists}


class HeadAccess:
    """An agent's way to the heads of its home folder."""

    def __init__(self, home: Path, address: str) -> None:
        self._home = home
        self._address = address

    def connect(self) -> HeadEngine:
        """An engine of this process, once its embedder has embedded a text. Raises MissingDependency, EngineError."""
        engine = _engine(self._home)
        if self._address:
            embedder_named(self._address).embed("ready?", timeout_s=READY_S)
        return engine

    def start(self) -> None:
        """Nothing: there is no server."""


def _embedder_named_in(path: Path) -> Embedder | None:
    """The embedder that the head in a file was taught with. Raises BaseModelError."""
    from ...heads import read  # it needs numpy, and agents load this module

    try:
        taught_by = read(path.read_bytes()).taught_by
    except (OSError, ValueError) as error:
        raise BaseModelError(f"{path} cannot be used: {error}.", "`protege improve --retrain`.") from None
    if taught_by is None:
        return None
    name, identity = taught_by
    by = embedder_named(name)
    if by.identity != identity:
        fact = f"{path} was taught with another embedding model than {name} is now."
        raise BaseModelError(fact, "`protege improve --retrain` teaches it anew.")
    return by


def _engine(home: Path) -> HeadEngine:
    try:
        # Here, since agents load this module: numpy takes 100 ms to import, and only those with a head need it.
        from .engine import HeadEngine
    except ImportError as error:
        raise MissingDependency(str(error.name), "serve") from None
    return HeadEngine(home)
