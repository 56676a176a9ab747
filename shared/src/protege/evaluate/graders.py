"""Whether two answers are the same, by kind of output.

A grader is any object with the four members of `Grader`; it is given answers as `protege.answer.answer_text` writes
them. A task whose answers are the same under other terms gets its own in a few lines:

    class SameDate:
        name = "same date"
        similarity = False

        def agree(self, answer: str, teacher: str) -> bool:
            return parse_date(answer) == parse_date(teacher)

        def score(self, answer: str, teacher: str) -> float:
            return float(self.agree(answer, teacher))

    protege.evaluate.register("text", SameDate())
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from ..errors import MissingDependency
from ..task import Kind, Task
from .sql import normal_form


class Grader(Protocol):
    """name: what is measured, as reports print it. similarity: it measures likeness, which is less than agreement."""

    @property
    def name(self) -> str: ...
    @property
    def similarity(self) -> bool: ...
    def agree(self, answer: str, teacher: str) -> bool:
        """Whether the answer counts as the teacher's."""
        ...

    def score(self, answer: str, teacher: str) -> float:
        """How much of the answer is the teacher's, 0 to 1."""
        ...


def grader_for(task: Task) -> Grader:
    """The grader of the task's kind of output."""
    return _graders[task.kind]


def register(kind: Kind, grader: Grader) -> None:
    """Judge this kind of output by `grader` from now on, in this process."""
    _graders[kind] = grader


class Exact:
    """The same text, but for white space around it."""

    name = "exact match"
    similarity = False

    def agree(self, answer: str, teacher: str) -> bool:
        return answer.strip() == teacher.strip()

    def score(self, answer: str, teacher: str) -> float:
        return float(self.agree(answer, teacher))


class JsonFields:
    """The same JSON value: every field equal, whatever the order of keys.

    1 equals 1.0 but neither "1" nor true; the order of a list counts. Score: the share of leaf fields that are equal,
    of all that either has. What is not JSON agrees with nothing but the same text.
    """

    name = "JSON by fields"
    similarity = False

    def agree(self, answer: str, teacher: str) -> bool:
        mine, theirs = _parsed(answer), _parsed(teacher)
        if mine is None or theirs is None:
            return mine is theirs and answer.strip() == teacher.strip()
        return _canonical(mine[0]) == _canonical(theirs[0])

    def score(self, answer: str, teacher: str) -> float:
        mine, theirs = _parsed(answer), _parsed(teacher)
        if mine is None or theirs is None:
            return float(self.agree(answer, teacher))
        return _share(dict(_leaves(mine[0])), dict(_leaves(theirs[0])))


class ToolCalls:
    """The same tools called with the same arguments, in any order; text against text, but for white space.

    Arguments are compared as JSON. Score: the share of names and of leaf arguments that are equal.
    """

    name = "tool calls by name and arguments"
    similarity = False

    def agree(self, answer: str, teacher: str) -> bool:
        mine, theirs = _tool_calls(answer), _tool_calls(teacher)
        if mine is None or theirs is None:
            return mine is theirs and answer.split() == teacher.split()
        return mine == theirs

    def score(self, answer: str, teacher: str) -> float:
        mine, theirs = _tool_calls(answer), _tool_calls(teacher)
        if mine is None or theirs is None:
            return float(self.agree(answer, teacher))
        return _share(_call_leaves(mine), _call_leaves(theirs))


class Sql:
    """The same query, but for layout, the case of key words and names, and a closing semicolon (see `normal_form`)."""

    name = "SQL in normal form"
    similarity = False

    def agree(self, answer: str, teacher: str) -> bool:
        return normal_form(answer) == normal_form(teacher)

    def score(self, answer: str, teacher: str) -> float:
        return float(self.agree(answer, teacher))


class TextSimilarity:
    """chrF (Popović 2015: F-score of character n-grams up to 6, sacrebleu's defaults), as a share of 1.

    Answers count as the same from `least` on. That is similarity: two texts may be alike and mean different things.
    Raises MissingDependency without sacrebleu.
    """

    similarity = True

    def __init__(self, least: float = 0.8) -> None:
        self.name = f"similarity: chrF ≥ {least:.2f}"
        self.least = least

    def agree(self, answer: str, teacher: str) -> bool:
        return self.score(answer, teacher) >= self.least

    def score(self, answer: str, teacher: str) -> float:
        if answer.strip() == teacher.strip():
            return 1.0
        return _chrf().sentence_score(answer, [teacher]).score / 100


_graders: dict[Kind, Grader] = {
    "label": Exact(),
    "json": JsonFields(),
    "tool_calls": ToolCalls(),
    "sql": Sql(),
    "code": Exact(),
    "text": TextSimilarity(),
}


def _parsed(text: str) -> tuple[Any] | None:
    """The JSON value, in a tuple because it may be null; None where the text is no JSON.

    The standard parser rather than orjson: that reads integers beyond 64 bits as floats, which makes two card or
    account numbers equal that are not.
    """
    try:
        return (json.loads(text, parse_constant=_refuse),)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _canonical(value: Any) -> str:
    """One text for all values that are equal: keys sorted, whole floats as integers; true and "1" keep their types."""
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each leaf's path and canonical text; an empty object or list is a leaf."""
    if value and isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, str(key)))
    elif value and isinstance(value, list):
        for position, item in enumerate(value):
            yield from _leaves(item, (*path, position))
    else:
        yield path, _canonical(value)


def _share(mine: Mapping[Any, str], theirs: Mapping[Any, str]) -> float:
    fields = mine.keys() | theirs.keys()
    equal = sum(mine.get(field) == theirs.get(field) for field in fields)
    return equal / len(fields) if fields else 1.0


def _tool_calls(text: str) -> list[tuple[str, str]] | None:
    """Name and canonical arguments of each call, sorted; None where the text is an answer in words."""
    parsed = _parsed(text)
    if parsed is None:
        return None
    calls = parsed[0] if isinstance(parsed[0], list) else [parsed[0]]
    if not calls or not all(isinstance(call, dict) and isinstance(call.get("arguments"), dict) for call in calls):
        return None
    return sorted((str(call.get("name")), _canonical(call["arguments"])) for call in calls)


def _call_leaves(calls: list[tuple[str, str]]) -> dict[Any, str]:
    """The leaves of several calls: those of one tool are told apart by their place in the sorted list."""
    leaves: dict[Any, str] = {}
    seen: dict[str, int] = {}
    for name, arguments in calls:
        seen[name] = place = seen.get(name, 0) + 1
        leaves[name, place] = ""
        for path, text in _leaves(json.loads(arguments)):
            if path:
                leaves[name, place, path] = text
    return leaves


@functools.cache
def _chrf() -> Any:
    try:
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MissingDependency("sacrebleu", "discover") from None
    return CHRF()
