"""Makes examples fit to be shown: without secrets, with personal data replaced, and cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..curate.redacting import kept_words
from ..masking.masking import mask_text
from ..redact import Redactor, load_policy
from ..task import Task
from ..workspace import Workspace
from .data import ShownExample

SHOWN_CHARACTERS = 180
"""The most characters of a prompt: fewer than a preview has, so that no name cut in two stands at the end."""
READ_CHARACTERS = 4000
"""The most characters of an answer."""

Redact: TypeAlias = Callable[[Task, Sequence[Mapping[str, Any]]], tuple[ShownExample, ...]]
"""Takes a task and its examples, as an evaluation's record has them; returns them fit to be shown."""


def redactor(workspace: Workspace) -> Redact:
    """A function that redacts examples by the workspace's policy.

    Each example is redacted by itself: a person named in its prompt becomes the same other person in its answers.
    The function raises NoModel at the first text if the model that reads names is not installed.
    """
    policy = load_policy(workspace.home, key=workspace.key)

    def redact(task: Task, examples: Sequence[Mapping[str, Any]]) -> tuple[ShownExample, ...]:
        spared = kept_words(task, [])
        return tuple(
            _redacted(ShownExample(**example), Redactor(policy, str(i), spared)) for i, example in enumerate(examples)
        )

    return redact


def _redacted(example: ShownExample, redactor: Redactor) -> ShownExample:
    said = (example.prompt, example.answer, example.teacher, example.correction)
    prompt, answer, teacher, correction = redactor.redact([mask_text(text[:READ_CHARACTERS]) for text in said]).texts
    return ShownExample(example.outcome, prompt[:SHOWN_CHARACTERS], answer, teacher, example.confidence, correction)
