"""How a head is taught to choose: from n-grams, and from an embedding where that helps.

What counts, and how much, is chosen on training rows left out one at a time, by the log-probability of the teacher's
answers. An embedding takes some milliseconds an answer, so it is used only where it gains more than chance would.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from ...common.progress import Bar
from ...embedding import Embedder
from ...heads import Features, Head, Near, Vocabulary, features_of, likeness, shown_of
from ...heads.features import Floats
from ...heads.head import blocks_of
from .closed import Parts, Space
from .doubted import doubts
from .ridge import FLOOR, Choice, Matrix, Numbers, Reduced, learn, reduced

SHARES = ((0.0, 1.0, 0.0, 0.5), (0.5, 1.0, 0.25, 0.5), (0.7, 1.0, 0.0, 0.0))
"""To choose from: how much each group of features weighs (`Features.groups`)."""
LIKENESS = (1.0, 4.0)
"""To choose from: how much likeness by an embedding weighs beside n-grams."""
ENDS = (80, 150)
"""To choose from: as many characters are embedded of each end of the last message. Longer ones gained nothing on rows
left out of three tasks with longer texts, and take longer."""
SURE = 2.0
"""An embedding is used if it gains at least as many standard errors."""
COMPARED = 600
"""On this many training rows, drawn at random, all this is compared."""
MOST_NGRAMS = 60_000
"""The most frequent are kept."""
EMBED_S = 30.0
"""Time-out for one text, where no agent waits."""


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


@dataclass(frozen=True, slots=True)
class View:
    """What of a prompt counts, and how much."""

    shares: tuple[float, ...]
    """Of the groups of n-grams."""
    ends: int = 0
    """What is embedded of it (`shown_of`); 0 if nothing is."""
    likeness: float = 0.0
    """What likeness weighs."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Training rows as numbers."""

    features: Sequence[Features]
    vocabulary: Vocabulary
    vectors: Mapping[int, Floats] = field(default_factory=dict[int, Floats])
    """By `View.ends`; rows × dimensions."""

    def of(self, rows: Numbers) -> Counted:
        """These rows alone, not embedded."""
        return Counted([self.features[row] for row in rows], self.vocabulary)

    def embedded(self, prompts: Sequence[str], ends: Iterable[int], embedder: Embedder, bar: Bar) -> Counted:
        """They, with the vectors of their prompts. Raises EngineError."""
        return replace(self, vectors={each: _vectors(prompts, each, embedder, bar) for each in ends})

    def matrix(self, view: View) -> csr_matrix:
        """Rows × n-grams."""
        return matrix_of(self.features, replace(self.vocabulary, shares=view.shares))

    def reduced(self, view: View, seed: int) -> Reduced:
        """They, in as many dimensions as there are landmarks."""
        grams, vectors = self.matrix(view), self.vectors.get(view.ends)

        def products(landmarks: Numbers) -> Matrix:
            found = (grams @ grams[landmarks].T).toarray()
            if vectors is not None:
                found += view.likeness * likeness(vectors, vectors[landmarks])
            return found

        return reduced(len(self.features), products, seed)


@dataclass(frozen=True, slots=True)
class Learnt:
    """What was learnt of one way to take answers apart, in one view."""

    way: Way
    view: View
    choices: Sequence[Choice | None]
    """Of the form, then of each value; None where there is nothing to choose."""
    agreed: int
    """Training rows whose answer is given by choices that did not see the row."""
    losses: Matrix
    """Of each row, the negative log-probability of its answer, likewise, in nats."""
    doubts: Matrix
    """Of each row, how much likelier another answer is, likewise, in nats; 0 where none is (`doubted`)."""

    def figures(self, head: Head) -> dict[str, Any]:
        """How it went, as JSON can hold it."""
        rows = len(self.way.parts)
        return {
            "examples": rows,
            "answers": self.way.name,
            "choices": self.way.counts,
            "ngrams": len(head.vocabulary.hashes),
            "penalties": [choice.penalty for choice in self.choices if choice],
            "shares": list(self.view.shares),
            "embedder": head.near.embedder if head.near else None,
            "likeness": self.view.likeness,
            "agreement_left_out": self.agreed / rows,
            "loss_left_out": float(self.losses.mean()),
        }


def steps_of(ways: Sequence[Way], embedder: Embedder | None) -> int:
    """How often `taught` advances its bar."""
    views = len(SHARES) + (len(ENDS) * len(LIKENESS) if embedder else 0)
    return views * len(ways) + (len(ENDS) + 1 if embedder else 0) + 1


