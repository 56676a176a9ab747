"""A tagger: fills the fields of a JSON answer with parts of the prompt.

A linear-chain conditional random field (Lafferty, McCallum and Pereira, 2001) says of each token whether it begins a
field's value, goes on with one, or belongs to none. What of the answer is not copied, such as a tool's name or a field
with a few values, a head chooses first. The answer's probability is that of the choice times that of the whole
sequence of tags.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from ..chat.acts import act_in
from .conversation import json_in
from .features import Floats, Hashes
from .head import NO_OTHER, Chosen, Head, Opinion
from .near import Embeds, EmbedsSpans
from .tokens import Told, rarities, spans_of, text_of, told_of

Place: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead to a value in JSON."""
Matrix: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.int64]

OUTSIDE = 0
"""The tag of a token that belongs to no field. Of field number n a value's first token has the tag 2n + 1, and its
others 2n + 2."""
NEVER = -1e4
"""Stands for the weight of a step between two tags that cannot follow each other."""
LEAST_ODDS = -600.0
"""The least weight of a tag below a token's likeliest: its exponential is still above 0."""
WEIGHT = np.float32(3.0)
"""The length of a token's vector, beside its other features, which are ones."""
STYLES: tuple[Mapping[str, Any], ...] = (
    {"separators": (", ", ": "), "ensure_ascii": True},
    {"separators": (", ", ": "), "ensure_ascii": False},
    {"separators": (",", ":"), "ensure_ascii": False},
    {"separators": (",", ": "), "ensure_ascii": False, "indent": 2},
)
"""How JSON is written: as `json.dumps` takes it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field whose values are copied out of the prompt."""

    place: Place
    many: bool
    """Whether it is a list of such values."""
    quoted: bool
    """Whether a value is written as a text; if not, as a number."""
    without: str
    """What stands there without a value: "missing", "null" or "empty"."""
    acts: tuple[str, ...] = ("",)
    """The actions (`chat.acts.act_in`) whose answers have it; the empty text if they name none."""


@dataclass(frozen=True, slots=True)
class Words:
    """What a tagger knows by the vectors of tokens in their context."""

    embedder: str
    """The embedder's name."""
    identity: str
    weights: NDArray[np.float16]
    """Dimensions × tags."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a tagger needs of its embedder to answer a prompt."""

    vector: Floats | None
    """For its head."""
    of_tokens: Floats | None
    """Tokens × dimensions."""


