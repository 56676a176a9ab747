"""A way to tune: from a curated data set and a base to the files of a specialist.

A package that brings one writes a subclass of `Tuner` and names it in the entry-point group `protege.tuners`.
`protege.testing.tuners` has the tests that every tuner passes.
"""

from __future__ import annotations

import math
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..common.progress import Progress
from ..curate import Curated
from ..specialist import Base, ServeAs, Specialist
from ..task import Task
from .settings import TuneSettings


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a tuner is to teach, and where it writes."""

    curated: Curated
    """Train and validation are for the tuner; the other two parts are not looked at."""
    task: Task
    base: Base
    settings: TuneSettings
    folder: Path
    """Where the specialist's files belong; see `begin`."""
    inputs: str
    """A hash of all that the result depends on."""

    @property
    def about(self) -> dict[str, str]:
        """Metadata for the files that hold any: what they were made from."""
        return {
            "general.name": f"{self.task.name} ({self.base.name})",
            "protege.task": self.task.id,
            "protege.data": self.curated.hash,
            "protege.base": self.base.sha256,
            "protege.inputs": self.inputs,
        }

    @property
    def checkpoints(self) -> Path:
        """Where this run may leave what it goes on from after an interrupt; removed when the run is complete."""
        return self.folder / f"checkpoints-{self.inputs[:12]}"

    def begin(self) -> None:
        """Make `folder` and `checkpoints`, once nothing stands in the way of tuning; drop other runs' checkpoints."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for other in self.folder.glob("checkpoints-*"):
            if other != self.checkpoints:
                shutil.rmtree(other, ignore_errors=True)
        self.checkpoints.mkdir(mode=0o700, exist_ok=True)


@dataclass(frozen=True, slots=True)
class Learned:
    """What a tuner wrote."""

    files: Mapping[str, str]
    """Paths relative to the lesson's folder, by what they are. Engines look for "gguf" (merged) and "lora_gguf"."""
    max_tokens: int
    """The longest answer that the specialist may give."""
    figures: Mapping[str, Any]
    """How training went, as JSON can hold it."""


@dataclass(frozen=True, slots=True)
class Written:
    """An answer that an engine gave to a prompt, for the tuned model to score."""

    prompt: str
    """As `chat.prompt.render` gives it."""
    text: str
    ended: bool
    """It came to its end; the token that ends the turn is then scored too."""
    tokens: tuple[str, ...] = ()
    """The texts of its tokens, where the engine tells them; those that are empty end the turn. A model may write a word
    in other tokens than its tokenizer makes of it."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a tuned model makes of an answer that another engine gave."""

    likeliest: bool
    """Each of the answer's tokens is the one that this model would have written, so that it gives the same answer."""
    logprobs: tuple[float, ...]
    """Natural logarithms, one a token of the answer: of those that the engine wrote, where they are known here."""
    prompt_tokens: int
    """Tokens of the prompt."""
    gap: float = math.inf
    """If not `likeliest`: by how much this model prefers its own token to the one written, in nats, at the token where
    it prefers it most."""


class Reference(Protocol):
    """A tuned model in this process, with which what an engine serves is compared."""

    def score(self, answers: Sequence[Written]) -> list[Scored]:
        """What it makes of each answer, in their order."""
        ...


class Tuner(ABC):
    """A way to tune. One object a process stands for it; it holds no state of a run."""

    name: str
    """As it is registered, and as `TuneSettings.method` names it."""

    libraries: tuple[str, ...] = ()
    """Distributions whose versions the specialist's lineage records."""

    serve_as: ServeAs | None = None
    """As what its specialists are served, where that is not for the user to choose."""

    base: Base | None = None
    """What its specialists are made from, where that is no model: none is chosen then."""

    def check_base(self, base: Base) -> None:
        """Raise BaseModelError if the base is missing, damaged, or cannot be tuned so. Takes seconds at most."""
        return None

    @abstractmethod
    def learn(self, lesson: Lesson, progress: Progress) -> Learned:
        """Teach the base the task, and write the specialist's files into `lesson.folder`, after `lesson.begin()`.

        The same lesson gives the same files. Interrupted at any moment, the next call goes on from what stands in
        `lesson.checkpoints`, or from the start. Never changes the base's file. Raises NotEnoughCalls, BaseModelError,
        ResourceError, MissingDependency, and ProtegeError where training fails; OSError becomes ResourceError.
        """

    def try_out(self, lesson: Lesson, progress: Progress) -> Mapping[str, Any]:
        """Train as `learn` does and write no files: the run's figures, "validation_loss" among them.

        `learn` of the same lesson goes on from what this leaves in `lesson.checkpoints`. Raises as it does. Only of
        tuners that have `variations`.
        """
        raise NotImplementedError(f"The method {self.name} has no variations, so none of its settings is tried out.")

    def variations(self, settings: TuneSettings, figures: Mapping[str, Any]) -> Sequence[TuneSettings]:
        """Other settings that are worth a try where there is time, the most promising first; most tuners have none.

        figures: of a try of `settings`.
        """
        return ()

    @abstractmethod
    def reference(self, specialist: Specialist, folder: Path) -> Reference:
        """The tuned model, from its files in `folder`. Raises BaseModelError, MissingDependency."""
