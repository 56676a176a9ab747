"""A pointer: which action comes next, and which text of the conversation each of its arguments copies. Without torch.

It needs not write every action: one whose arguments are made, and a turn in words, it leaves to the teacher.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import orjson
from threadpoolctl import threadpool_limits

from ...chat.acts import READ, act_in
from ...common.files import write_private
from ...common.progress import Bar, Progress
from ...errors import NotClosed, NotEnoughCalls
from ...heads import FILE
from ...heads.conversation import Conversation, json_in, shape
from ...heads.pointer import GAP, Act, Gap, Marks, Pointer, candidates, course, to_bytes
from ..tuner import Learned, Lesson
from . import logit
from .head import LEAST_ROWS, HeadTuner, Shown, shown

LEAST_SHOWN = 5
"""An action with fewer training rows is not written."""
COPIED = 0.9
"""An argument is copied if so many of its training values stand in the conversation."""
A_CHOICE = 4
"""An argument with so many rows to each of its values on average is chosen among them; each is an action of its own."""
MOST_POINTED = 250
"""Rows that pointing is learnt from; more take time and memory, and hardly help."""
LEAST_GIVEN = 0.05
"""The share of training rows whose action can be written, without which nothing is learnt."""

Place: TypeAlias = tuple[str | int, ...]
"""Keys and positions that lead to a leaf."""
Leaf: TypeAlias = str | float | bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """A training row, read."""

    conversation: Conversation
    course: Marks
    """The features by which the action is chosen."""
    stands: frozenset[str]
    """Those texts of the answer that stand in the conversation."""
    value: Any
    """The answer's JSON, that part of it which counts; None if it is words."""
    whole: Any
    """All of the answer's JSON."""
    name: str
    """Of its action."""

    @property
    def leaves(self) -> dict[Place, Leaf]:
        return dict(_leaves(self.value))


