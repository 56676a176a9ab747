"""A tagger: fields of JSON and arguments of tool calls that are copied out of the prompt. Without torch."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any, TypeAlias, cast

import numpy as np
import orjson
from threadpoolctl import threadpool_limits

from ...chat.acts import act_in
from ...common.files import write_private
from ...common.progress import Bar, Progress
from ...embedding import NONE, embedder_named, plain
from ...errors import NotClosed, NotEnoughCalls
from ...heads import FILE
from ...heads.conversation import json_in
from ...heads.near import EmbedsSpans
from ...heads.tagger import OUTSIDE, STYLES, Field, Matrix, Place, Tagger, Words, dumped, vectors_of
from ...heads.tagger_file import MOST_FIELDS, to_bytes
from ...heads.tokens import Told, text_of, told_of
from ..settings import TuneSettings
from ..tuner import Learned, Lesson
from .choosing import EMBED_S, gains, steps_of, taught
from .crf import PENALTIES, Batch, Tagged, Weights, compared, fitted
from .head import LEAST_ROWS, HeadTuner, Shown, shown, ways_for

KINDS = ("json", "tool_calls")
LEAST_SHOWN = 5
"""A field with fewer values in training is not copied."""
COPIED = 0.8
"""A field is copied if so many of its training values stand in the prompt."""
LEAST_GIVEN = 0.4
"""The share of training answers that can be put together so, without which nothing is learnt."""
LEAST_UNSEEN = 20
"""With fewer validation rows it is not asked whether exchanged values help."""
MOST_WORK = 4e7
"""Tokens × tags × (marks of a token + tags): more rows than this allows are not learnt from, since a step over all of
them would take seconds."""
MOST_LEAVES = 400
"""An answer with more values is not taken apart."""

Scalar: TypeAlias = str | int | float | bool | None
Leaf: TypeAlias = Scalar | list[Scalar]
Span: TypeAlias = tuple[int, int]
"""The first and the last token of a part."""


@dataclass(frozen=True, slots=True)
class Row:
    """A training row, read."""

    prompt: str
    answer: str
    value: Any
    """The answer's JSON; None if it is none."""
    leaves: Mapping[Place, Leaf]
    act: str
    """What the answer does (`chat.acts.act_in`)."""


class TaggerTuner(HeadTuner):
    """Gives `head.bin`, of another format than a head's."""

    name = "tagger"

    def learn(self, lesson: Lesson, progress: Progress) -> Learned:
        """Find the fields that are copied, and learn to find their values. Raises NotClosed, NotEnoughCalls."""
        if lesson.task.kind not in KINDS:
            raise NotClosed("A tagger writes tool calls or JSON alone.", "Other methods make answers.")
        examples = shown(lesson.task, lesson.curated.examples("train"), lesson.settings.form)
        if (missing := LEAST_ROWS - len(examples)) > 0:
            fact = f"Only {len(examples)} training examples can be used; {LEAST_ROWS} are needed."
            raise NotEnoughCalls(fact, "Record more calls.", missing=missing)
        validation = shown(lesson.task, lesson.curated.examples("validation"), lesson.settings.form)
        rows, unseen = [read(e) for e in examples], [read(e) for e in validation]
        tagger, figures = learnt(rows, lesson.settings, progress, lesson.task.name, unseen)
        lesson.begin()
        write_private(lesson.folder / FILE, to_bytes(tagger))
        return Learned({"head": FILE}, 2, figures)


