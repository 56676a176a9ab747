"""Which found task is which known one: ids outlive growth, new wordings, and discovery run again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ..call import Request
from ..task import Task, Template
from .assign import Assigner

_ALIKE_ENOUGH = 0.7
"""Of what assigns a call to a known task: enough for calls that none of its templates fits."""

_ENOUGH = 200
"""Calls of a group that say what it was."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a found group takes over: its known task, that one's templates, and the ids that went into it.

    part_of: without a known task, the one that most of its calls were.
    """

    known: Task | None = None
    templates: tuple[Template, ...] = ()
    merged: tuple[str, ...] = ()
    part_of: str = ""


def identify(groups: Sequence[Sequence[Request]], known: Sequence[Task]) -> list[Identity]:
    """The identity of each group. Shared wordings decide first; where there are none, nearness to a known centre.

    A known task goes to the group that holds most of its calls; where several go to one group, the largest lives on and
    the others are merged into it. Where one falls apart, its larger part keeps the id.
    """
    assigner = Assigner(known)
    by_template: Counter[tuple[int, str]] = Counter()
    by_task: Counter[tuple[int, str]] = Counter()
    for g, requests in enumerate(groups):
        for request in requests:
            if found := assigner.fit(request):
                by_template[g, found[1].signature] += 1
                by_task[g, found[0].id] += 1
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
    """The number of each group, the same for those that a merge by hand has made one."""
    joined = [task for task in known if task.joined]
    assigner = Assigner(known)
    first: dict[str, int] = {}
    numbers = list(range(len(groups)))
    for g, requests in enumerate(groups if joined else ()):
        found = Counter(task.id for r in requests[:_ENOUGH] if (task := assigner.assign(r)))
        for task in joined:
            if 2 * found[task.id] > min(len(requests), _ENOUGH):
                numbers[g] = first.setdefault(task.id, g)
    return numbers


def fresh_id(signature: str, taken: set[str]) -> str:
    """`t-` and eight hex digits of the founding signature."""
    digest = hashlib.sha256(signature.encode("utf-8", "surrogatepass")).hexdigest()
    for start in range(0, 56):
        if (found := f"t-{digest[start : start + 8]}") not in taken:
            return found
    return f"t-{digest}"


def _homes(votes: Counter[tuple[int, str]]) -> dict[str, int]:
    """The group that holds most of each one's calls."""
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