@dataclass(frozen=True, slots=True)
class Tagger:
    """The whole model."""

    chooser: Head
    """Chooses all of the answer that is not copied."""
    fields: tuple[Field, ...]
    keys: tuple[str, ...]
    """The order of keys in an answer."""
    style: int
    """Of `STYLES`."""
    hashes: Hashes
    """The features that it knows. Distinct, ascending."""
    weights: NDArray[np.float16]
    """Features × tags."""
    steps: Floats
    """1 + tags × tags: the first row from the beginning of the text, the others from each tag to each tag."""
    words: Words | None = None
    """What it knows by an embedding; None if by what tokens look like alone."""

    @property
    def taught_by(self) -> tuple[str, str] | None:
        """As `Head.taught_by`."""
        return self.chooser.taught_by if self.words is None else (self.words.embedder, self.words.identity)

    def seen(self, prompt: str, by: Embeds, *, timeout_s: float) -> Seen:
        """As `Head.seen`."""
        vector, of_tokens = self.chooser.seen(prompt, by, timeout_s=timeout_s), None
        if self.words is not None:
            text = text_of(prompt)
            of_tokens = vectors_of(text, spans_of(text), by, timeout_s=timeout_s)
            if of_tokens.shape[1] != len(self.words.weights):
                raise ValueError("vectors of another length")
        return Seen(vector, of_tokens)

    def answer(self, prompt: str, seen: Seen | None = None) -> Chosen:
        """The likeliest answer to a rendered prompt; the empty text if it cannot be written."""
        choice = self.chooser.answer(prompt, None if seen is None else seen.vector)
        chance, other = math.fsum(choice.logprobs), _runner_up(choice)
        told = told_of(text_of(prompt), act_of(choice.text))
        odds = self.odds(told, None if seen is None else seen.of_tokens)
        path, of_path, second = best_paths(odds, self.steps.astype(np.float64))
        text = self.written(choice.text, values_in(told, path, len(self.fields)))
        total = min(0.0, chance + of_path)
        runner_up = max(NO_OTHER, min(total, max(chance + second, other + of_path)))
        return Chosen((text,), (total,), (runner_up,), choice.words)

    def opinion(self, prompt: str, answer: str, seen: Seen | None = None) -> Opinion:
        """What it makes of another's answer to the prompt: as likely as its own if it is the same, else at most what
        that leaves. Agreement is of the values of both."""
        own = self.answer(prompt, seen)
        ours, theirs = dict(_values(json_in(own.text))), dict(_values(json_in(answer)))
        logprob, same = own.logprobs[0], ours == theirs if ours else own.text == answer != ""
        if not same:
            logprob = math.log(-math.expm1(logprob)) if logprob < 0 else NO_OTHER
        share = sum(ours.get(place) == value for place, value in theirs.items()) / max(1, len(theirs), len(ours))
        return Opinion.of(logprob, 1.0 if same else share)

    def odds(self, told: Told, of_tokens: Floats | None = None) -> Matrix:
        """What the features of each token speak for; tokens × tags. of_tokens: as in `Seen`."""
        if self.words is not None:
            assert of_tokens is not None
            return self._odds(told) + of_tokens.astype(np.float64) @ self.words.weights.astype(np.float64)
        return self._odds(told)

    def _odds(self, told: Told) -> Matrix:
        if not told.marks or not len(self.hashes):
            return np.zeros((len(told.marks), len(self.steps) - 1))
        rows = [(*marks, *more) for marks, more in zip(told.marks, rarities(told, self.hashes), strict=True)]
        counts = [len(marks) for marks in rows]
        flat = np.array([mark for marks in (*rows, told.course) for mark in marks], np.uint32)
        places = np.minimum(np.searchsorted(self.hashes, flat), len(self.hashes) - 1)
        known = (self.hashes[places] == flat)[:, None]
        weights = np.where(known, self.weights[places], 0).astype(np.float64)
        starts = np.cumsum([0, *counts])
        return np.add.reduceat(weights[: starts[-1]], starts[:-1]) + weights[starts[-1] :].sum(axis=0)

    def written(self, rest: str, values: Sequence[Sequence[str]]) -> str:
        """The answer. rest: what is not copied; values: those of each field. Empty if they do not fit together."""
        value = json_in(rest)
        if value is None:
            return "" if any(values) else rest
        act = act_in(value)
        try:
            for field, texts in zip(self.fields, values, strict=True):
                if act in field.acts:
                    _put(value, field, texts)
                elif texts:
                    return ""
        except (LookupError, TypeError, ValueError, AttributeError):
            return ""
        return dumped(value, self.keys, self.style)


def vectors_of(text: str, spans: Sequence[tuple[int, int]], by: Embeds, *, timeout_s: float) -> Floats:
    """A vector of length `WEIGHT` for each token, in its context; tokens × dimensions. Raises TypeError where the
    embedder has none, EngineError."""
    if not isinstance(by, EmbedsSpans):
        raise TypeError("an embedder of whole texts alone")
    return WEIGHT * by.embed_spans(text, spans, timeout_s=timeout_s)


def _values(value: Any) -> Iterator[tuple[Place, str]]:
    """Each value in JSON, a list whole, as it is written."""
    stack: list[tuple[Place, Any]] = [((), value)]
    while stack:
        place, value = stack.pop()
        if isinstance(value, dict):
            stack += [((*place, key), item) for key, item in cast(dict[str, Any], value).items()]
        elif place or value is not None:
            yield place, json.dumps(value, sort_keys=True)


def act_of(rest: str) -> str:
    """What an answer does, by what is not copied of it."""
    return act_in(json_in(rest))