def learnt(
    rows: Sequence[Row], settings: TuneSettings, progress: Progress, task: str, unseen: Sequence[Row] = ()
) -> tuple[Tagger, dict[str, Any]]:
    """A tagger, and how it went, as JSON can hold it. unseen: rows to choose by, as agents write them, where training
    rows have surrogates for what is personal. Raises NotClosed."""
    fields, tagged, rests = prepared(rows)
    tags = 2 * len(fields) + 1
    learnt_from, ways = _some(tagged, tags), ways_for(rests)
    name = plain(settings.embedder)
    embeds = None if name == NONE else embedder_named(name)
    for_choice = embeds if max(max(way.counts) for way in ways) > 1 else None
    steps = steps_of(ways, for_choice) + (len(PENALTIES) + 1) * (2 if embeds else 1)
    step = progress.step(f"{task}: learning to find the values of {len(fields)} fields", steps)
    with step as bar, threadpool_limits(1, "blas"):
        head, choice = taught([row.prompt for row in rows], ways, settings.seed, bar, for_choice, name)
        told = [one for row in unseen if (one := _tagged(row, fields))]
        learnt_so = _way(learnt_from, told, tags, settings.seed, bar)
        if isinstance(embeds, EmbedsSpans):
            near = _way(learnt_from, told, tags, settings.seed, bar, embeds)
            learnt_so = near if gains(learnt_so.losses - near.losses) else learnt_so
    words = None
    weights = learnt_so.weights
    if embeds is not None and len(weights.of_vectors):
        words = Words(name, embeds.identity, weights.of_vectors.astype(np.float16))
    numbers = weights.weights.astype(np.float16), weights.steps.astype(np.float32)
    tagger = Tagger(head, fields, _keys(rows), _style(rows), weights.hashes, *numbers, words)
    figures = {
        **choice.figures(head),
        "fields": [".".join(map(str, field.place)) for field in fields],
        "given": len(tagged) / len(rows),
        "tagged": len(learnt_from),
        "tagged_left_out": learnt_so.right,
        "penalty": learnt_so.penalty,
        "words_embedded": words is not None,
        "exchanged": learnt_so.exchanged,
        "marks": len(weights.hashes),
    }
    return tagger, figures


@dataclass(frozen=True, slots=True)
class _Way:
    """What was learnt in one way. losses: of rows that it did not see, in nats; right: the share of those left out that
    were tagged right; exchanged: whether rows with other values (`exchanged`) were learnt too."""

    weights: Weights
    losses: Matrix
    right: float
    penalty: float
    exchanged: bool


def _way(
    tagged: Sequence[Tagged], unseen: Sequence[Tagged], tags: int, seed: int, bar: Bar, by: EmbedsSpans | None = None
) -> _Way:
    """The penalty is chosen on training rows left out; whether to exchange values by what agents write."""
    seen = _seen(tagged, by)
    held, right = compared(seen, tags, bar.advance)
    weights, losses, exchanges = fitted(seen, tags, held.penalty), held.losses, False
    if len(unseen) >= LEAST_UNSEEN:
        told = _seen(unseen, by)
        losses = Batch(told, weights.hashes, tags).losses(weights)
        others = fitted([*seen, *_seen(exchanged(tagged, seed), by)], tags, held.penalty)
        known = Batch(told, others.hashes, tags).losses(others)
        if exchanges := bool(known.sum() < losses.sum()):
            weights, losses = others, known
    bar.advance()
    return _Way(weights, losses, sum(right) / len(right), held.penalty, exchanges)


def _some(tagged: Sequence[Tagged], tags: int) -> Sequence[Tagged]:
    """As many of the rows, at equal distances, as `MOST_WORK` allows."""
    work = sum(len(one.tags) * tags * (len(one.told.marks[0]) + tags) for one in tagged)
    every = max(1.0, work / MOST_WORK)
    return [tagged[int(n * every)] for n in range(int(len(tagged) / every))]


def read(example: Shown) -> Row:
    """A training example, its answer taken apart."""
    value = json_in(example.answer)
    leaves = dict(_leaves(value)) if value is not None else {}
    return Row(example.prompt, example.answer, value, leaves if len(leaves) <= MOST_LEAVES else {}, act_in(value))


