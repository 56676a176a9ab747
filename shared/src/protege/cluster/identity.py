"""Which discovered task is which known one: ids survive growth, new wordings and repeated discovery."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..call import Request
from ..task import Task, Template
from .assign import Assigner

_ALIKE_ENOUGH = 0.7
"""The share of `assign.NEAR` that identifies a known task by calls that fit none of its templates."""

_ENOUGH = 200
"""This many calls of a group show which task it was."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a discovered group takes over from the known tasks."""

    known: Task | None = None
    """The known task that it is; None if it is new."""
    templates: tuple[Template, ...] = ()
    """The known templates that go to this group."""
    merged: tuple[str, ...] = ()
    """The ids of tasks that were merged into it."""
    part_of: str = ""
    """If it is new, the id of the known task that most of its calls belonged to."""


def identify(groups: Sequence[Sequence[Request]], known: Sequence[Task]) -> list[Identity]:
    """The identity of each group. Shared templates decide first; without any, nearness to a known centre decides.

    A known task goes to the group that holds most of its calls. If several go to one group, the largest lives on and
    the others are merged into it. If one falls apart, its larger part keeps the id.
    """
    assigner = Assigner(known)
    by_template: Counter[tuple[int, str]] = Counter()
    by_task: Counter[tuple[int, str]] = Counter()
    for g, requests in enumerate(groups):
        for request in requests:
            if match := assigner.fit(request):
                task, template = match
                by_template[g, template.signature] += 1
                by_task[g, task.id] += 1
    near: Counter[tuple[int, str]] = Counter()
    fitted = {g for g, _ in by_task}
    for g, requests in enumerate(groups):
        if g not in fitted:
            near.update((g, task.id) for r in requests if (task := assigner.guess(r, _ALIKE_ENOUGH)))
    homes = _homes(by_task)
    homes = {**_homes(near), **homes}
    size = by_task + near
    return [_identity(g, homes, size, known, _homes(by_template)) for g in range(len(groups))]


def put_together(groups: Sequence[Sequence[Request]], known: Sequence[Task]) -> list[int]:
    """The number of each group; groups that were merged by hand have the same number."""
    joined = [task for task in known if task.joined]
    assigner = Assigner(known)
    first: dict[str, int] = {}
    numbers = list(range(len(groups)))
    for g, requests in enumerate(groups if joined else ()):
        votes = Counter(task.id for r in requests[:_ENOUGH] if (task := assigner.assign(r)))
        for task in joined:
            if 2 * votes[task.id] > min(len(requests), _ENOUGH):
                numbers[g] = first.setdefault(task.id, g)
    return numbers


def fresh_id(signature: str, taken: set[str]) -> str:
    """A new task id: `t-` and eight hex digits of the hash of the founding signature."""
    digest = hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()
    for start in range(0, 56):
        if (task_id := f"t-{digest[start : start + 8]}") not in taken:
            return task_id
    return f"t-{digest}"


def _homes(votes: Counter[tuple[int, str]]) -> dict[str, int]:
    """The group that holds most calls of each key, a task's id or a template's signature."""
    best: dict[str, tuple[int, int]] = {}
    for (g, key), n in votes.items():
        best[key] = max(best.get(key, (0, 0)), (n, -g))
    return {key: -g for key, (_, g) in best.items()}


def _identity(
    g: int,
    homes: dict[str, int],
    size: Counter[tuple[int, str]],
    known: Sequence[Task],
    template_homes: dict[str, int],
) -> Identity:
    here = [task for task in known if homes.get(task.id) == g]
    here.sort(key=lambda task: (-size[g, task.id], -task.calls, task.id))
    templates = tuple(t for task in known for t in task.templates if template_homes.get(t.signature) == g)
    if not here:
        votes = {task.id: n for task in known if (n := size[g, task.id])}
        return Identity(templates=templates, part_of=max(votes, key=lambda i: (votes[i], i), default=""))
    first, rest = here[0], here[1:]
    merged = [*first.merged, *(i for task in rest for i in (task.id, *task.merged))]
    return Identity(first, templates, tuple(dict.fromkeys(merged)))