def values_in(told: Told, path: Sequence[int], fields: int) -> list[list[str]]:
    """For each field the parts of the text that are tagged with it."""
    found: list[list[tuple[int, int]]] = [[] for _ in range(fields)]
    for (begin, end), tag, before in zip(told.spans, path, (OUTSIDE, *path), strict=False):
        if tag == OUTSIDE:
            continue
        spans = found[(tag - 1) // 2]
        if tag % 2 == 0 and before in (tag, tag - 1):
            spans[-1] = spans[-1][0], end
        else:
            spans.append((begin, end))
    return [[told.text[begin:end] for begin, end in spans] for spans in found]


def best_paths(odds: Matrix, steps: Matrix) -> tuple[list[int], float, float]:
    """The likeliest tags, their log-probability, and that of the second likeliest (Viterbi, 1967, with two paths kept
    for each tag). odds: tokens × tags; steps: as `Tagger.steps`."""
    count = odds.shape[1]
    if not len(odds):
        return [], 0.0, NO_OTHER
    scores = np.full((2, count), -np.inf)
    scores[0] = steps[0] + odds[0]
    came = np.zeros((len(odds), 2, count), np.intp)
    columns = np.arange(count)
    for t in range(1, len(odds)):
        every = (scores[:, :, None] + steps[None, 1:]).reshape(2 * count, count)
        for rank in (0, 1):
            came[t, rank] = every.argmax(axis=0)
            scores[rank] = every[came[t, rank], columns] + odds[t]
            every[came[t, rank], columns] = -np.inf
    order = np.argsort(-scores, axis=None, kind="stable")[:2]
    total = _log_total(odds, steps)
    best, second = (float(score) - total for score in scores.ravel()[order])
    rank, tag = divmod(int(order[0]), count)
    path = [tag]
    for t in range(len(odds) - 1, 0, -1):
        rank, tag = divmod(int(came[t, rank, tag]), count)
        path.append(tag)
    return path[::-1], min(0.0, best), max(NO_OTHER, min(second, best, 0.0))


def _log_total(odds: Matrix, steps: Matrix) -> float:
    """The logarithm of the sum over all paths."""
    highest = odds.max(axis=1, keepdims=True)
    # What is allowed may lie far below what is not: a chance of 0 for all of it would leave nothing to sum.
    chances, moves = np.exp(np.maximum(odds - highest, LEAST_ODDS)), np.exp(steps[1:])
    reached = np.exp(steps[0]) * chances[0]
    total = float(highest.sum())
    for t in range(len(odds)):
        if t:
            reached = (reached @ moves) * chances[t]
        scale = float(reached.sum())
        total += math.log(scale)
        reached = reached / scale
    return total


def _runner_up(choice: Chosen) -> float:
    """The log-probability of the likeliest other choice."""
    total = math.fsum(choice.logprobs)
    return max(total - log + other for log, other in zip(choice.logprobs, choice.runners_up, strict=True))


def _put(value: Any, field: Field, texts: Sequence[str]) -> None:
    """Fill a field. Raises LookupError, TypeError, ValueError, AttributeError where it has no place."""
    if not texts and field.without == "missing":
        return
    *way, last = field.place
    for step in way:
        value = value[step] if isinstance(step, int) else value.setdefault(step, {})
    given = [text if field.quoted else _number(text) for text in texts]
    if field.many:
        value[last] = given if given or field.without == "empty" else None
    else:
        value[last] = given[0] if given else "" if field.without == "empty" else None


def _number(text: str) -> int | float:
    value = orjson.loads(text)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")
    if isinstance(value, float) and text.lstrip("-").isdigit():
        raise ValueError("more digits than are kept")
    return value


def dumped(value: Any, keys: Sequence[str], style: int) -> str:
    """JSON with its keys in this order, others behind them."""
    ranks = {key: rank for rank, key in enumerate(keys)}
    return json.dumps(_ordered(value, ranks), **STYLES[style])


def _ordered(value: Any, ranks: Mapping[str, int]) -> Any:
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        inner = sorted(fields, key=lambda key: ranks.get(key, len(ranks)))
        return {key: _ordered(fields[key], ranks) for key in inner}
    if isinstance(value, list):
        return [_ordered(item, ranks) for item in cast(list[Any], value)]
    return value
