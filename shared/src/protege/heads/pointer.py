"""A pointer: which action comes next, and what each of its arguments copies out of the conversation.

One softmax chooses the action, among those that training showed: a shape of JSON, whose gaps are filled with copied
texts, or an action that it cannot write (its arguments are made, or it is words), for which it gives no answer at all.
For each gap another softmax chooses among the texts of the conversation. The answer's probability is the product of
theirs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import orjson

from .conversation import Conversation, Found, leaves, shape, words
from .features import hashed
from .head import NO_OTHER, Chosen

VERSION = 1
MAGIC = b"PTGPNTR1"
MOST_BYTES = 64 << 20
MOST_WORDS = 60
"""Words of each sort of text that count towards the choice of an action: the first and the last half of them."""
STRUCTURE = 1.5
"""What the group of marks about a conversation's course weighs beside those of words, which weigh 1."""
GAP = "\x00"
"""What stands in a template for the text that fills a gap."""

Marks = Mapping[int, float]
"""Hashed features and their values."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A text that is copied."""

    quoted: bool
    """Whether it is written as a text; if not, as a number."""
    shapes: frozenset[str]
    """The shapes of texts that training showed here."""
    weights: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Act:
    """An action."""

    name: str
    """Of its tool; empty for words."""
    template: str
    """JSON, with `GAP` for each gap; empty if it cannot be written."""
    gaps: tuple[Gap, ...]
    weights: Mapping[int, float]
    carried: tuple[str, ...] = ()
    """The top fields that are as in the assistant's last answer in JSON, if that has them (`carry`)."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """The whole model."""

    acts: tuple[Act, ...]
    taught_by: None = None
    """It knows nothing by an embedding."""

    def seen(self, prompt: str, by: Any, *, timeout_s: float) -> None:
        """Nothing."""

    def answer(self, prompt: str, vector: Any = None) -> Chosen:
        """The likeliest answer to a rendered prompt; the empty text if the likeliest action cannot be written."""
        conversation = Conversation.of(prompt)
        found = conversation.found()
        count = max(1, len(prompt.split()))
        marks = course(conversation, found)
        chances = log_softmax([score(act.weights, marks) for act in self.acts])
        best = max(range(len(chances)), key=chances.__getitem__)
        act = self.acts[best]
        other = max((chance for n, chance in enumerate(chances) if n != best), default=NO_OTHER)
        if not act.template:
            return Chosen(("",), (chances[best],), (bounded(other),), count)
        return _filled(act, conversation, found, (chances[best], other), count)


def _filled(
    act: Act, conversation: Conversation, found: Sequence[Found], chance: tuple[float, float], count: int
) -> Chosen:
    texts = carry(act, conversation).split(GAP)
    pieces, logprobs, others = [texts[0]], [chance[0]], [chance[1]]
    for gap, after in zip(act.gaps, texts[1:], strict=True):
        told = candidates(found, gap, conversation, act.name)
        if not told:
            return Chosen(("",), (chance[0],), (bounded(chance[1]),), count)
        odds = log_softmax([score(gap.weights, marks) for _, marks in told])
        order = sorted(range(len(odds)), key=odds.__getitem__, reverse=True)
        text = told[order[0]][0]
        pieces[-1] += orjson.dumps(text).decode() if gap.quoted else text
        second = odds[order[1]] if len(order) > 1 else NO_OTHER
        others[-1] = max(others[-1] + odds[order[0]], logprobs[-1] + second)
        logprobs[-1] += odds[order[0]]
        pieces.append(after)
        logprobs.append(0.0)
        others.append(NO_OTHER)
    return Chosen(tuple(pieces), tuple(min(0.0, log) for log in logprobs), tuple(map(bounded, others)), count)


def carry(act: Act, conversation: Conversation) -> str:
    """The act's template, its carried fields as the assistant last wrote them."""
    last = conversation.last_json
    if not act.carried or not isinstance(last, dict):
        return act.template
    value = cast(dict[str, Any], orjson.loads(act.template.replace(GAP, '"\\u0000"')))
    kept = {key: last[key] for key in act.carried if key in last and key in value}
    if "\\u0000" in orjson.dumps(kept).decode():
        return act.template
    return orjson.dumps({**value, **kept}).decode().replace('"\\u0000"', GAP)


def candidates(found: Sequence[Found], gap: Gap, conversation: Conversation, act: str) -> list[tuple[str, Marks]]:
    """The texts that may fill a gap, with their features."""
    alike = [(one, of) for one in found if (of := shape(one.text)) in gap.shapes and (gap.quoted or _number(one.text))]
    asked = {text for name, value in conversation.acts if name == act for _, text in leaves(value)}
    fresh = [one.text for one, _ in alike if one.text not in asked]
    rank = {text: n for n, text in enumerate(fresh)}
    last_words = set(words(conversation.newest("assistant"))[-MOST_WORDS:])
    told: list[tuple[str, Marks]] = []
    for one, of in alike:
        marks = {*one.marks, f"shape {of}"}
        if one.text in rank:
            n = rank[one.text]
            marks |= {f"fresh {min(n, 4)}", f"last {min(len(fresh) - 1 - n, 4)}"}
        else:
            marks.add("asked")
        if any(mark[0] == "l" for mark in one.marks):
            told_of = sum(mark[2:] in last_words for mark in one.marks if mark[:2] == "l ")
            marks.add(f"meant {min(told_of, 3)}")
        told.append((one.text, {hashed(mark): 1.0 for mark in marks}))
    return told