class PointerTuner(HeadTuner):
    """Gives `head.bin`, of another format than a head's."""

    name = "pointer"

    def learn(self, lesson: Lesson, progress: Progress) -> Learned:
        """Find the actions that can be written, and learn to choose and to point. Raises NotClosed, NotEnoughCalls."""
        if lesson.task.kind not in ("tool_calls", "json"):
            raise NotClosed("A pointer writes tool calls or JSON alone.", "Other methods make answers.")
        examples = shown(lesson.task, lesson.curated.examples("train"), lesson.settings.form)
        if (missing := LEAST_ROWS - len(examples)) > 0:
            fact = f"Only {len(examples)} training examples can be used; {LEAST_ROWS} are needed."
            raise NotEnoughCalls(fact, "Record more calls.", missing=missing)
        rows = [_read(example, lesson.settings.fields) for example in examples]
        kinds, labels = _kinds(rows)
        given = sum(bool(kinds[label].template) for label in labels) / len(labels)
        if given < LEAST_GIVEN:
            fact = f"A pointer cannot write this task's actions: what {1 - given:.0%} of them hold is made, not copied."
            raise NotClosed(fact, "Other methods make answers.")
        step = progress.step(f"{lesson.task.name}: learning to choose and to point", 1 + len(kinds))
        with step as bar, threadpool_limits(1, "blas"):
            pointer, figures = _taught(rows, kinds, labels, bar)
        lesson.begin()
        write_private(lesson.folder / FILE, to_bytes(pointer))
        longest = max(len(act.gaps) for act in pointer.acts) + 2
        return Learned({"head": FILE}, longest, {"examples": len(rows), "given": given, **figures})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of action that training shows."""

    name: str
    template: str = ""
    """As `Act.template`."""
    gaps: tuple[Place, ...] = ()
    """In the order in which they stand in the template."""
    carried: tuple[str, ...] = ()


def _taught(
    rows: Sequence[Row], kinds: Sequence[Kind], labels: Sequence[int], bar: Bar
) -> tuple[Pointer, dict[str, Any]]:
    weights, told = logit.choice([row.course for row in rows], labels, len(kinds))
    bar.advance()
    right = np.array([logs.argmax() == label for logs, label in zip(told, labels, strict=True)])
    acts: list[Act] = []
    for number, kind in enumerate(kinds):
        those = [n for n, label in enumerate(labels) if label == number]
        gaps: list[Gap] = []
        for place in kind.gaps:
            gap, wrong = _gap([rows[n] for n in those], place)
            gaps.append(gap)
            right[[those[n] for n in wrong]] = False
        acts.append(Act(kind.name, kind.template, tuple(gaps), weights[number], kind.carried))
        bar.advance()
    can = np.array([bool(kinds[label].template) for label in labels])
    names = [f"{act.name or 'words'}{'' if act.template else ' (to the teacher)'}" for act in acts]
    return Pointer(tuple(acts)), {"actions": names, "agreement_left_out": float((right & can).mean())}


def _gap(rows: Sequence[Row], place: Place) -> tuple[Gap, list[int]]:
    """The gap at a place, and the rows whose text is not among the candidates, or is not pointed at by weights that did
    not see the row."""
    values = [row.leaves[place] for row in rows]
    quoted = any(isinstance(value, str) for value in values)
    texts = [_text(value) for value in values]
    empty = Gap(quoted, frozenset(map(shape, texts)), {})
    asked: list[logit.Asked] = []
    places: list[int] = []
    wrong: list[int] = []
    for n in range(0, len(rows), -(-len(rows) // MOST_POINTED)):
        row, text = rows[n], texts[n]
        told = candidates(row.conversation.found(), empty, row.conversation, row.name)
        if (at := next((i for i, (other, _) in enumerate(told) if other == text), None)) is not None:
            asked.append(([marks for _, marks in told], at))
            places.append(n)
        else:
            wrong.append(n)
    weights, held_out = logit.pointing(asked)
    wrong += [n for n, logs, (_, at) in zip(places, held_out, asked, strict=True) if logs.argmax() != at]
    return Gap(quoted, empty.shapes, weights), wrong


def _kinds(rows: Sequence[Row]) -> tuple[list[Kind], list[int]]:
    """The kinds of action, and that of each row. What cannot be written is of one kind for each tool."""
    forms: dict[tuple[str, tuple[Place, ...]], list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        if row.value is not None:
            forms[row.name, tuple(row.leaves)].append(n)
    kinds: dict[int, Kind] = {}
    for (_, places), those in forms.items():
        if len(those) >= LEAST_SHOWN:
            kinds |= _written([rows[n] for n in those], those, places)
    every = [kinds.get(n) or Kind(row.name) for n, row in enumerate(rows)]
    counts = Counter(kind.name for kind in every if not kind.template)
    few = {name for name, count in counts.items() if count < LEAST_SHOWN}
    every = [Kind("") if not kind.template and kind.name in few else kind for kind in every]
    distinct = sorted(set(every), key=lambda kind: (kind.name, kind.template, repr(kind.gaps)))
    return distinct, [distinct.index(kind) for kind in every]


def _written(rows: Sequence[Row], numbers: Sequence[int], places: Sequence[Place]) -> dict[int, Kind]:
    """The kinds of these rows, all of one form, by their numbers; empty if an argument is made."""
    gaps: set[Place] = set()
    for place in places:
        values = [row.leaves[place] for row in rows]
        copied = sum(_stands(row, value) for row, value in zip(rows, values, strict=True)) / len(rows)
        distinct = len({repr(value) for value in values})
        if copied >= COPIED and distinct > 1:
            gaps.add(place)
        elif distinct * A_CHOICE > len(rows):
            return {}
    kinds: dict[int, Kind] = {}
    alike: dict[str, list[int]] = defaultdict(list)
    for n, row in enumerate(rows):
        alike[_template(row.value, gaps)].append(n)
    for template, those in alike.items():
        if len(those) < LEAST_SHOWN:
            continue
        first = rows[those[0]]
        carried, text = _with_carried([rows[n].whole for n in those], first.value, template)
        order = tuple(place for place in places if place in gaps)
        if text.count(GAP) != len(order):  # the answers themselves hold what stands for a gap
            continue
        kinds |= {numbers[n]: Kind(first.name, text, order, carried) for n in those}
    return kinds


def _with_carried(wholes: Sequence[Any], counts: Any, template: str) -> tuple[tuple[str, ...], str]:
    """The fields that do not count, and the template with them: as most rows have them, else empty."""
    if not isinstance(wholes[0], dict) or not isinstance(counts, dict):
        return (), template
    others = tuple(key for key in wholes[0] if key not in counts)
    if not others:
        return (), template
    value = cast(dict[str, Any], orjson.loads(template.replace(GAP, '"\\u0000"')))
    usual = {key: _usual([whole.get(key) for whole in wholes]) for key in others}
    ordered = {key: usual[key] if key in usual else value[key] for key in wholes[0]}
    return others, orjson.dumps(ordered).decode().replace('"\\u0000"', GAP)


def _usual(values: Sequence[Any]) -> Any:
    """The value that more than half have; else the commonest of numbers, and what is empty of any other sort."""
    if all(isinstance(value, dict) for value in values):
        return {key: _usual([value.get(key) for value in values]) for key in values[0]}
    most, count = Counter(orjson.dumps(value) for value in values).most_common(1)[0]
    value = orjson.loads(most)
    if 2 * count > len(values) or isinstance(value, int | float | None):
        return value
    return type(value)()


def _template(value: Any, gaps: set[Place], place: Place = ()) -> str:
    """JSON with `GAP` for the leaves at these places."""
    if place in gaps:
        return GAP
    if isinstance(value, dict) and value:
        fields = cast(dict[str, Any], value)
        inner = (f"{orjson.dumps(key).decode()}:{_template(fields[key], gaps, (*place, key))}" for key in fields)
        return f"{{{','.join(inner)}}}"
    if isinstance(value, list) and value:
        items = enumerate(cast(list[Any], value))
        return f"[{','.join(_template(item, gaps, (*place, n)) for n, item in items)}]"
    return orjson.dumps(value).decode()


def _read(example: Shown, fields: str) -> Row:
    conversation = Conversation.of(example.prompt)
    whole = json_in(example.answer)
    value = whole
    if fields and isinstance(whole, dict):
        tops = {path.partition(".")[0] for path in fields.split(",")}
        value = {key: whole[key] for key in whole if (key not in READ if "*" in tops else key in tops)} or None
    name = "" if value is None else act_in(value)
    found = conversation.found()
    texts = {_text(leaf) for _, leaf in _leaves(value)}
    stands = frozenset(texts.intersection(one.text for one in found))
    return Row(conversation, course(conversation, found), stands, value, whole, name)


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Leaf]]:
    if isinstance(value, Mapping) and value:
        for key, item in cast(Mapping[str, Any], value).items():
            yield from _leaves(item, (*place, key))
    elif isinstance(value, list) and value:
        for n, item in enumerate(cast(list[Any], value)):
            yield from _leaves(item, (*place, n))
    elif value is not None or place:
        yield place, value if isinstance(value, str | int | float | bool | None) else repr(value)


def _text(value: Leaf) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _stands(row: Row, value: Leaf) -> bool:
    """Whether the value may be copied out of the conversation. A word that says yes or no is no copy."""
    if isinstance(value, bool) or value is None:
        return False
    return _text(value) in row.stands
