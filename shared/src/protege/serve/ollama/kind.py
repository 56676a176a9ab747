"""Ollama as a kind of engine: one merged model a specialist, in a server that its user runs."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.finding import Finding
from ...common.progress import Progress
from ...errors import BadInput, EngineError
from ...specialist import ServeAs, Specialist
from ..kind import EngineKind, TemplateCheck
from . import models
from .engine import OllamaEngine, fingerprint
from .server import asked_for, facts, find_ollama, findings, in_words
from .template import compare_template

if TYPE_CHECKING:
    from ...workspace import Workspace


class OllamaKind(EngineKind):
    """An Ollama: the one on loopback unasked, one elsewhere only where OLLAMA_HOST names it."""

    name = models.NAME
    title = "Ollama"

    def available(self, serve_as: ServeAs) -> bool:
        """Where one answers at once, for merged models. Raises BadInput if OLLAMA_HOST is no address."""
        if serve_as != "merged" or (server := find_ollama()) is None:
            return False
        server.close()
        return True

    def check(self, serve_as: ServeAs) -> None:
        """It must answer, tell log-probabilities, and be asked for merged models."""
        if serve_as == "head":
            raise BadInput("Ollama serves no heads.", "Leave out --engine: a head answers in the agent's process.")
        if serve_as == "lora":
            remedy = "Leave out --serve-as lora, or --engine ollama."
            raise BadInput("Ollama serves no LoRA weights over a base.", remedy)
        asked_for().close()

    def place(
        self, workspace: Workspace, specialist: Specialist, *, keep_alive: str, progress: Progress | None = None
    ) -> Specialist:
        """Imported where it is not there yet, loaded, and asked once. Raises as `models.bring` and `asked_for`."""
        with contextlib.closing(asked_for()) as server:
            return models.bring(workspace, specialist, server, keep_alive=keep_alive, progress=progress)

    def finer(self, workspace: Workspace, specialist: Specialist) -> Specialist | None:
        """As it was tuned, where it was quantised for Ollama; else as `as_f16`."""
        return models.as_tuned(specialist) or super().finer(workspace, specialist)

    def open(self, workspace: Workspace, specialist: Specialist) -> OllamaEngine:
        """Connections to where it was imported. An Ollama is one engine, and uses all cores for each answer."""
        engine = OllamaEngine()
        engine.fingerprint(specialist)
        return engine

    def bring_back(
        self, workspace: Workspace, specialist: Specialist, calibrated: str, *, load: bool = True
    ) -> Specialist:
        """Made anew of the same file where someone removed or changed it. Raises EngineError of another version."""
        where = models.imported(specialist)
        with contextlib.closing(models.server_at(where.address)) as server:
            version = server.version()
        if fingerprint(version, where) == calibrated:
            back = models.bring_back(workspace, specialist, load=load)
            if fingerprint(version, models.imported(back)) == calibrated:
                return back
        raise EngineError(
            f"Ollama is {version} now; the threshold of {specialist.name} was calibrated on something else.",
            "`protege improve` calibrates it again.",
        )

    def describe(self, workspace: Workspace, specialist: Specialist) -> Specialist:
        """In the licence's text: Ollama keeps no other text of ours with a model."""
        return models.describe(workspace, specialist)

    def template(self, specialist: Specialist) -> TemplateCheck:
        """The one that Ollama took from the GGUF, which others who ask the model depend on."""
        return compare_template(specialist)

    def unload(self, specialist: Specialist) -> None:
        """Out of the server's memory; no matter where nobody answers."""
        models.unload(specialist)

    def remove(self, workspace: Workspace, specialist: Specialist) -> bool:
        """Out of the server's store. False if it does not answer, or the model is not this workspace's."""
        return models.remove(workspace, specialist)

    def access(self, home: Path, address: str) -> OllamaAccess:
        """Straight to the server."""
        return OllamaAccess(address)

    def findings(self, home: Path) -> Iterable[Finding]:
        """Of the server that would be used."""
        return findings()

    def facts(self, specialists: Sequence[Specialist]) -> Mapping[str, Mapping[str, Any]]:
        """With their state, memory and provenance."""
        return facts(specialists)

    def in_words(self, facts: Mapping[str, Any]) -> list[str]:
        """The model, its state and memory, and what its metadata says."""
        return in_words(facts)


class OllamaAccess:
    """An agent's way to an Ollama, which only its user starts."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._engines: dict[int, OllamaEngine] = {}

    def connect(self) -> OllamaEngine | None:
        """The same engine each time, one a process: its connections and its turns are this program's."""
        engine = self._engines.setdefault(os.getpid(), OllamaEngine())
        return engine if engine.answers(self._address) else None

    def start(self) -> None:
        """Nothing: it is the user's to start."""
