"""A head: a linear model over n-grams that chooses an answer out of a finite set, without a base model or torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from ...chat.prompt import messages_for, render
from ...common.progress import Bar, Progress
from ...errors import BadInput, BaseModelError, CannotRender, NotClosed, NotEnoughCalls
from ...heads import FILE, NGRAMS, Chosen, Features, Head, Vocabulary, features_of, read, write
from ...heads.head import blocks_of
from ...specialist import Base, PromptForm, Specialist
from ...task import Example, Task
from ..tuner import Learned, Lesson, Scored, Tuner
from .closed import Parts, Space, by_field, openness, space_of, whole
from .ridge import Choice, Reduced, learn, reduced

LEAST_ROWS = 16
"""Fewer examples than this teach nothing."""
SHARES = ((0.0, 1.0, 0.0, 0.5), (0.5, 1.0, 0.25, 0.5), (0.7, 1.0, 0.0, 0.0))
"""To choose from: how much each group of features weighs (`Features.groups`)."""
COMPARED = 600
"""On this many training rows, drawn at random, shares and ways are compared."""
MOST_NGRAMS = 60_000
"""The most frequent are kept."""
MOST_CHOICES = 1_000
"""Outputs at most."""
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
        steps = len(SHARES) * len(ways) + 1
        step = progress.step(f"{lesson.task.name}: learning to choose an answer", steps)
        # On matrices of this size more threads wait for each other: on two busy cores 9 s instead of 1.
        with step as bar, threadpool_limits(1, "blas"):
            head, learnt = taught(rows, ways, lesson.settings.seed, bar)
        check_validation(lesson, learnt.way)
        lesson.begin()
        write(head, lesson.folder / FILE)
        longest = max(len(shape.texts) for shape in head.shapes) + 1
        return Learned({"head": FILE}, longest, learnt.figures(head))

    def reference(self, specialist: Specialist, folder: Path) -> HeadReference:
        """The head in the specialist's folder."""
        try:
            return HeadReference(read((folder / specialist.files["head"]).read_bytes()))
        except (OSError, ValueError) as error:
            fact = f"{specialist.name}'s {FILE} cannot be used ({type(error).__name__})."
            raise BaseModelError(fact, "`protege improve --retrain` makes it again.") from None


class HeadReference:
    """A head, with which what is served is compared."""

    def __init__(self, head: Head) -> None:
        self._head = head

    def score(self, prompt: str, answer: str, *, ended: bool) -> Scored:
        """As `Reference.score`. To an answer that is not its own a head gives what its own leaves, at most."""
        own = self._head.answer(prompt)
        if answer == own.text:
            return Scored(True, (*own.logprobs, 0.0) if own.pieces[-1] else own.logprobs, own.words)
        return Scored(False, (_rest(own),), own.words)


def _rest(own: Chosen) -> float:
    return float(np.log1p(-min(np.exp(sum(own.logprobs)), 1 - 1e-12)))


@dataclass(frozen=True, slots=True)
class Shown:
    """An example as a head sees it."""

    prompt: str
    answer: str


def shown(task: Task, examples: Sequence[Example], form: PromptForm) -> list[Shown]:
    """The examples that can be shown."""
    rows: list[Shown] = []
    for example in examples:
        try:
            rows.append(Shown(render(NGRAMS, messages_for(task, example.request, form)), example.answer))
        except CannotRender:
            continue  # live, such a call goes to the teacher
    return rows


@dataclass(frozen=True, slots=True)
class Way:
    """A way to take answers apart."""

    name: str
    parts: Sequence[Parts]
    """Of the training rows' answers."""
    space: Space

    def of(self, rows: Iterable[int]) -> Way:
        """It, with these training rows alone."""
        return replace(self, parts=[self.parts[row] for row in rows])

    @property
    def counts(self) -> list[int]:
        """Among how many each choice is: of the form, then of each value."""
        return [len(self.space.forms), *map(len, self.space.values)]


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