def prepared(rows: Sequence[Row]) -> tuple[tuple[Field, ...], list[Tagged], list[str]]:
    """The fields that are copied; the rows whose values all stand in their prompts, tagged; and what is not copied of
    each row's answer. Raises NotClosed."""
    texts = [told_of(text_of(row.prompt), "") for row in rows]
    fields = _fields(rows, texts)
    if not fields:
        raise NotClosed("A tagger cannot give this task's answers: no field is copied.", "Other methods make answers.")
    rests = [_rest(row, fields) for row in rows]
    tagged: list[Tagged] = []
    for row in rows:
        if one := _tagged(row, fields):
            tagged.append(one)
    if (given := len(tagged) / len(rows)) < LEAST_GIVEN:
        fact = f"A tagger cannot give this task's answers: {1 - given:.0%} of them hold what is made, not copied."
        raise NotClosed(fact, "Other methods make answers.")
    return fields, tagged, rests


def _tagged(row: Row, fields: Sequence[Field]) -> Tagged | None:
    """The row, tagged; None if a value does not stand there, or nothing does."""
    told = told_of(text_of(row.prompt), row.act)
    tags = _tags(row, fields, told)
    return Tagged(told, tags, act=row.act) if tags else None


def _seen(tagged: Sequence[Tagged], by: EmbedsSpans | None) -> Sequence[Tagged]:
    """They, with the vectors of their tokens."""
    if by is None:
        return tagged
    return [replace(one, vectors=vectors_of(one.told.text, one.told.spans, by, timeout_s=EMBED_S)) for one in tagged]


def exchanged(tagged: Sequence[Tagged], seed: int) -> list[Tagged]:
    """The rows with their values' words exchanged for random ones of the same letters' case and length.

    What is personal in training rows are surrogates, of which there are few; so that a value is known by what it looks
    like and by what stands beside it, not by being one of these.
    """
    chance = random.Random(seed)
    return [replace(one, told=_exchanged(one, chance), vectors=None) for one in tagged if any(one.tags)]


def _exchanged(one: Tagged, chance: random.Random) -> Told:
    parts, end = list[str](), 0
    for (begin, after), tag in zip(one.told.spans, one.tags, strict=True):
        word = one.told.text[begin:after]
        parts += [one.told.text[end:begin], word if tag == OUTSIDE else _random_word(word, chance)]
        end = after
    return told_of("".join((*parts, one.told.text[end:])), one.act)


def _random_word(word: str, chance: random.Random) -> str:
    """Of the same length, so that all tokens stand where they stood."""
    letters = {"a": ascii_lowercase, "A": ascii_uppercase, "9": digits}
    kinds = ["9" if c in digits else "a" if c in ascii_lowercase else "A" if c in ascii_uppercase else "" for c in word]
    return "".join(chance.choice(letters[kind]) if kind else c for c, kind in zip(word, kinds, strict=True))


def _fields(rows: Sequence[Row], texts: Sequence[Told]) -> tuple[Field, ...]:
    shown: Counter[Place] = Counter()
    copied: Counter[Place] = Counter()
    distinct: dict[Place, set[str]] = defaultdict(set)
    for row, text in zip(rows, texts, strict=True):
        at = _Ends(text)
        for place, leaf in row.leaves.items():
            for value in _values(leaf):
                shown[place] += 1
                copied[place] += at.first(value, frozenset()) is not None
                distinct[place].add(value)
    places = [p for p, n in shown.items() if n >= LEAST_SHOWN and copied[p] >= COPIED * n and len(distinct[p]) > 1]
    return tuple(_field(place, rows) for place in places[:MOST_FIELDS])


