"""The map of the tasks: where a small model would help most. Samples are only shown redacted."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .. import redact
from ..call import Call, Message, text_of
from ..chat.answer import answer_text
from ..chat.prompt import fitting_template
from ..cluster.worth import HOW, Worth
from ..common.progress import Progress, Silent
from ..errors import InvalidAnswer, ProtegeError
from ..masking.masking import mask_text
from ..task import Task
from ..workspace import Workspace

SAMPLES = 3
_LOOKED_AT = 200
"""Samples are taken from this many calls of a task."""
_REDACTED_CHARS, _SHOWN_CHARS = 640, 320
"""More is redacted than is shown, so that no name cut in two stands at the end."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A call as it may be shown: redacted, and cut."""

    asked: str
    answered: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A task on the map."""

    task: Task
    worth: Worth
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskMap:
    """The tasks, each as a dot.

    dots: the one with the largest saving first. created: seconds since 1970, UTC. note: why there are no samples, or
    empty.
    """

    dots: tuple[Dot, ...]
    created: float
    note: str = ""

    @property
    def calls(self) -> int:
        return sum(dot.task.calls for dot in self.dots)

    @property
    def saving_usd_a_month(self) -> float | None:
        """The sum over all tasks whose saving is known; None if none is."""
        known = [usd for dot in self.dots if (usd := dot.worth.saving_usd_a_month) is not None]
        return sum(known) if known else None

    @property
    def how(self) -> dict[str, str]:
        return dict(HOW)


def draw_map(
    workspace: Workspace, tasks: Sequence[Task], worths: Sequence[Worth], progress: Progress | None = None
) -> TaskMap:
    """The map of tasks, in the order of their worths; without samples if they cannot be redacted."""
    by_id = {task.id: task for task in tasks}
    bare = tuple(Dot(by_id[worth.task_id], worth) for worth in worths)
    try:
        redacted = _redactor(workspace)
        dots: list[Dot] = []
        with (progress or Silent()).step("Redacting samples", len(bare)) as bar:
            for dot in bare:
                dots.append(replace(dot, samples=_samples(workspace, dot.task, redacted)))
                bar.advance()
    except ImportError:
        return TaskMap(bare, time.time(), "No samples are shown: what redacts them is not installed.")
    except ProtegeError as error:
        return TaskMap(bare, time.time(), f"No samples are shown, since they cannot be redacted. {error}")
    return TaskMap(tuple(dots), time.time())


def _redactor(workspace: Workspace) -> Callable[[str], str]:
    """A function that replaces personal data in a text by the workspace's policy, sparing no task's words."""
    policy = redact.load_policy(workspace.home, key=workspace.key)
    return lambda text: redact.redacted_text(text, policy)


def _samples(workspace: Workspace, task: Task, redacted: Callable[[str], str]) -> tuple[Sample, ...]:
    """Different calls, from the beginning, the middle and the end of those looked at."""
    looked_at = itertools.islice(workspace.calls(task_id=task.id, teacher_only=True), _LOOKED_AT)
    said = list(dict.fromkeys(_said(task, call) for call in looked_at if call.response and not call.error))
    places = {round(i * (len(said) - 1) / (SAMPLES - 1)) for i in range(SAMPLES)} if said else set[int]()
    return tuple(_shown(*said[place], redacted) for place in sorted(places))


def _said(task: Task, call: Call) -> tuple[str, str]:
    """What was asked, without the constant text, and what the teacher answered; both without secrets."""
    fitting = fitting_template(task, call.request)
    turns = [_text(message) for message in (fitting[1] if fitting else call.request.messages)]
    return mask_text("\n".join(filter(None, turns))), mask_text(_text(call.response or {}))


def _text(message: Message) -> str:
    try:
        return answer_text(message)
    except InvalidAnswer:
        return text_of(message)


def _shown(asked: str, answered: str, redacted: Callable[[str], str]) -> Sample:
    # As one text, so that a person named in both becomes the same other person in both.
    both = redacted(f"{asked[:_REDACTED_CHARS]}{_BETWEEN}{answered[:_REDACTED_CHARS]}")
    question, _, answer = both.partition(_BETWEEN)
    return Sample(_cut(question), _cut(answer))


_BETWEEN = "\n\u2192\n"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS].rstrip()} …"
