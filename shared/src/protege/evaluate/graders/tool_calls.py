"""Tool calls, by name and arguments."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from .base import Grader
from .values import Rules, paired, parsed

ABSENT: Final = "\0absent"
"""Stands for a left-out argument among the values that mean the same."""


class ToolCalls(Grader):
    """The same tools called with the same arguments, in any order. Answers in words must be the same text, except for
    white space.

    same_values: maps "tool.argument" to groups of values that mean the same, such as {"weather.unit": [["C",
    "celsius"], ["F", "fahrenheit", ABSENT]]}. unordered, abs_tol, rel_tol: as `Rules` takes them; a list's path is
    "tool.argument". Score: the share of names and leaf arguments that are equal.
    """

    def __init__(
        self,
        *,
        same_values: Mapping[str, Sequence[Sequence[Any]]] | None = None,
        unordered: bool | Collection[str] = (),
        abs_tol: float = 0.0,
        rel_tol: float = 0.0,
    ) -> None:
        self.rules = Rules(unordered, abs_tol, rel_tol)
        self.name = f"tool calls by name and arguments{self.rules.wording}"
        self._groups = dict(same_values or {})

    def agree(self, answer: str, teacher: str) -> bool:
        mine, theirs = self._calls(answer), self._calls(teacher)
        if mine is None or theirs is None:
            return mine is theirs and answer.split() == teacher.split()
        return paired(mine, theirs, self._same)

    def score(self, answer: str, teacher: str) -> float:
        mine, theirs = self._calls(answer), self._calls(teacher)
        if mine is None or theirs is None:
            return float(self.agree(answer, teacher))
        return self.rules.share(self._leaves(mine), self._leaves(theirs))

    def _same(self, mine: _Call, theirs: _Call) -> bool:
        return mine[0] == theirs[0] and self.rules.same(mine[1], theirs[1], mine[0])

    def _calls(self, text: str) -> list[_Call] | None:
        """Name and arguments of each call; None if the text is an answer in words."""
        value = parsed(text)
        if value is None:
            return None
        calls = value[0] if isinstance(value[0], list) else [value[0]]
        if not calls or not all(_is_call(call) for call in calls):
            return None
        return [(call["name"], self._settled(call["name"], call["arguments"])) for call in calls]

    def _settled(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments; a value that belongs to a group of the same meaning is replaced by the group's first value."""
        settled = dict(arguments)
        for key in [key.removeprefix(f"{name}.") for key in self._groups if key.startswith(f"{name}.")]:
            value = arguments.get(key, ABSENT)
            group = next((g for g in self._groups[f"{name}.{key}"] if any(_equal(value, v) for v in g)), None)
            if group is not None:
                settled[key] = group[0]
        return {key: value for key, value in settled.items() if value != ABSENT}

    def _leaves(self, calls: list[_Call]) -> dict[Any, Any]:
        """The leaves of several calls. Calls of the same tool are told apart by their place in sorted order."""
        leaves: dict[Any, Any] = {}
        seen: dict[str, int] = {}
        for name, arguments in sorted(calls, key=lambda call: (call[0], self.rules.form(call[1], call[0]))):
            seen[name] = place = seen.get(name, 0) + 1
            leaves[name, place] = ""
            leaves |= {(name, place, key): v for key, v in self.rules.leaves(arguments, name) if arguments}
        return leaves


_Call = tuple[str, dict[str, Any]]


def _is_call(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("arguments"), dict)


def _equal(mine: Any, theirs: Any) -> bool:
    return json.dumps(mine, sort_keys=True) == json.dumps(theirs, sort_keys=True)
