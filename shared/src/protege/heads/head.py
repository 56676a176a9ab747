"""A head: linear models over the n-grams of a prompt and its likeness to others, which together choose one answer.

The answers have one of a few shapes, and each shape's gaps are filled with one of a few values. A label is a shape
without gaps; `{"urgent": …, "team": …}` is a shape with two. One softmax chooses the shape, and one for each gap its
value, so that an answer's probability is the product of theirs: they are taken to be independent, given the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .features import GROUPS, Features, Floats, Hashes, features_of
from .near import Embeds, Near, shown_of

NO_OTHER = -700.0
"""Stands for the log-probability of another choice where there is none."""
SURE = math.log(1000)
"""The largest log-odds of an opinion: some hundreds of rows cannot tell one in a thousand from less."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A form that answers have."""

    texts: tuple[str, ...]
    """What stands before, between and after the gaps; the whole answer if there are none."""
    gaps: tuple[int, ...] = ()
    """Which of the head's value lists fills each gap, in order."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An answer that a head chose."""

    pieces: tuple[str, ...]
    """Joined they are the answer: each gap's value with the text before it, then what is left."""
    logprobs: tuple[float, ...]
    """Of each piece's choice; that of the shape is added to the first. Natural logarithms, ≤ 0."""
    runners_up: tuple[float, ...]
    """Of each piece, the log-probability of the likeliest other choice: at most that of the piece."""
    words: int
    """Words and signs of the prompt."""

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class Opinion(NamedTuple):
    """What a head makes of an answer that another gave."""

    logprob: float
    """How likely it holds the answer: a natural logarithm, within ±`SURE` as log-odds; the least where it cannot give
    that answer."""
    agrees: float
    """Of the values that fill gaps, the share that it would have chosen too; 0 if its shape is another, or unknown."""

    @classmethod
    def of(cls, logprob: float, agrees: float) -> Opinion:
        """Within the bounds."""
        return cls(max(-math.log1p(math.exp(SURE)), min(-math.log1p(math.exp(-SURE)), logprob)), agrees)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The n-grams that a head knows."""

    hashes: Hashes
    """Distinct, ascending."""
    idf: Floats
    """How rare each is: the logarithm of its inverse document frequency, and 1."""
    shares: tuple[float, ...]
    """How much each of a prompt's groups of features weighs."""

    def weighed(self, features: Features) -> tuple[NDArray[np.intp], Floats]:
        """Which of the n-grams a prompt has, as places in `hashes`, and their values: each group of unit length, times
        its share."""
        places: list[NDArray[np.intp]] = []
        values: list[Floats] = []
        for group, share in zip(features.groups, self.shares, strict=True):
            if not share or not len(self.hashes):
                continue
            found = np.minimum(np.searchsorted(self.hashes, group.hashes), len(self.hashes) - 1)
            known = self.hashes[found] == group.hashes
            place = found[known]
            value = group.counts[known] * self.idf[place]
            length = math.sqrt(float(value @ value))
            if length:
                places.append(place)
                values.append(value * np.float32(share / length))
        if not places:
            return np.empty(0, np.intp), np.empty(0, np.float32)
        return np.concatenate(places), np.concatenate(values)