def taught(rows: Sequence[Shown], ways: Sequence[Way], seed: int, bar: Bar) -> tuple[Head, Learnt]:
    """The head with the shares and of the way that agree most often on rows left out; of two alike, the first."""
    features = [features_of(row.prompt) for row in rows]
    plain = vocabulary_of(features)
    some = np.sort(np.random.default_rng(seed).permutation(len(rows))[:COMPARED])
    best: tuple[int, Vocabulary, Way] | None = None
    for shares in SHARES:
        vocabulary = replace(plain, shares=shares)
        small = reduced(matrix_of([features[row] for row in some], vocabulary), seed)
        for way in ways:
            agreed = learnt_of(way.of(some), small).agreed
            bar.advance()
            if best is None or agreed > best[0]:
                best = agreed, vocabulary, way
    assert best is not None
    _, vocabulary, way = best
    small = reduced(matrix_of(features, vocabulary), seed)
    learnt = learnt_of(way, small)
    bar.advance()
    return head_of(learnt, small, vocabulary), learnt


def vocabulary_of(rows: Sequence[Features]) -> Vocabulary:
    """The n-grams that stand in at least two rows and not in all, and how rare each is."""
    hashes = np.concatenate([group.hashes for row in rows for group in row.groups])
    distinct, rows_with = np.unique(hashes, return_counts=True)
    telling = (rows_with > 1) & (rows_with < len(rows))
    distinct, rows_with = distinct[telling], rows_with[telling]
    if len(distinct) > MOST_NGRAMS:
        kept = np.sort(np.argsort(-rows_with, kind="stable")[:MOST_NGRAMS])
        distinct, rows_with = distinct[kept], rows_with[kept]
    return Vocabulary(distinct, (1 + np.log(len(rows) / rows_with)).astype(np.float32), SHARES[0])


def matrix_of(rows: Sequence[Features], vocabulary: Vocabulary) -> csr_matrix:
    """Rows × n-grams."""
    weighed = [vocabulary.weighed(row) for row in rows]
    starts = np.cumsum([0, *(len(places) for places, _ in weighed)])
    values = np.concatenate([values for _, values in weighed]).astype(np.float64)
    places = np.concatenate([places for places, _ in weighed])
    return csr_matrix((values, places, starts), shape=(len(rows), len(vocabulary.hashes)))


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt of one way to take answers apart."""

    way: Way
    choices: Sequence[Choice | None]
    """Of the form, then of each value; None where there is nothing to choose."""
    agreed: int
    """Training rows whose answer is given by choices that did not see the row."""

    def figures(self, head: Head) -> dict[str, Any]:
        """How it went, as JSON can hold it."""
        rows = len(self.way.parts)
        return {
            "examples": rows,
            "answers": self.way.name,
            "choices": self.way.counts,
            "ngrams": len(head.vocabulary.hashes),
            "penalties": [choice.penalty for choice in self.choices if choice],
            "shares": list(head.vocabulary.shares),
            "agreement_left_out": self.agreed / rows,
        }


def learnt_of(way: Way, small: Reduced) -> Learnt:
    """Learn each choice."""
    wanted = np.array([way.space.places(parts) for parts in way.parts])
    choices = [learn(small.rows, wanted[:, at], n) if n > 1 else None for at, n in enumerate(way.counts)]
    return Learnt(way, choices, _agreed(way, choices, wanted))


def _agreed(way: Way, choices: Sequence[Choice | None], wanted: Any) -> int:
    """How many answers are put together right from the held-out choices, each the likeliest by itself."""
    right = np.ones(len(wanted), bool)
    for column, choice in enumerate(choices):
        needed = np.ones(len(wanted), bool)
        if column:
            needed = np.array([way.space.paths[column - 1] in parts.form[1] for parts in way.parts])
        best = choice.held_out.argmax(axis=1) if choice else np.zeros(len(wanted), int)
        right &= ~needed | (best == wanted[:, column])
    return int(right.sum())


def head_of(learnt: Learnt, small: Reduced, vocabulary: Vocabulary) -> Head:
    """The head, from what was learnt."""
    blocks = list(blocks_of(learnt.way.counts))
    outputs = blocks[-1].stop
    weights, bias = np.zeros((len(vocabulary.hashes), outputs), np.float16), np.zeros(outputs, np.float32)
    for block, choice in zip(blocks, learnt.choices, strict=True):
        if choice is not None:
            weights[:, block] = small.weights(choice.solution)
            bias[block] = choice.bias
    return Head(learnt.way.space.shapes, learnt.way.space.values, vocabulary, weights, bias)
