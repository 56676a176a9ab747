"""Examples as they may be shown: without secrets, personal data replaced, cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..masking.masking import mask_text
from ..redact import Redactor
from ..redact.policy import load_policy
from ..task import Task
from ..workspace import Workspace
from .data import Example

SHOWN_CHARACTERS = 180
"""Of a prompt: less than a preview has, so that no name that was cut in two stands at the end."""
READ_CHARACTERS = 4000
"""Of an answer."""

Redact: TypeAlias = Callable[[Task, Sequence[Mapping[str, Any]]], tuple[Example, ...]]
"""A task's examples, as an evaluation's record has them, made fit to be shown."""


def redactor(workspace: Workspace) -> Redact:
    """What redacts examples by the workspace's policy, each by itself: who is named in a prompt is the same other
    person in its answers. Raises NoModel, at the first text, where the model that reads names is not installed."""
    policy = load_policy(workspace.home, key=workspace.key)

    def redact(task: Task, examples: Sequence[Mapping[str, Any]]) -> tuple[Example, ...]:
        from ..curate.redacting import kept_words

        kept = kept_words(task, [])
        return tuple(
            _redacted(Example(**example), Redactor(policy, str(i), kept)) for i, example in enumerate(examples)
        )

    return redact


def _redacted(example: Example, redactor: Redactor) -> Example:
    texts = [mask_text(text[:READ_CHARACTERS]) for text in (example.prompt, example.answer, example.teacher)]
    prompt, answer, teacher = redactor.redact(texts).texts
    return Example(example.outcome, prompt[:SHOWN_CHARACTERS], answer, teacher, example.confidence)
