"""How a specialist's wrong answers differ from the teacher's: labels that are confused, and fields that differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .judging import Judged

MOST = 20
"""The most confusions or fields reported."""
LABEL_CHARACTERS = 80
"""A longer answer is not a label."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """A label that the specialist gave in `n` calls in which the teacher gave another."""

    teacher: str
    specialist: str
    n: int


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """How often a field of JSON answers or an argument of tool calls differs."""

    field: str
    """Such as `person.name`, `items[].price` or `search.query`. A tool's name stands for the call itself."""
    calls: int = 0
    """Calls in which either answer has it."""
    missing: int = 0
    """Calls in which only the teacher has it."""
    extra: int = 0
    """Calls in which only the specialist has it."""
    different: int = 0
    """Calls in which both have it, with different values."""

    @property
    def wrong(self) -> int:
        """Calls in which this field differs from the teacher's."""
        return self.missing + self.extra + self.different


def repeated_answers(judged: Sequence[Judged]) -> bool:
    """Whether the teacher's answers are labels: each one short line, not JSON, and at least half of them repeats."""
    answers = [j.teacher.strip() for j in judged]
    short = all(len(a) <= LABEL_CHARACTERS and "\n" not in a and a[:1] not in ("{", "[") for a in answers)
    return short and 0 < len(set(answers)) <= len(answers) / 2


def confusions(judged: Sequence[Judged]) -> tuple[Confusion, ...]:
    """Which label the specialist gave for which, the most frequent first, at most MOST; none if answers are not labels.

    Invalid answers do not count, since live they are handed back.
    """
    if not repeated_answers(judged):
        return ()
    counted = Counter((j.teacher.strip(), j.answer.strip()) for j in judged if j.valid and not j.agreed)
    ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    return tuple(Confusion(teacher, specialist, n) for (teacher, specialist), n in ranked[:MOST])


def field_differences(judged: Sequence[Judged]) -> tuple[FieldDifference, ...]:
    """The fields that differ, the most often wrong first, at most MOST.

    Counted over the valid answers that, like the teacher's, are JSON objects, lists or tool calls.
    """
    by_name: dict[str, FieldDifference] = {}
    for j in judged:
        mine, theirs = fields(j.answer), fields(j.teacher)
        if not j.valid or mine is None or theirs is None:
            continue
        for name in {name for name, _ in mine.keys() | theirs.keys()}:
            known = by_name.setdefault(name, FieldDifference(name))
            by_name[name] = _counted(known, _of(mine, name), _of(theirs, name))
    wrong = [field for field in by_name.values() if field.wrong]
    return tuple(sorted(wrong, key=lambda field: (-field.wrong, field.field))[:MOST])


def _counted(known: FieldDifference, mine: Mapping[Any, str], theirs: Mapping[Any, str]) -> FieldDifference:
    known = replace(known, calls=known.calls + 1)
    if mine == theirs:
        return known
    if theirs.keys() - mine.keys():
        return replace(known, missing=known.missing + 1)
    if mine.keys() - theirs.keys():
        return replace(known, extra=known.extra + 1)
    return replace(known, different=known.different + 1)


def _of(leaves: Mapping[tuple[str, str], str], name: str) -> dict[tuple[str, str], str]:
    return {key: value for key, value in leaves.items() if key[0] == name}


def tools_called(answer: str) -> tuple[str, ...]:
    """The names of the tools that an answer calls, sorted, each once; empty if it calls none."""
    return tuple(sorted({name for name, _ in _tool_calls(_parsed(answer))}))


def fields(answer: str) -> dict[tuple[str, str], str] | None:
    """An answer's leaves as canonical JSON, by the field's name and its places in lists; None if the answer is neither
    a JSON object nor a list."""
    value = _parsed(answer)
    if not isinstance(value, dict | list):
        return None
    calls = _tool_calls(value)
    if not calls:
        return dict(_leaves(value, "", ""))
    leaves: dict[tuple[str, str], str] = {}
    seen: Counter[str] = Counter()
    for name, arguments in sorted(calls, key=lambda call: (call[0], _canonical(call[1]))):
        seen[name] += 1
        leaves[name, str(seen[name])] = ""
        if arguments:
            leaves |= dict(_leaves(arguments, name, str(seen[name])))
    return leaves


def _parsed(answer: str) -> Any:
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return None


def _tool_calls(value: Any) -> list[tuple[str, dict[str, Any]]]:
    """Name and arguments of each tool call, as `chat.answer.answer_text` writes them; empty if the value is not
    that."""
    calls: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(call, dict) and set(call) == {"name", "arguments"} for call in calls):
        return []
    named = [(str(call["name"]), call["arguments"]) for call in calls]
    return named if all(isinstance(arguments, dict) for _, arguments in named) else []


def _leaves(value: Any, name: str, place: str) -> Iterator[tuple[tuple[str, str], str]]:
    """Each leaf's canonical text by name and place; an empty object or list is a leaf."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}.{key}" if name else str(key), place)
    elif isinstance(value, list) and value:
        for i, item in enumerate(value):
            yield from _leaves(item, f"{name}[]", f"{place}.{i}")
    else:
        yield (name, place), _canonical(value)


def _canonical(value: Any) -> str:
    """One text for equal values: keys sorted, whole floats as integers; 1, true and "1" stay different."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
