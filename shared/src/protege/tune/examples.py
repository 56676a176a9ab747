"""Curated rows as token ids: what the specialist is shown, and the answer that it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from ..chat.answer import taught_text
from ..chat.prompt import messages_for, render
from ..errors import CannotRender
from ..specialist import Base, PromptForm
from ..task import Example, Task
from .distilling import Mentor
from .model import Encoder

IGNORED = -100
"""The label of positions that the loss leaves out."""

_COLUMNS = (("input_ids", "labels"), ("mentor_ids", "mentor_labels"))

TokenRow: TypeAlias = Mapping[str, list[int]]
"""An example: `input_ids` and `labels`, of one length."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Rows as token ids."""

    rows: Sequence[TokenRow]
    """Labels are IGNORED over the prompt."""
    left_out: Mapping[str, int]
    """How many rows could not be used, by reason."""
    longest_answer: int
    """In tokens, with the end of turn."""

    @property
    def tokens(self) -> int:
        """Of prompts and answers."""
        return sum(len(row["input_ids"]) for row in self.rows)

    @property
    def answer_tokens(self) -> int:
        """Those that are learnt."""
        return sum(label != IGNORED for row in self.rows for label in row["labels"])


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a model is trained on. pad_id: the token that fills up shorter rows."""

    train: Examples
    validation: Examples
    pad_id: int


def encode(
    examples: Sequence[Example],
    task: Task,
    base: Base,
    form: PromptForm,
    encoder: Encoder,
    max_tokens: int,
    mentor: Mentor | None = None,
) -> Examples:
    """Tokenise examples, except those that cannot be shown or are too long, to the mentor too."""
    kept: list[TokenRow] = []
    left_out: dict[str, int] = {}
    longest = 0
    for example in examples:
        try:
            prompts = [encoder.prompt(render(base, messages_for(task, example.request, form)))]
            if mentor is not None:
                prompts.append(mentor.prompt(task, example))
        except CannotRender:
            left_out["cannot be shown"] = left_out.get("cannot be shown", 0) + 1
            continue
        if any(token in example.answer for token in base.control_tokens):
            left_out["control token in the answer"] = left_out.get("control token in the answer", 0) + 1
            continue
        answer = encoder.answer(taught_text(task, example.answer))
        if max(map(len, prompts)) + len(answer) > max_tokens:
            left_out["too long"] = left_out.get("too long", 0) + 1
            continue
        longest = max(longest, len(answer))
        row: dict[str, list[int]] = {}
        for (ids, labels), prompt in zip(_COLUMNS, prompts, strict=False):
            row |= {ids: prompt + answer, labels: [IGNORED] * len(prompt) + answer}
        kept.append(row)
    return Examples(kept, left_out, longest)


LENGTH_STEP = 4
"""Batches are as long as a multiple of this. On CPUs oneDNN compiles its kernels anew for every length that it has not
met (SmolLM2-135M: 0.2 to 0.5 s a length), and forgets them when there are too many."""


def padded_length(rows: Sequence[TokenRow]) -> int:
    """How long a batch of these rows is."""
    return _padded(max(len(row["input_ids"]) for row in rows))


def _padded(length: int) -> int:
    return -(-length // LENGTH_STEP) * LENGTH_STEP


class Padded:
    """Rows as one batch, padded on the right.

    No attention mask: attention is causal, so what stands behind a row changes nothing before it, and without a mask
    the fast attention kernel serves.
    """

    def __init__(self, pad_id: int) -> None:
        self.pad_id = pad_id

    def __call__(self, rows: Sequence[TokenRow]) -> dict[str, torch.Tensor]:
        def column(name: str, filler: int) -> torch.Tensor:
            length = _padded(max(len(row[name]) for row in rows))
            return torch.tensor([[*row[name], *[filler] * (length - len(row[name]))] for row in rows])

        return {name: column(name, self.pad_id if name.endswith("ids") else IGNORED) for name in rows[0]}
