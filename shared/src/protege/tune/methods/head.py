"""A head: a small model over n-grams and an embedding that chooses an answer out of a finite set, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ...chat.prompt import messages_for, render
from ...common.progress import Progress
from ...embedding import NONE, Embedder, embedder_named, plain
from ...errors import BadInput, BaseModelError, CannotRender, NotClosed, NotEnoughCalls
from ...heads import FILE, NGRAMS, Chooser, Chosen, read, write
from ...specialist import Base, PromptForm, Specialist
from ...task import Example, Task
from ..tuner import Learned, Lesson, Scored, Tuner, Written
from .choosing import EMBED_S, Way, steps_of, taught
from .closed import by_field, openness, space_of, whole

LEAST_ROWS = 16
"""Fewer examples than this teach nothing."""
MOST_CHOICES = 1_000
"""Outputs at most."""
MOST_TOLD = 50
"""Calls whose answers look wrong that are named."""
REACHED = 0.8
"""The share of the validation answers that must be among those that can be given."""


class HeadTuner(Tuner):
    """Gives `head.bin`."""

    name = "head"
    libraries = ("numpy", "scipy")
    serve_as = "head"
    base = NGRAMS

    def check_base(self, base: Base) -> None:
        """It must be `NGRAMS`: nothing else is learnt from."""
        if base != NGRAMS:
            raise BadInput("A head learns from no base model.", "Leave out --base, or --kind head.")

    def learn(self, lesson: Lesson, progress: Progress) -> Learned:
        """Find the answers that can be given, and learn to choose among them. Raises NotClosed, NotEnoughCalls."""
        rows = shown(lesson.task, lesson.curated.examples("train"), lesson.settings.form)
        if (missing := LEAST_ROWS - len(rows)) > 0:
            raise NotEnoughCalls(
                f"Only {len(rows)} training examples can be used; {LEAST_ROWS} are needed.",
                "Record more calls.",
                missing=missing,
            )
        ways = ways_for([row.answer for row in rows])
        name = plain(lesson.settings.embedder)
        embeds = None if name == NONE else embedder_named(name)
        step = progress.step(f"{lesson.task.name}: learning to choose an answer", steps_of(ways, embeds))
        prompts = [row.prompt for row in rows]
        # On matrices of this size more threads wait for each other: on two busy cores 9 s instead of 1.
        with step as bar, threadpool_limits(1, "blas"):
            head, learnt = taught(prompts, ways, lesson.settings.seed, bar, embeds, name)
        check_validation(lesson, learnt.way)
        lesson.begin()
        write(head, lesson.folder / FILE)
        longest = max(len(shape.texts) for shape in head.shapes) + 1
        return Learned({"head": FILE}, longest, {**learnt.figures(head), **doubted(rows, learnt.doubts)})

    def reference(self, specialist: Specialist, folder: Path) -> HeadReference:
        """The head in the specialist's folder."""
        try:
            head = read((folder / specialist.files["head"]).read_bytes())
        except (OSError, ValueError) as error:
            fact = f"{specialist.name}'s {FILE} cannot be used ({type(error).__name__})."
            raise BaseModelError(fact, "`protege improve --retrain` makes it again.") from None
        return HeadReference(head, None if head.taught_by is None else embedder_named(head.taught_by[0]))


class HeadReference:
    """A head, with which what is served is compared."""

    def __init__(self, head: Chooser, embeds: Embedder | None = None) -> None:
        self._head = head
        self._embeds = embeds

    def score(self, answers: Sequence[Written]) -> list[Scored]:
        """As `Reference.score`. To an answer that is not its own a head gives what its own leaves, at most."""
        return [self._score(answer) for answer in answers]

    def _score(self, answer: Written) -> Scored:
        own = self._own(answer.prompt)
        if answer.text == own.text:
            return Scored(True, (*own.logprobs, 0.0) if own.pieces[-1] else own.logprobs, own.words)
        return Scored(False, (_rest(own),), own.words)

    def _own(self, prompt: str) -> Chosen:
        head: Any = self._head
        return head.answer(prompt, head.seen(prompt, self._embeds, timeout_s=EMBED_S) if self._embeds else None)


def _rest(own: Chosen) -> float:
    return float(np.log1p(-min(np.exp(sum(own.logprobs)), 1 - 1e-12)))


@dataclass(frozen=True, slots=True)
class Shown:
    """An example as a head sees it."""

    prompt: str
    answer: str
    id: str = ""
    """Of its call."""


def shown(task: Task, examples: Sequence[Example], form: PromptForm) -> list[Shown]:
    """The examples that can be shown."""
    rows: list[Shown] = []
    for example in examples:
        try:
            rows.append(Shown(render(NGRAMS, messages_for(task, example.request, form)), example.answer, example.id))
        except CannotRender:
            continue  # live, such a call goes to the teacher
    return rows


def doubted(rows: Sequence[Shown], doubts: NDArray[np.float64]) -> dict[str, Any]:
    """How many of these training answers look wrong, and the calls of those that do most."""
    order = [int(row) for row in np.argsort(-doubts, kind="stable") if doubts[row] > 0]
    return {"doubted": len(order), "doubted_calls": [rows[row].id for row in order[:MOST_TOLD]]}


def ways_for(answers: Sequence[str]) -> list[Way]:
    """The ways in which these answers are closed. Raises NotClosed if there is none."""
    ways: list[Way] = []
    reasons: list[str] = []
    for name, parts in (("whole", whole(answers)), ("by field", by_field(answers))):
        if ways and not any(part.values for part in parts):
            break  # not one could be taken apart
        way = Way(name, parts, space_of(parts))
        reason = openness(way.space, parts)
        if reason is None and sum(way.counts) > MOST_CHOICES:
            reason = f"there are {sum(way.counts)} answers to choose from"
        if reason is None:
            ways.append(way)
        else:
            reasons.append(reason)
    if not ways:
        raise NotClosed(f"A head cannot give this task's answers: {reasons[-1]}.", "Other methods make answers.")
    return ways


def check_validation(lesson: Lesson, way: Way) -> None:
    """Raise NotClosed if too many validation answers are not among those that can be given."""
    answers = [example.answer for example in lesson.curated.examples("validation")]
    parts = whole(answers) if way.name == "whole" else by_field(answers)
    if answers and (reached := way.space.reached(parts)) < REACHED:
        fact = f"A head cannot give this task's answers: training shows {reached:.0%} of those in validation."
        raise NotClosed(fact, "Other methods make answers.")
