"""Greedy answers of a tuned model in this process: the reference with which served files are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel

from ..specialist import Base
from .model import Encoder, load_model
from .threads import one_thread
from .tuner import Scored


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer, and the sum of its tokens' log-probabilities (nats), the end of turn included."""

    text: str
    logprob: float


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
    def score(self, prompt: str, answer: str, *, ended: bool) -> Scored:
        """What this model makes of an answer that another engine gave, in one pass over it, as `Reference.score`.

        ended: whether the answer came to its end; the token that ends the turn is then part of what is compared.
        """
        written = self.encoder.answer(answer)
        return self._scored(prompt, written if ended else written[:-1])

    @torch.inference_mode()
    def score_tokens(self, prompt: str, tokens: Sequence[str], *, ended: bool) -> Scored | None:
        """As `score`, in the very tokens that the engine wrote. None if one of them is not known here."""
        written = self.encoder.ids_of([token for token in tokens if token])
        if written is None:
            return None
        return self._scored(prompt, [*written, self.encoder.end_ids[0]] if ended else written)

    def _scored(self, prompt: str, written: list[int]) -> Scored:
        asked = self.encoder.prompt(prompt)
        if not written:
            return Scored(likeliest=True, logprobs=(), prompt_tokens=len(asked), gap=0.0)
        ids = torch.tensor([asked + written])
        with one_thread():
            logits = self.model(input_ids=ids, logits_to_keep=len(written) + 1).logits[0, :-1].float()
        targets = torch.tensor(written)
        logprobs = logits.log_softmax(-1)
        taken = logprobs.gather(1, targets.unsqueeze(1)).squeeze(1)
        gap = float((logprobs.max(-1).values - taken).max())
        return Scored(bool((logits.argmax(-1) == targets).all()), tuple(taken.tolist()), len(asked), gap)

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
