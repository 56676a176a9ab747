"""Learning from the token probabilities of a larger model on this machine, besides the recorded answers.

At each token of the recorded answer the student is drawn to what the larger model would have written there: word-level
distillation (Hinton et al., 2015, arXiv:1503.02531; Kim and Rush, 2016, arXiv:1606.07947). The larger model reads the
whole prompt in its own chat template. The two must have one vocabulary, so that a token is the same in both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import kl_div, log_softmax

from ..chat.prompt import messages_for, render
from ..errors import BaseModelError
from ..select.base import load_base
from ..specialist import Base
from ..task import Example, Task
from .model import Encoder, compute_dtype, load_model
from .resources import count_weights

SHARE = 0.5
"""Of the loss; the other half is that of the recorded answers."""


class Mentor:
    """A larger model whose token probabilities are learnt. Raises BaseModelError where it cannot be loaded."""

    def __init__(self, base: Base) -> None:
        self.base = base
        self.encoder = Encoder(base)

    @classmethod
    def at(cls, path: str, student: Encoder) -> Mentor:
        """The one at this path. Raises BaseModelError if it reads other tokens than the student."""
        mentor = cls(load_base(Path(path)))
        ends = mentor.encoder.end_ids[0] == student.end_ids[0]
        if not ends or mentor.encoder.tokenizer.get_vocab() != student.tokenizer.get_vocab():
            raise BaseModelError(
                f"{mentor.base.name} has another vocabulary than the base: their tokens cannot be compared.",
                "Choose a larger model of the base's own family.",
            )
        return mentor

    def prompt(self, task: Task, example: Example) -> list[int]:
        """The whole prompt in the mentor's form, as token ids. Raises CannotRender."""
        return self.encoder.prompt(render(self.base, messages_for(task, example.request, "whole")))

    @property
    def bytes(self) -> int:
        """What its weights take in memory, twice while they are loaded."""
        return 2 * count_weights(self.base) * compute_dtype().itemsize

    def model(self) -> Any:
        """Loaded for reading."""
        return load_model(self.base, compute_dtype()).eval().requires_grad_(False)


def drawn_to(student: torch.Tensor, mentor: torch.Tensor) -> torch.Tensor:
    """The mean divergence KL(mentor ‖ student) of a token, in nats. Both: logits, (tokens, vocabulary); the vocabulary
    is padded to different lengths in models of one family."""
    width = min(student.shape[-1], mentor.shape[-1])
    ours, theirs = (log_softmax(logits[:, :width].float(), -1) for logits in (student, mentor))
    return kl_div(ours, theirs, reduction="batchmean", log_target=True)
