"""A kind of engine: how specialists get into engines of this kind, are opened there, found by agents, and taken out.

A package that brings one writes a subclass of `EngineKind` and names it in the entry-point group `protege.engines`.
`protege.testing.engines` has the tests that every kind passes. Importing a kind's module must stay light: agents do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from ..common.finding import Finding
from ..common.progress import Progress
from ..specialist import ServeAs, Specialist
from .engine import Engine
from .finer import as_f16
from .replicas import Replicas

if TYPE_CHECKING:
    from ..workspace import Workspace


class Access(Protocol):
    """An agent's way to one engine. It is used by one thread at a time, which may belong to a forked process."""

    def connect(self) -> Engine | None:
        """The running engine; None if none answers. Called again and again until it gives one."""
        ...

    def start(self) -> None:
        """Have the engine started in the background, if it is ours to start. Called if `connect` gave None."""
        ...


class Host(Protocol):
    """What a serving process runs for its workspace's agents: engines that do not run by themselves."""

    def serve(self, specialists: Sequence[Specialist]) -> None:
        """Serve these from now on, and let go of all others. Raises ProtegeError, and then goes on as before."""
        ...

    def mend(self) -> None:
        """Start again what died. Called every half second. Raises EngineError."""
        ...

    def addresses(self) -> Iterable[str]:
        """Where agents reach it, for people to read."""
        ...

    def close(self) -> None:
        """End what it runs; agents find it no more."""
        ...


class TemplateCheck(NamedTuple):
    """Whether the engine's own chat template writes the prompts of tuning."""

    said: Literal["same", "differs", "not told"] | None
    """None if the engine has no template of its own."""
    difference: str = ""
    """The first place where it differs, or why nothing was told."""


class EngineKind(ABC):
    """A kind of engine. One object a process stands for all engines of this kind; it is safe for many threads.

    `open` and `access` must be written. The other methods are those of an engine that takes specialists as they are
    and keeps nothing of them; a kind overrides what its engines do otherwise.
    """

    name: str
    """As it is registered, and as `Specialist.engine` names it."""

    title: str
    """For people to read: "Ollama"."""

    # Which kind serves a specialist

    def available(self, serve_as: ServeAs) -> bool:
        """Whether it may be chosen where the user named no engine. No: it is used only when it is asked for."""
        return False

    def check(self, serve_as: ServeAs) -> None:
        """Raise, before any work is done, whatever would stand in the way of placing a specialist.

        BadInput (it does not serve LoRA weights, say), MissingDependency, EngineError.
        """
        return None

    # The loop: into the engine, asked there, out of it

    def place(
        self, workspace: Workspace, specialist: Specialist, *, keep_alive: str, progress: Progress | None = None
    ) -> Specialist:
        """The specialist, belonging to this kind (`engine`) and ready to be opened.

        What is needed to find it again stands in its `placed[name]`, as JSON can hold it; "address" there is where
        agents reach the engine. keep_alive: how long it stays in memory after an answer: 30m, 1h, 0, -1 (for ever).
        Raises BaseModelError, ResourceError, EngineError.
        """
        return specialist.placed_in(self.name)

    def finer(self, workspace: Workspace, specialist: Specialist) -> Specialist | None:
        """The specialist, to be placed again with weights that are less rounded than those that it was placed with.

        None if there are none. Asked for where what is served is not what was tuned. Raises BaseModelError.
        """
        return as_f16(workspace, specialist)

    @abstractmethod
    def open(self, workspace: Workspace, specialist: Specialist) -> Engine:
        """An engine that serves it, for the caller to close. Raises BaseModelError, ResourceError, EngineError."""

    def open_many(self, workspace: Workspace, specialist: Specialist) -> Replicas:
        """As many engines as this machine answers most calls with. Raises as `open`."""
        return Replicas([self.open(workspace, specialist)])

    def check_room(self, workspace: Workspace, specialists: Sequence[Specialist]) -> None:
        """Raise ResourceError if these, all of this kind, take more memory together than is free."""
        return None

    def bring_back(
        self, workspace: Workspace, specialist: Specialist, calibrated: str, *, load: bool = True
    ) -> Specialist:
        """Make sure that it can answer as it was certified, and is in memory; the specialist, where it is now.

        calibrated: the fingerprint of its route. load: bring it into memory also where nothing was changed. Raises
        EngineError where the engine does not answer, or is another than it was calibrated on.
        """
        return specialist

    def describe(self, workspace: Workspace, specialist: Specialist) -> Specialist:
        """Write its report into the engine's own metadata; its fingerprint stays the same. Raises EngineError."""
        return specialist

    def template(self, specialist: Specialist) -> TemplateCheck:
        """Compare the engine's own chat template with that of tuning. Our prompts do not pass through it."""
        return TemplateCheck(None)

    def unload(self, specialist: Specialist) -> None:
        """Take it out of memory. Never raises for what the engine does not do."""
        return None

    def remove(self, workspace: Workspace, specialist: Specialist) -> bool:
        """Delete what `place` made; whether nothing is left of it. Never what this workspace did not make."""
        return True

    # Agents and the process that serves them

    @abstractmethod
    def access(self, home: Path, address: str) -> Access:
        """An agent's way to the engine. home: the workspace's folder. address: the specialist's `address`."""

    def host(self, workspace: Workspace) -> Host | None:
        """What the serving process runs for this kind; None for engines that run by themselves."""
        return None

    # What people are told

    def findings(self, home: Path) -> Iterable[Finding]:
        """What `protege doctor` tells of it. Changes nothing, never raises."""
        return ()

    def facts(self, specialists: Sequence[Specialist]) -> Mapping[str, Mapping[str, Any]]:
        """What the report tells of those that are placed here, by id: `placed[name]` and more, as JSON can hold it."""
        return {specialist.id: dict(specialist.placed[self.name]) for specialist in specialists}

    def in_words(self, facts: Mapping[str, Any]) -> list[str]:
        """One specialist's `facts`, a line each, as `protege status` prints them."""
        return [f"{name}: {value}" for name, value in facts.items()]