def _field(place: Place, rows: Sequence[Row]) -> Field:
    having = [row for row in rows if place in row.leaves]
    leaves, acts = [row.leaves[place] for row in having], sorted({row.act for row in having})
    many = sum(isinstance(leaf, list) for leaf in leaves) * 2 > len(leaves)
    every = [item for leaf in leaves for item in (leaf if isinstance(leaf, list) else [leaf])]
    quoted = any(isinstance(item, str) and item for item in every)
    without = Counter("null" if leaf is None else "empty" for leaf in leaves if not _values(leaf))
    others = [row for row in rows if row.leaves and place not in row.leaves and row.act in acts]
    without["missing"] += len(others)
    return Field(place, many, quoted, without.most_common(1)[0][0], tuple(acts))


def _rest(row: Row, fields: Sequence[Field]) -> str:
    """The answer without its copied fields; all of it if it is no JSON."""
    if not row.leaves:
        return row.answer
    value = orjson.loads(orjson.dumps(row.value))
    for field in fields:
        if field.place in row.leaves:
            _drop(value, field.place)
    return json.dumps(value)


def _drop(value: Any, place: Place) -> None:
    for step in place[:-1]:
        value = value[step]
    if isinstance(value, dict):
        del value[place[-1]]


def _tags(row: Row, fields: Sequence[Field], text: Told) -> list[int]:
    """The tag of each token; empty if a value does not stand there, or nothing does."""
    tags, at, taken = [OUTSIDE] * len(text.spans), _Ends(text), set[int]()
    wanted = [(number, value) for number, field in enumerate(fields) for value in _values(row.leaves.get(field.place))]
    for number, value in sorted(wanted, key=lambda one: -len(one[1])):
        span = at.first(value, taken)
        if span is None:
            return []
        begin, end = span
        tags[begin] = 2 * number + 1
        tags[begin + 1 : end + 1] = [2 * number + 2] * (end - begin)
        taken.update(range(begin, end + 1))
    return tags


class _Ends:
    """Where the tokens of a text begin and end."""

    def __init__(self, told: Told) -> None:
        self._text = told.text
        self._begins = {begin: n for n, (begin, _) in enumerate(told.spans)}
        self._ends = {end: n for n, (_, end) in enumerate(told.spans)}

    def first(self, value: str, taken: set[int] | frozenset[int]) -> Span | None:
        """The first part of the text, whole tokens that are not taken, that is the value."""
        at = self._text.find(value)
        while at >= 0:
            begin, end = self._begins.get(at), self._ends.get(at + len(value))
            if begin is not None and end is not None and taken.isdisjoint(range(begin, end + 1)):
                return begin, end
            at = self._text.find(value, at + 1)
        return None


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Leaf]]:
    """The values of JSON; a list that holds no other lists or objects is one."""
    if isinstance(value, dict):
        for key, item in cast(dict[str, Any], value).items():
            yield from _leaves(item, (*place, key))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in cast(list[Any], value)):
        for n, item in enumerate(cast(list[Any], value)):
            yield from _leaves(item, (*place, n))
    elif place:
        yield place, value


def _values(leaf: Leaf) -> list[str]:
    """What of a field may be copied, as it would stand in a prompt. A word that says yes or no is no copy."""
    items = leaf if isinstance(leaf, list) else [leaf]
    return [_text(item) for item in items if item not in (None, "") and not isinstance(item, bool)]


def _text(item: Scalar) -> str:
    return item if isinstance(item, str) else orjson.dumps(item).decode()


def _keys(rows: Sequence[Row]) -> tuple[str, ...]:
    """All keys, by their usual order."""
    places: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        keys = list(dict.fromkeys(step for place in row.leaves for step in place if isinstance(step, str)))
        for n, key in enumerate(keys):
            places[key].append(n / len(keys))
    return tuple(sorted(places, key=lambda key: (sum(places[key]) / len(places[key]), key)))


def _style(rows: Sequence[Row]) -> int:
    """The way in which most answers are written."""
    read = [row for row in rows if row.value is not None][:50]
    alike = [sum(dumped(row.value, (), style) == row.answer for row in read) for style in range(len(STYLES))]
    return int(np.argmax(alike))
