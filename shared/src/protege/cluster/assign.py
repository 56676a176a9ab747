"""Which task a request belongs to. Routes ask this inside the agent, and discovery assigns calls with the same code.

All imports here are light, because this runs in the agent's process.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ..call import Request, text_of
from ..task import Task, Template
from .states import state_of
from .wording import BIAS, FREE, FREE_FORM, FREE_FORM_WITH_TOOLS, free_words, opening_text, opening_words, system_words

NEAR = 1.0
"""A request that fits no template belongs to a task whose centre is at least this near. Nearness is the cosine plus the
share of the centre that occurs in the request."""
HELD = 0.65
"""A prompt without system text must contain at least this share of the centre: its own words distort the cosine."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    task: Task
    template: Template
    weight: int  # characters of constant text: the wording that has most wins


class Assigner:
    """Assigns requests to the given tasks.

    1. The task with a template that fits, looked up by one line that all its requests contain. If several fit, the one
       with the most constant text.
    2. Else the task with the nearest centre, if it is at least `NEAR`.
    3. Else, for a prompt without system text, the likeliest of the tasks that have no constant text.

    Safe to share among threads.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.tasks = tuple(tasks)
        whole = [task for task in tasks if not task.is_part]
        self._parts: dict[str, list[Task]] = defaultdict(list)  # split off by hand, by the id they were part of
        self._states: dict[str, dict[str, Task]] = defaultdict(dict)  # the steps of a conversation, likewise
        for task in tasks:
            if task.phrase:
                self._parts[task.split_from].append(task)
            elif task.state:
                self._states[task.split_from][task.state] = task
        self._by_line: dict[int, dict[str, list[_Candidate]]] = {}
        self._by_edge: list[_Candidate] = []
        for task in whole:
            for template in task.templates:
                candidate = _Candidate(task, template, weight_of(template))
                anchor = _anchor(template)
                if anchor is None:
                    self._by_edge.append(candidate)
                else:
                    self._by_line.setdefault(anchor[0], {}).setdefault(anchor[1], []).append(candidate)
        self._free: dict[str, list[Task]] = defaultdict(list)
        self._weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for i, task in enumerate(tasks):
            if task.is_part:
                continue
            if marks := FREE.intersection(task.centre or ()):
                self._free[min(marks)].append(task)
                continue
            for word, weight in (task.centre or {}).items():
                self._weights[word].append((i, weight))

    def assign(self, request: Request) -> Task | None:
        """The task of a request, or None if it belongs to none of them. Never raises on odd requests."""
        match = self.fit(request)
        task = match[0] if match else self.guess(request)
        return self._part(task, request) if task else None

    def guess(self, request: Request, least: float = 1.0) -> Task | None:
        """The task of a request that fits no template; `least` as in `nearest`."""
        if (near := self.nearest(request, least)) or request.system.strip():
            return near
        return self._likeliest(request)

    def fit(self, request: Request) -> tuple[Task, Template] | None:
        """The task and the template whose constant text the request contains, or None."""
        candidates = list(self._by_edge)
        for position, by_line in self._by_line.items():
            if position < len(request.messages):
                lines = set(text_of(request.messages[position]).split("\n"))
                for line in by_line.keys() & lines:
                    candidates += by_line[line]
        for candidate in sorted(candidates, key=lambda c: (-c.weight, c.task.id)):
            if candidate.template.slots(request) is not None:
                return candidate.task, candidate.template
        return None

    def nearest(self, request: Request, least: float = 1.0) -> Task | None:
        """The task whose centre is nearest, or None if none is near enough.

        Nearness is the cosine over the words that centres have, plus the share of the centre that the request contains.
        least: the share of `NEAR` and of `HELD` that is enough.
        """
        system = request.system
        by_system = bool(system.strip())
        words = system_words(system) if by_system else opening_words(opening_text(request))
        said = [word for word in words if word in self._weights]
        cosine: dict[int, float] = defaultdict(float)
        share: dict[int, float] = defaultdict(float)
        for word in said:
            for i, weight in self._weights[word]:
                cosine[i] += weight / math.sqrt(len(said))
                share[i] += weight * weight
        if not by_system:
            cosine = {i: value for i, value in cosine.items() if share[i] >= HELD * least}
        if not cosine:
            return None
        best = max(cosine, key=lambda i: (round(cosine[i] + share[i], 9), self.tasks[i].id))
        return self.tasks[best] if not by_system or cosine[best] + share[best] >= NEAR * least else None

    def _likeliest(self, request: Request) -> Task | None:
        """The task without constant text whose weights have the largest sum."""
        tasks = self._free.get(FREE_FORM_WITH_TOOLS if request.tools else FREE_FORM, ())
        if len(tasks) < 2:
            return tasks[0] if tasks else None
        said = [BIAS, *free_words(opening_text(request))]
        return max(tasks, key=lambda task: (sum((task.centre or {}).get(word, 0.0) for word in said), task.id))

    def _part(self, task: Task, request: Request) -> Task:
        """The part of the task that the request belongs to: one told by a text goes before one told by a state."""
        if parts := self._parts.get(task.id):
            texts = [text_of(message) for message in request.messages]
            if part := next((part for part in parts if any(part.phrase in text for text in texts)), None):
                return part
        steps = self._states.get(task.id)
        return steps.get(state_of(request), task) if steps else task


def weight_of(template: Template) -> int:
    """The number of characters of constant text."""
    return sum(len(p.prefix) + len(p.suffix) + sum(map(len, p.lines)) for p in template.parts)


def _anchor(template: Template) -> tuple[int, str] | None:
    """The position and text of the longest constant line, which hardly any other template shares."""
    lines = [(part.position, line) for part in template.parts for line in part.lines]
    return max(lines, key=lambda placed: len(placed[1]), default=None)
