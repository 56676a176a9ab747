"""Greedy answers of a tuned model in this process: the reference with which served files are compared."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import Cache

from ..specialist import Base
from .model import Encoder, load_model
from .threads import one_thread
from .tuner import Scored, Written


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer, and the sum of its tokens' log-probabilities (nats), the end of turn included."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class _Row:
    """A prompt and an answer as token ids."""

    prompt: list[int]
    written: list[int]

    @property
    def ids(self) -> list[int]:
        return [*self.prompt, *self.written]


class Generator:
    """Greedy answers from a base and its LoRA weights (peft's folder; None for the base alone)."""

    def __init__(self, base: Base, lora: Path | None = None, dtype: torch.dtype = torch.float32) -> None:
        self.encoder = Encoder(base)
        model: Any = load_model(base, dtype)
        self.model: Any = (PeftModel.from_pretrained(model, str(lora)) if lora else model).eval()

    def answers(self, prompts: Sequence[str], max_tokens: int, batch: int = 16) -> list[Generated]:
        """One answer a prompt, in order. Prompts are whole, as `chat.prompt.render` gives them."""
        encoded = [self.encoder.prompt(prompt) for prompt in prompts]
        order = sorted(range(len(encoded)), key=lambda i: len(encoded[i]))
        answers: dict[int, Generated] = {}
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            answers.update(zip(chosen, self._batch([encoded[i] for i in chosen], max_tokens), strict=True))
        return [answers[i] for i in range(len(prompts))]

    @torch.inference_mode()
    def score(self, answers: Sequence[Written]) -> list[Scored]:
        """What this model makes of answers that another engine gave, as `Reference.score`.

        Many are read in one pass, and what all prompts begin with once.
        """
        rows = [_Row(self.encoder.prompt(answer.prompt), self._written(answer)) for answer in answers]
        shared = _shared([row.prompt for row in rows])
        scored: dict[int, Scored] = {}
        with one_thread():
            begun = self._read(rows[0].prompt[:shared]) if shared else None
            for batch in _batches([len(row.ids) - shared for row in rows]):
                scored.update(zip(batch, self._scored([rows[i] for i in batch], begun, shared), strict=True))
        return [scored[i] for i in range(len(rows))]

    def _written(self, answer: Written) -> list[int]:
        """The answer's tokens: those that the engine wrote, where all of them are told and known here."""
        told = "".join(answer.tokens) == answer.text
        ids = self.encoder.ids_of([token for token in answer.tokens if token]) if told else None
        if ids is None:
            ids = self.encoder.answer(answer.text)[:-1]
        return [*ids, self.encoder.end_ids[0]] if answer.ended else ids

    def _read(self, ids: list[int]) -> Cache:
        return self.model(input_ids=torch.tensor([ids]), use_cache=True, logits_to_keep=1).past_key_values

    def _scored(self, rows: Sequence[_Row], begun: Cache | None, shared: int) -> Iterator[Scored]:
        """Rows of about one length, padded on the right: attention is causal, so that needs no mask."""
        length = max(len(row.ids) for row in rows)
        first = min(len(row.prompt) for row in rows) - 1
        """The position whose logits are of the first token of an answer."""
        ids = torch.tensor([[*row.ids[shared:], *[self.encoder.pad_id] * (length - len(row.ids))] for row in rows])
        before = copy.deepcopy(begun)
        if before is not None:
            before.batch_repeat_interleave(len(rows))
        logits = self.model(
            input_ids=ids, past_key_values=before, use_cache=before is not None, logits_to_keep=length - first
        ).logits
        for row, read in zip(rows, logits, strict=True):
            begin = len(row.prompt) - 1 - first
            yield _judged(row, read[begin : begin + len(row.written)].float().log_softmax(-1))

    @torch.inference_mode()
    def _batch(self, rows: list[list[int]], max_tokens: int) -> list[Generated]:
        length = max(map(len, rows))
        ids = torch.tensor([[self.encoder.pad_id] * (length - len(row)) + row for row in rows])
        mask = torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows])
        out = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_tokens,
            do_sample=False,
            use_cache=True,
            eos_token_id=self.encoder.end_ids,
            pad_token_id=self.encoder.pad_id,
            output_logits=True,
            return_dict_in_generate=True,
        )
        written = out.sequences[:, length:]
        logprobs = torch.stack([logits.float().log_softmax(-1) for logits in out.logits], dim=1)
        taken = logprobs.gather(2, written.unsqueeze(2)).squeeze(2)
        return [self._generated(tokens.tolist(), row.tolist()) for tokens, row in zip(written, taken, strict=True)]

    def _generated(self, tokens: list[int], logprobs: list[float]) -> Generated:
        ends = [i for i, token in enumerate(tokens) if token in self.encoder.end_ids]
        count = ends[0] + 1 if ends else len(tokens)
        return Generated(self.encoder.text(tokens[:count]), sum(logprobs[:count]))


AT_ONCE = 1024
"""Tokens that are read at once, padding included: enough to fill the processor's matrix units, and no more than 100 MB
of logits over a vocabulary of 50,000."""
SHARED_LEAST = 32
"""Tokens that all prompts must begin with to be read apart; to read fewer costs more than it spares."""


def _shared(prompts: Sequence[list[int]]) -> int:
    """How many tokens all prompts begin with; 0 if they are not worth a pass of their own. Each keeps its last one."""
    if len(prompts) < 2:
        return 0
    least, greatest = min(prompts), max(prompts)  # all others begin as both of these do
    begin = next((i for i, (a, b) in enumerate(zip(least, greatest, strict=False)) if a != b), len(least))
    begin = min(begin, min(map(len, prompts)) - 1)
    return begin if begin >= SHARED_LEAST else 0


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The numbers of the rows, those of about one length together, at most `AT_ONCE` tokens at a time."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and lengths[number] * (len(batch) + 1) > AT_ONCE:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _judged(row: _Row, logprobs: torch.Tensor) -> Scored:
    """logprobs: (tokens written, vocabulary)."""
    if not row.written:
        return Scored(likeliest=True, logprobs=(), prompt_tokens=len(row.prompt), gap=0.0)
    targets = torch.tensor(row.written)
    taken = logprobs.gather(1, targets.unsqueeze(1)).squeeze(1)
    gap = float((logprobs.max(-1).values - taken).max())
    likeliest = bool((logprobs.argmax(-1) == targets).all())
    return Scored(likeliest, tuple(taken.tolist()), len(row.prompt), gap)