def course(conversation: Conversation, found: Sequence[Found]) -> Marks:
    """The features by which an action is chosen: the course of the conversation, and what was said last."""
    names = [name for name, _ in conversation.acts]
    times = Counter(names)
    parts = conversation.parts
    structure = {"bias", *(f"{n} {name}" for n, name in enumerate(reversed(names[-3:])))}
    structure |= {f"ever {name}" for name in times} | {f"twice {name}" for name in times if times[name] > 1}
    structure.add(f"last by {parts[-1].who}" if parts else "empty")
    structure.add(f"users {min(4, sum(part.who == 'user' for part in parts))}")
    fresh: dict[str, int] = {}
    for one in found:
        of = shape(one.text)
        if any(c.isdigit() for c in one.text) or of in ("@", "url"):
            if "used" not in one.marks:
                fresh[of] = fresh.get(of, 0) + 1
            if "in user0" in one.marks:
                structure.add(f"said {of} {'used' in one.marks}")
    structure |= {f"fresh {of} {min(count, 3)}" for of, count in fresh.items()}
    result = next((part for part in reversed(parts) if part.who == "result"), None)
    spoken = [part.text for part in parts if part.who == "user"]
    if result is not None:
        told_of = {word for text in spoken for word in words(text[:4_000]) if len(word) > 3}
        names = (
            {word for _, text in leaves(result.value) for word in words(text)} if result.value is not None else set()
        )
        structure.add(f"about {min(len(told_of & names), 3)}")
    groups = [(structure, STRUCTURE), (_words("u", spoken[-1] if spoken else ""), 1.0)]
    groups.append((_words("f", spoken[0] if len(spoken) > 1 else ""), 1.0))
    said = next((p.text for p in reversed(parts) if p.who == "assistant" and p.value is None), "")
    groups.append((_words("a", said), 1.0))
    if result is not None and parts[-1].who == "result":
        told = {f"{path}={text}" for path, text in leaves(result.value) if len(text) <= 20 and text.isalpha()}
        groups.append((told or _words("r", result.text), 1.0))
    marks: dict[int, float] = {}
    for group, share in groups:
        for mark in group:
            marks[hashed(mark)] = share / math.sqrt(len(group))
    return marks


def _words(sort: str, text: str) -> set[str]:
    said = words(text[:4_000])
    if len(said) > MOST_WORDS:
        said = [*said[: MOST_WORDS // 2], *said[-MOST_WORDS // 2 :]]
    return {f"{sort} {word}" for word in said} | {f"{sort} {a} {b}" for a, b in pairwise(said)}


def score(weights: Mapping[int, float], marks: Marks) -> float:
    """The weighed sum."""
    return math.fsum(weights[mark] * value for mark, value in marks.items() if mark in weights)


def log_softmax(odds: Sequence[float]) -> list[float]:
    """The logarithm of each one's share. Exact for what is nearly certain too."""
    best = max(odds)
    at = odds.index(best)
    rest = math.fsum(math.exp(odd - best) for n, odd in enumerate(odds) if n != at)
    return [odd - best - math.log1p(rest) for odd in odds]


def bounded(log: float) -> float:
    return max(NO_OTHER, min(0.0, log))


def _number(text: str) -> bool:
    try:
        return isinstance(orjson.loads(text), int | float)
    except orjson.JSONDecodeError:
        return False


def to_bytes(pointer: Pointer) -> bytes:
    """A pointer's file. The same pointer gives the same bytes."""
    acts = [
        {
            "name": act.name,
            "template": act.template,
            "carried": list(act.carried),
            "weights": _weights_to(act.weights),
            "gaps": [
                {"quoted": gap.quoted, "shapes": sorted(gap.shapes), "weights": _weights_to(gap.weights)}
                for gap in act.gaps
            ],
        }
        for act in pointer.acts
    ]
    return MAGIC + orjson.dumps({"version": VERSION, "acts": acts})


def from_bytes(body: bytes) -> Pointer:
    """The pointer in a file's bytes. Raises ValueError where they are damaged, too many, or of another version."""
    if len(body) > MOST_BYTES or body[: len(MAGIC)] != MAGIC:
        raise ValueError("no pointer, or too large")
    try:
        document = orjson.loads(body[len(MAGIC) :])
        if document["version"] != VERSION:
            raise ValueError("a pointer of another version")
        acts = tuple(_act(record) for record in document["acts"])
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"no pointer ({type(error).__name__})") from None
    if not acts:
        raise ValueError("no actions")
    return Pointer(acts)


def _act(record: Mapping[str, Any]) -> Act:
    gaps = tuple(
        Gap(bool(gap["quoted"]), frozenset(map(str, gap["shapes"])), _weights_from(gap["weights"]))
        for gap in record["gaps"]
    )
    template = str(record["template"])
    if template and template.count(GAP) != len(gaps):
        raise ValueError("an action's gaps do not fit its text")
    carried = tuple(map(str, record["carried"]))
    return Act(str(record["name"]), template, gaps, _weights_from(record["weights"]), carried)


def _weights_to(weights: Mapping[int, float]) -> list[list[Any]]:
    return [sorted(weights), [weights[mark] for mark in sorted(weights)]]


def _weights_from(record: Iterable[Any]) -> dict[int, float]:
    marks, values = record
    numbers = {int(mark): float(value) for mark, value in zip(marks, values, strict=True)}
    if not all(map(math.isfinite, numbers.values())):
        raise ValueError("a number that is none")
    return numbers
