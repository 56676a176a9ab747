"""Corrections by hand, which later discoveries respect: two tasks are merged, or a task is split in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..errors import BadInput
from ..task import ANY_STATE, Task
from .identity import fresh_id
from .steps import founding, known_steps


def merge(tasks: Sequence[Task], into: Task, other: Task) -> list[Task]:
    """The tasks, with `other` merged into `into`, whose `merged` then lists its id.

    A part goes back to the task it came from: that of a state for good, until `split` undoes it. Raises BadInput if
    both are the same task, or if either is a part of a third task.
    """
    if into.id == other.id:
        raise BadInput(f"{into.name} is one task already.", "Name two tasks; `protege tasks` lists them.")
    if into.is_part and into.split_from == other.id:
        into, other = other, into
    rest = [task for task in tasks if task.id not in (into.id, other.id)]
    if other.is_part and other.split_from == into.id:
        return [*rest, replace(into, whole=(*into.whole, other.state)) if other.state else into]
    for task in (into, other):
        if task.is_part:
            raise BadInput(f"{task.name} is a part of another task.", "Merge it into that one first.")
    both = replace(
        into,
        templates=tuple(dict.fromkeys((*into.templates, *other.templates))),
        merged=tuple(dict.fromkeys((*into.merged, other.id, *other.merged))),
        joined=(*into.joined, replace(other, joined=()), *other.joined),
    )
    parts = [t for t in rest if t.is_part and t.split_from in (into.id, other.id)]
    home = {into.id: both, other.id: both}
    by_phrase = [replace(t, split_from=into.id) for t in parts if t.phrase]
    return [both, *(t for t in rest if t not in parts), *by_phrase, *known_steps(parts, home)]


def undivided(tasks: Sequence[Task], task: Task) -> list[Task]:
    """The tasks, with one that is no longer divided by the states of its conversation.

    Raises BadInput if it is itself a part of another.
    """
    if task.is_part:
        raise BadInput(f"{task.name} is a part of another task.", "Name that one.")
    rest = [other for other in tasks if other.id != task.id and not (other.state and other.split_from == task.id)]
    return [*rest, replace(task, whole=(ANY_STATE,))]


def split(tasks: Sequence[Task], task: Task, phrase: str = "") -> list[Task]:
    """The tasks, with one split in two: its requests that contain `phrase` become a task of their own.

    Without a phrase, what was merged into it by hand is separated again: tasks, and the states of its conversation.
    Raises BadInput if nothing was merged, if the task is itself a part of another, or if it is already split by this
    phrase.
    """
    rest = [other for other in tasks if other.id != task.id]
    if not phrase:
        if not (task.joined or task.whole):
            raise BadInput(
                f"Nothing was merged into {task.name} by hand.", "Give a text that the part contains: --phrase."
            )
        own = replace(
            task,
            templates=tuple(t for t in task.templates if not any(t in joined.templates for joined in task.joined)),
            merged=tuple(i for i in task.merged if not any(i in (t.id, *t.merged) for t in task.joined)),
            joined=(),
            whole=(),
        )
        return [*_apart(rest, task), own, *task.joined]
    if task.is_part:
        raise BadInput(f"{task.name} is a part of another task.", "Split that one.")
    if any(other.phrase == phrase and other.split_from == task.id for other in tasks):
        raise BadInput(f"{task.name} is split by {phrase!r} already.", "`protege tasks` lists its part.")
    taken = {i for other in tasks for i in (other.id, *other.merged)}
    part = Task(fresh_id(f"{task.id} {phrase}", taken), "", task.kind, split_from=task.id, phrase=phrase)
    return [*tasks, part]


def _apart(tasks: Sequence[Task], whole: Task) -> list[Task]:
    """The tasks, with the steps of what was merged into one by hand back where they came from. A step that had become
    part of another is found again."""
    steps = {t.state for t in tasks if t.state and t.split_from == whole.id}
    ids = {fresh_id(founding(t.id, state), set()): t.id for t in whole.joined for state in steps}
    kept = [replace(t, merged=tuple(i for i in t.merged if i not in ids)) if t.state else t for t in tasks]
    return [replace(t, split_from=ids[t.id]) if t.id in ids else t for t in kept]
