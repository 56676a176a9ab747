"""Tuning beside TRL's SFTTrainer: `python tests/bench/trainers.py [--turns 3] [--steps 20] [--prompt slots|whole]`.

Needs `trl` where it can be imported (`pip install --no-deps trl` into an environment that sees the packages of this
one); nothing here installs it. Both train LoRA of rank 16 on all linear layers of SmolLM2-135M from the same initial
weights, on the same token ids in the same order, in batches of 8, by the same optimiser, learning rates and type of
numbers; TRL with `loss_type="chunked_nll"`, the completion alone, and without gradient checkpointing, which ours does
without as well. The two are trained in turns, each in a process of its own with `--threads` threads.

Printed are tokens a second of prompts and answers, without padding and without the first steps, which compile kernels;
the same by seconds of the processor, which other programs on the machine do not change; the loss on rows not trained
on, by one function for both; and the most memory of the process. Medians of the turns.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from protege.tune import TuneSettings
from protege.tune.examples import Examples, Padded, TrainingData
from protege.tune.methods.lora import Lora
from protege.tune.model import Encoder, compute_dtype, load_tokenizer, quiet
from protege.tune.training import answer_loss, in_batches, train
from specialists import smollm2
from transformers import TrainerCallback, set_seed
from tuning import rows

WARM, HELD_OUT, RATE = 3, 32, 1e-3
NAMES = ("ours", "trl")


class Clock(TrainerCallback):
    """When each step ended; a bar of ours, and a callback of TRL's."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def advance(self, amount: float = 1, note: str = "") -> None:
        if amount:
            self.ends.append((time.perf_counter(), time.process_time()))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.advance()

    @property
    def took(self) -> tuple[float, float]:
        """Seconds, and seconds of the processor, of all steps but the first ones."""
        first, last = self.ends[WARM - 1], self.ends[-1]
        return last[0] - first[0], last[1] - first[1]


def train_ours(model: Any, given: list[dict[str, list[int]]], settings: TuneSettings, folder: Path) -> Clock:
    clock, encoder = Clock(), Encoder(smollm2())
    data = TrainingData(Examples(given, {}, 0), Examples([], {}, 0), encoder.pad_id)
    train(model, data, settings, RATE, folder, clock)
    return clock


def train_trl(model: Any, given: list[dict[str, list[int]]], settings: TuneSettings, folder: Path) -> Clock:
    import trl  # only where it is measured
    from datasets import Dataset

    ordered = in_batches(given, settings.batch, settings.steps, settings.seed)
    masks = [[int(label != -100) for label in row["labels"]] for row in ordered]
    tokenizer: Any = load_tokenizer(smollm2())
    arguments = trl.SFTConfig(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        learning_rate=RATE,
        lr_scheduler_type="cosine",
        warmup_steps=min(settings.warmup_steps, settings.steps // 2),
        weight_decay=0.0,
        optim="adamw_torch_fused",
        bf16=compute_dtype() == torch.bfloat16,
        use_cpu=True,
        gradient_checkpointing=False,
        loss_type="chunked_nll",
        completion_only_loss=True,
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        logging_strategy="no",
        dataloader_pin_memory=False,
        max_length=None,
        seed=settings.seed,
    )
    dataset = Dataset.from_dict({"input_ids": [row["input_ids"] for row in ordered], "completion_mask": masks})
    clock = Clock()
    trainer = trl.SFTTrainer(model, arguments, train_dataset=dataset, processing_class=tokenizer, callbacks=[clock])
    set_seed(settings.seed)
    trainer.train()
    return clock


def one(name: str, prompt: str, steps: int) -> dict[str, float]:
    """One training, and what it came to."""
    settings = TuneSettings(steps=steps, minutes=None, evaluations=1)
    base = smollm2()
    encoder = Encoder(base)
    made = [row for batch in rows(encoder, prompt, (steps * settings.batch + HELD_OUT) // 4) for row in batch]
    held_out, given = made[:HELD_OUT], made[HELD_OUT:]
    with quiet(), tempfile.TemporaryDirectory() as folder:
        set_seed(settings.seed)
        model = Lora().student(base, settings)
        clock = (train_ours if name == "ours" else train_trl)(model, given, settings, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    ordered = in_batches(given, settings.batch, steps, settings.seed)[WARM * settings.batch :]
    tokens, (seconds, of_processor) = sum(len(row["input_ids"]) for row in ordered), clock.took
    held = Padded(encoder.pad_id)(held_out)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=compute_dtype() == torch.bfloat16):
        loss = float(answer_loss(model.eval(), held["input_ids"], held["labels"]))
    return {"a second": tokens / seconds, "a processor's": tokens / of_processor, "loss": loss, "MiB": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prompt", choices=("slots", "whole"), default="slots")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one:
        return print(json.dumps(one(given.one, given.prompt, given.steps)))
    found: dict[str, list[dict[str, float]]] = {name: [] for name in NAMES}
    for turn in range(given.turns):
        for name in NAMES if turn % 2 == 0 else reversed(NAMES):
            done = subprocess.run([sys.executable, *sys.argv, "--one", name], stdout=subprocess.PIPE, check=True)
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"turn {turn + 1}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    print(f"{given.prompt}, {given.steps} steps of 8, {given.threads} threads, {compute_dtype()}, {given.turns} turns")
    for measure in found["ours"][0]:
        a, b = (statistics.median(turn[measure] for turn in found[name]) for name in NAMES)
        each = ", ".join(f"{x[measure] / y[measure]:.2f}" for x, y in zip(found["ours"], found["trl"], strict=True))
        print(f"{measure:14} ours {a:9.4g}   TRL {b:9.4g}   ours/TRL {a / b:.3f} (by turn: {each})")


if __name__ == "__main__":
    main()
