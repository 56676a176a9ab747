"""Tuning beside TRL's SFTTrainer: `python tests/bench/trainers.py [--steps 20] [--prompt slots|whole] [--threads 1]`.

Needs `trl` where it can be imported (`pip install --no-deps trl` into an environment that sees the packages of this
one); nothing here installs it. Both train LoRA of rank 16 on all linear layers of SmolLM2-135M from the same initial
weights, on the same token ids in the same order, in batches of 8, by the same optimiser, learning rates and type of
numbers; TRL with `loss_type="chunked_nll"`, the completion alone, and without gradient checkpointing, which ours does
without as well. Each is a process of its own; they take their steps in turns, the other waiting meanwhile, so that a
busy machine slows both alike.

Printed are tokens a second of prompts and answers, without padding, by the median step; the same by seconds of the
processor; the loss on rows not trained on, by one function for both; and the most memory of the process. The first
steps, which compile kernels, are not counted. The ratios are medians of those of each pair of steps.
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
SAYS = "@"


class Clock(TrainerCallback):
    """Takes each step when its turn has come; a bar of ours, and a callback of TRL's."""

    def __init__(self) -> None:
        self.took: list[tuple[float, float]] = []
        """Seconds of each step, and seconds of the processor."""
        self._began = now()

    def advance(self, amount: float = 1, note: str = "") -> None:
        if not amount:
            return
        self.took.append((now()[0] - self._began[0], now()[1] - self._began[1]))
        say("step")
        sys.stdin.readline()
        self._began = now()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.advance()


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def say(word: str) -> None:
    """To the process that gives the turns; libraries print lines of their own."""
    print(f"{SAYS}{word}", flush=True)


def train_ours(model: Any, given: list[dict[str, list[int]]], settings: TuneSettings, folder: Path) -> Clock:
    clock, encoder = Clock(), Encoder(smollm2())
    data = TrainingData(Examples(given, {}, 0), Examples([], {}, 0), encoder.pad_id)
    train(model, data, settings, RATE, folder, clock)
    return clock


def train_trl(model: Any, given: list[dict[str, list[int]]], settings: TuneSettings, folder: Path) -> Clock:
    import trl  # pyright: ignore[reportMissingImports] — only where it is measured
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


def one(name: str, prompt: str, steps: int) -> dict[str, Any]:
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
    ordered = in_batches(given, settings.batch, steps, settings.seed)
    tokens = [sum(len(row["input_ids"]) for row in ordered[i : i + settings.batch]) for i in range(0, len(ordered), 8)]
    rates = [[count / seconds for seconds in took] for count, took in zip(tokens, clock.took, strict=True)][WARM:]
    held = Padded(encoder.pad_id)(held_out)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=compute_dtype() == torch.bfloat16):
        loss = float(answer_loss(model.eval(), held["input_ids"], held["labels"]))
    return {"tokens a second": [a for a, _ in rates], "a processor's": [b for _, b in rates], "loss": loss, "MiB": peak}


def in_turns() -> dict[str, dict[str, Any]]:
    """Both trainings, a step of each in turn."""
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running: dict[str, Any] = {
        name: subprocess.Popen([sys.executable, *sys.argv, "--one", name], **pipes) for name in NAMES
    }
    for process in running.values():  # the first step, and all that is loaded before it
        heard(process)
    done: dict[str, dict[str, Any]] = {}
    while len(done) < len(NAMES):
        for name in [name for name in NAMES if name not in done]:
            running[name].stdin.write("go\n")
            running[name].stdin.flush()
            if (said := heard(running[name])) != "step":
                done[name] = json.loads(said)
    return done


def heard(process: Any) -> str:
    return next(line for line in process.stdout if line.startswith(SAYS)).removeprefix(SAYS).strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--prompt", choices=("slots", "whole"), default="slots")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", choices=NAMES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.one:
        return say(json.dumps(one(given.one, given.prompt, given.steps)))
    done = in_turns()
    ours, trl = (done[name] for name in NAMES)
    print(f"{given.prompt}, {given.steps} steps of 8, {given.threads} threads, {compute_dtype()}")
    for measure in ("tokens a second", "a processor's"):
        ratios = statistics.quantiles([a / b for a, b in zip(ours[measure], trl[measure], strict=True)], n=4)
        a, b = statistics.median(ours[measure]), statistics.median(trl[measure])
        print(f"{measure:15} ours {a:6.0f}   TRL {b:6.0f}   ratio {ratios[1]:.2f} ({ratios[0]:.2f} to {ratios[2]:.2f})")
    for measure in ("loss", "MiB"):
        print(f"{measure:15} ours {ours[measure]:6.4g}   TRL {trl[measure]:6.4g}")


if __name__ == "__main__":
    main()
