"""What a tuning step costs: logits on the answer only beside all logits, the slots beside the whole prompt.

    .venv/bin/python tests/bench/tuning.py [STEPS]

Prints seconds a step and tokens a second (padding not counted) for four kinds of step on SmolLM2-135M, batch 4, taken
by turns so that a busy machine slows all four alike; made-up support tickets with a prompt of 1,000 characters.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from protege.select import find_bases
from protege.tune import TuneSettings
from protege.tune.examples import Padded
from protege.tune.methods.lora import Lora
from protege.tune.model import Encoder, compute_dtype
from protege.tune.training import answer_loss
from torch.nn.functional import cross_entropy

INSTRUCTION = "Read the ticket and answer with JSON: category, intent, entity. " * 16
WORDS = ("order", "refund", "invoice", "parcel", "late", "wrong", "change", "cancel", "where", "please", "my", "the")


def main(steps: int) -> None:
    base = next(base for base in find_bases() if "smol" in base.name.lower())
    model = Lora().student(base, TuneSettings())
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-4, fused=True)
    encoder = Encoder(base)
    batches = {form: rows(encoder, form, steps + 1) for form in ("slots", "whole")}
    losses = {"answer logits": answer_loss, "all logits": whole_loss}
    times: dict[tuple[str, str], list[float]] = {(form, loss): [] for form in batches for loss in losses}
    for number in range(steps + 1):
        for form, loss in times:
            seconds = step(model, optimizer, losses[loss], Padded(encoder.pad_id)(batches[form][number]))
            if number:  # the first warms up
                times[form, loss].append(seconds)
    print(f"{base.name}, {compute_dtype()}, {torch.get_num_threads()} threads, batch 4, median of {steps} steps")
    for (form, loss), seconds in times.items():
        tokens = statistics.mean(sum(len(row["input_ids"]) for row in batch) for batch in batches[form][1:])
        median = statistics.median(seconds)
        print(f"{form:6} {loss:14} {tokens:6.0f} tokens {median:7.3f} s a step {tokens / median:6.0f} tokens/s")


def step(model: Any, optimizer: Any, loss: Callable[..., torch.Tensor], batch: dict[str, torch.Tensor]) -> float:
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=compute_dtype() == torch.bfloat16):
        value = loss(model, batch["input_ids"], batch["labels"])
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    return time.perf_counter() - began


def whole_loss(model: Any, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """As a causal model computes it by itself: logits at every position."""
    logits = model(input_ids=input_ids, use_cache=False).logits[:, :-1].float()
    return cross_entropy(logits.flatten(0, 1), labels[:, 1:].flatten())


def rows(encoder: Encoder, form: str, batches: int) -> list[list[dict[str, list[int]]]]:
    chance = random.Random(0)
    system = INSTRUCTION if form == "whole" else ""
    made: list[list[dict[str, list[int]]]] = []
    for _ in range(batches):
        batch: list[dict[str, list[int]]] = []
        for _ in range(4):
            ticket = " ".join(chance.choices(WORDS, k=10))
            prompt = encoder.prompt(
                f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n{ticket}<|im_end|>\n<|im_start|>assistant\n"
            )
            answer = encoder.answer('{"category": "ORDER", "intent": "cancel_order", "entity": {}}')
            batch.append({"input_ids": prompt + answer, "labels": [-100] * len(prompt) + answer})
        made.append(batch)
    return made


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