@dataclass(frozen=True, slots=True)
class Head:
    """The whole model."""

    shapes: tuple[Shape, ...]
    values: tuple[tuple[str, ...], ...]
    """The lists of values that gaps are filled from."""
    vocabulary: Vocabulary
    weights: NDArray[np.float16]
    """n-grams × outputs. The outputs of the shapes come first, then those of each list of values; a choice among one
    has none (`blocks`)."""
    bias: Floats
    """One an output."""
    near: Near | None = None
    """What it knows by an embedding; None if by n-grams alone."""

    @property
    def taught_by(self) -> tuple[str, str] | None:
        """Name and identity of the embedder that it was taught with."""
        return None if self.near is None else (self.near.embedder, self.near.identity)

    def seen(self, prompt: str, by: Embeds, *, timeout_s: float) -> Floats | None:
        """What it needs of its embedder to answer a prompt. Raises ValueError for vectors of another; EngineError."""
        if self.near is None:
            return None
        vector = by.embed(shown_of(prompt, self.near.ends), timeout_s=timeout_s)
        if vector.shape != self.near.known.shape[1:]:
            raise ValueError("vectors of another length")
        return vector

    def answer(self, prompt: str, vector: Floats | None = None) -> Chosen:
        """The likeliest answer to a rendered prompt. vector: as `seen` gives it."""
        features = features_of(prompt)
        return self._chosen(self._chances(features, vector), features.words)

    def opinion(self, prompt: str, answer: str, vector: Floats | None = None) -> Opinion:
        """What it makes of another's answer to the prompt. vector: as for `answer`."""
        of_shapes, *of_values = self._chances(features_of(prompt), vector)
        totals, best = self._likeliest(of_shapes, of_values)
        own, found = max(range(len(totals)), key=totals.__getitem__), list[Opinion]()
        for number, shape in enumerate(self.shapes):
            if (places := self._places(shape, answer)) is None:
                continue
            pairs = list(zip(shape.gaps, places, strict=True))
            logprob = float(of_shapes[number]) + sum(float(of_values[gap][at]) for gap, at in pairs)
            same = sum(best[gap] == at for gap, at in pairs) / len(pairs) if pairs else 1.0
            found.append(Opinion(logprob, same if number == own else 0.0))
        logprob, agrees = max(found, default=Opinion(NO_OTHER, 0.0))
        return Opinion.of(logprob, agrees)

    def _places(self, shape: Shape, answer: str) -> list[int] | None:
        """Which value fills each of the shape's gaps in an answer; None if it is of another shape, or a value is
        unknown."""
        first, *after = shape.texts
        if not answer.startswith(first):
            return None
        position, places = len(first), list[int]()
        for gap, text in zip(shape.gaps, after, strict=True):
            filled = ((at, value + text) for at, value in enumerate(self.values[gap]))
            fitting = [(len(both), at) for at, both in filled if answer.startswith(both, position)]
            if not fitting:
                return None
            length, at = max(fitting)
            position, places = position + length, [*places, at]
        return places if position == len(answer) else None

    def _chances(self, features: Features, vector: Floats | None) -> list[NDArray[np.float64]]:
        """The log-probabilities of the shapes, then those of each list of values."""
        places, values = self.vocabulary.weighed(features)
        odds = values @ self.weights[places].astype(np.float32) + self.bias
        if self.near is not None:
            assert vector is not None
            odds = odds + self.near.odds(vector)
        odds = odds.astype(np.float64)
        return [_log_softmax(odds[block]) for block in self.blocks()]

    def _likeliest(
        self, of_shapes: NDArray[np.float64], of_values: Sequence[NDArray[np.float64]]
    ) -> tuple[list[float], list[int]]:
        """Each shape's log-probability with the likeliest values in its gaps; and which these are, by list."""
        best = [int(chance.argmax()) for chance in of_values]
        likeliest = [float(chance[at]) for chance, at in zip(of_values, best, strict=True)]
        return [float(of_shapes[at]) + sum(likeliest[gap] for gap in s.gaps) for at, s in enumerate(self.shapes)], best

    def _chosen(self, chances: list[NDArray[np.float64]], words: int) -> Chosen:
        of_shapes, of_values = chances[0], chances[1:]
        totals, best = self._likeliest(of_shapes, of_values)
        likeliest = [float(chance[at]) for chance, at in zip(of_values, best, strict=True)]
        number = max(range(len(totals)), key=totals.__getitem__)
        shape, first = self.shapes[number], float(of_shapes[number])
        pieces, logprobs, others = [shape.texts[0]], [first], [NO_OTHER]
        for gap, text in zip(shape.gaps, shape.texts[1:], strict=True):
            pieces[-1] += self.values[gap][best[gap]]
            others[-1] = logprobs[-1] + _second(of_values[gap])
            logprobs[-1] += likeliest[gap]
            pieces.append(text)
            logprobs.append(0.0)
            others.append(NO_OTHER)
        # Another shape shows at the first piece: so much less likely than this one is the answer that it would be.
        others[0] = max(others[0], logprobs[0] + _second(np.array(totals)) - totals[number])
        bounded = tuple(max(NO_OTHER, min(0.0, other)) for other in others)
        return Chosen(tuple(pieces), tuple(min(0.0, logprob) for logprob in logprobs), bounded, words)

    def blocks(self) -> list[slice]:
        """The outputs that choose the shape, and those of each list of values; none where there is but one."""
        return list(blocks_of([len(self.shapes), *map(len, self.values)]))


def blocks_of(counts: Sequence[int]) -> Iterator[slice]:
    """Where the outputs of choices among so many stand, one after the other."""
    start = 0
    for count in counts:
        end = start + (count if count > 1 else 0)
        yield slice(start, end)
        start = end


def outputs_of(shapes: Sequence[Shape], values: Sequence[Sequence[str]]) -> int:
    """How many outputs a head of these has."""
    return sum(count for count in (len(shapes), *map(len, values)) if count > 1)


def to_record(head: Head) -> dict[str, Any]:
    """All but the arrays, as JSON can hold it."""
    return {
        "shapes": [{"texts": list(shape.texts), "gaps": list(shape.gaps)} for shape in head.shapes],
        "values": [list(values) for values in head.values],
        "shares": list(head.vocabulary.shares),
        "vocabulary": len(head.vocabulary.hashes),
    }


def shapes_from(record: Mapping[str, Any]) -> tuple[tuple[Shape, ...], tuple[tuple[str, ...], ...]]:
    """The shapes and lists of values in what `to_record` gave. Raises ValueError, KeyError, TypeError if they are not
    whole."""
    values = tuple(tuple(map(_text, listed)) for listed in record["values"])
    shapes = tuple(Shape(tuple(map(_text, s["texts"])), tuple(map(int, s["gaps"]))) for s in record["shapes"])
    for shape in shapes:
        if len(shape.texts) != len(shape.gaps) + 1 or not all(0 <= gap < len(values) for gap in shape.gaps):
            raise ValueError("a shape's gaps do not fit its texts")
    if not shapes or not all(values):
        raise ValueError("no answers")
    if len(record["shares"]) != GROUPS:
        raise ValueError("another number of groups")
    return shapes, values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value


def _second(chances: NDArray[np.float64]) -> float:
    """The second largest; `NO_OTHER` where there is none."""
    return float(np.partition(chances, -2)[-2]) if len(chances) > 1 else NO_OTHER


def _log_softmax(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exact for what is nearly certain too, so that sure answers can still be told apart."""
    if not len(odds):
        return np.zeros(1)
    best = int(odds.argmax())
    shifted = odds - odds[best]
    others = np.exp(shifted)
    others[best] = 0.0
    return shifted - np.log1p(others.sum())