def taught(
    prompts: Sequence[str], ways: Sequence[Way], seed: int, bar: Bar, embedder: Embedder | None = None, name: str = ""
) -> tuple[Head, Learnt]:
    """The head in that view and of that way which lose least on rows left out; of two alike, the first.

    name: the embedder's. Raises EngineError if it fails.
    """
    features = [features_of(prompt) for prompt in prompts]
    counted = Counted(features, vocabulary_of(features))
    some = np.sort(np.random.default_rng(seed).permutation(len(prompts))[:COMPARED])
    best = _best(counted.of(some), [way.of(some) for way in ways], [View(shares) for shares in SHARES], seed, bar)
    if embedder is not None:
        those = [prompts[int(row)] for row in some]
        shown = counted.of(some).embedded(those, ENDS, embedder, bar)
        views = [View(best.view.shares, ends, weight) for ends in ENDS for weight in LIKENESS]
        near = _best(shown, [way.of(some) for way in ways], views, seed, bar)
        if gains(best.losses - near.losses):
            best = near
            counted = counted.embedded(prompts, [near.view.ends], embedder, bar)
    way = next(way for way in ways if way.name == best.way.name)
    small = counted.reduced(best.view, seed)
    learnt = learnt_of(way, best.view, small)
    bar.advance()
    near_by = None if embedder is None or not best.view.ends else (name, embedder.identity)
    return _head(learnt, small, counted, near_by), learnt


def _best(counted: Counted, ways: Sequence[Way], views: Sequence[View], seed: int, bar: Bar) -> Learnt:
    best: Learnt | None = None
    for view in views:
        small = counted.reduced(view, seed)
        for way in ways:
            learnt = learnt_of(way, view, small)
            bar.advance()
            if best is None or learnt.losses.mean() < best.losses.mean():
                best = learnt
    assert best is not None
    return best


def gains(gained: Matrix) -> bool:
    """gained: what each row loses less."""
    return float(gained.mean()) > SURE * float(gained.std()) / math.sqrt(len(gained))


def _vectors(prompts: Sequence[str], ends: int, embedder: Embedder, bar: Bar) -> Floats:
    """One a prompt, rounded as a head's file rounds them. Each text is embedded once."""
    texts = [shown_of(prompt, ends) for prompt in prompts]
    vectors: dict[str, Floats] = {}
    for text in texts:
        if text not in vectors:
            vectors[text] = embedder.embed(text, timeout_s=EMBED_S)
        bar.advance(1 / len(texts))
    return np.array([vectors[text] for text in texts]).astype(np.float16).astype(np.float32)


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


def learnt_of(way: Way, view: View, small: Reduced) -> Learnt:
    """Learn each choice."""
    wanted = np.array([way.space.places(parts) for parts in way.parts])
    choices = [learn(small.rows, wanted[:, at], n) if n > 1 else None for at, n in enumerate(way.counts)]
    right, losses, doubt = np.ones(len(wanted), bool), np.zeros(len(wanted)), np.zeros(len(wanted))
    for column, choice in enumerate(choices):
        needed = np.ones(len(wanted), bool)
        if column:
            needed = np.array([way.space.paths[column - 1] in parts.form[1] for parts in way.parts])
        one = np.zeros((len(wanted), 1)) if choice is None else choice.held_out
        given = one[np.arange(len(wanted)), wanted[:, column]]
        right &= ~needed | (one.argmax(axis=1) == wanted[:, column])
        losses -= np.where(needed, np.where(wanted[:, column] < 0, FLOOR, np.maximum(given, FLOOR)), 0.0)
        doubt = np.maximum(doubt, np.where(needed, doubts(one, wanted[:, column]), 0.0))
    return Learnt(way, view, choices, int(right.sum()), losses, doubt)


def _head(learnt: Learnt, small: Reduced, counted: Counted, near_by: tuple[str, str] | None) -> Head:
    """The head, from what was learnt. near_by: the embedder's name and identity."""
    blocks = list(blocks_of(learnt.way.counts))
    of_rows = np.zeros((len(small.landmarks), blocks[-1].stop))
    bias = np.zeros(blocks[-1].stop, np.float32)
    for block, choice in zip(blocks, learnt.choices, strict=True):
        if choice is not None:
            of_rows[:, block] = small.weights(choice.solution)
            bias[block] = choice.bias
    view, space = learnt.view, learnt.way.space
    weights = np.asarray(counted.matrix(view)[small.landmarks].T @ of_rows).astype(np.float16)
    near = None
    if near_by is not None:
        known = counted.vectors[view.ends][small.landmarks].astype(np.float16)
        near = Near(*near_by, view.ends, known, (view.likeness * of_rows).astype(np.float32))
    vocabulary = replace(counted.vocabulary, shares=view.shares)
    return Head(space.shapes, space.values, vocabulary, weights, bias, near)
