"""Which task a request belongs to: what a route asks inside the agent, and what discovery itself goes by.

No import that is not light: this runs in the agent's process.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..call import Request, text_of
from ..task import Task, Template
from .wording import FREE_FORM, FREE_FORM_WITH_TOOLS, opening_text, sentences, system_sentences, words

NEAR = 0.5
"""The least cosine of a request without a fitting template and a task's centre."""
_FREE = frozenset({FREE_FORM, FREE_FORM_WITH_TOOLS})
_OPENING_WORDS = 60
"""Of a prompt without system text; its instruction stands first."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    task: Task
    template: Template
    weight: int  # characters of constant text: the wording that says most wins


class Assigner:
    """Says which of some tasks a request belongs to.

    First a template that fits, found by one line that all its requests hold; of several the one with the most constant
    text. Else the nearest centre by cosine, where that is at least `NEAR`; else, for a prompt without system text, the
    task of those that have no constant text. Safe to share among threads.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tuple(tasks)
        self._by_line: dict[int, dict[str, list[_Candidate]]] = {}
        self._by_edge: list[_Candidate] = []
        for task in tasks:
            for template in task.templates:
                candidate = _Candidate(task, template, weight_of(template))
                anchor = _anchor(template)
                if anchor is None:
                    self._by_edge.append(candidate)
                else:
                    self._by_line.setdefault(anchor[0], {}).setdefault(anchor[1], []).append(candidate)
        self._free = {word: task for task in tasks for word in _FREE.intersection(task.centre or ())}
        self._weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for i, task in enumerate(tasks):
            for word, weight in (task.centre or {}).items():
                self._weights[word].append((i, weight))

    def assign(self, request: Request) -> Task | None:
        """The task of a request, None where it is none of them. Never raises on odd requests."""
        found = self.fit(request)
        if found:
            return found[0]
        if (near := self.nearest(request)) or request.system.strip():
            return near
        return self._free.get(FREE_FORM_WITH_TOOLS if request.tools else FREE_FORM)

    def fit(self, request: Request) -> tuple[Task, Template] | None:
        """The task and its wording whose constant text the request holds."""
        candidates = list(self._by_edge)
        for position, by_line in self._by_line.items():
            if position < len(request.messages):
                lines = set(text_of(request.messages[position]).split("\n"))
                for line in by_line.keys() & lines:
                    candidates += by_line[line]
        for candidate in sorted(candidates, key=lambda c: -c.weight):
            if candidate.template.slots(request) is not None:
                return candidate.task, candidate.template
        return None

    def nearest(self, request: Request, least: float = NEAR) -> Task | None:
        """The task whose centre is nearest, where the cosine is at least `least`."""
        said = _said(request)
        if not said:
            return None
        scores: dict[int, float] = defaultdict(float)
        for word in said:
            for i, weight in self._weights.get(word, ()):
                scores[i] += weight
        if not scores:
            return None
        best = max(scores, key=lambda i: (scores[i], -i))
        return self.tasks[best] if scores[best] >= least * math.sqrt(len(said)) else None


def weight_of(template: Template) -> int:
    """Characters of constant text."""
    return sum(len(p.prefix) + len(p.suffix) + sum(map(len, p.lines)) for p in template.parts)


def _anchor(template: Template) -> tuple[int, str] | None:
    """Where the longest constant line stands, and the line: hardly another template has it too."""
    lines = [(part.position, line) for part in template.parts for line in part.lines]
    return max(lines, key=lambda found: len(found[1]), default=None)


def _said(request: Request) -> set[str]:
    """The words that a centre is compared with: the system text's, without one the opening's first."""
    system = request.system
    if system.strip():
        return set(words(system_sentences(system)))
    return set(words(sentences(opening_text(request)[:2000]))[:_OPENING_WORDS])
