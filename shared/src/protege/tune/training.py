"""The training loop: transformers' Trainer, with logits on the answer's positions only."""

from __future__ import annotations

import contextlib
import math
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from ..errors import BaseModelError, ProtegeError
from .budget import Budget
from .distilling import SHARE, drawn_to
from .examples import IGNORED, Padded, TokenRow, TrainingData, padded_length
from .settings import TuneSettings
from .threads import Threads

if TYPE_CHECKING:
    from peft import PeftModel

    from ..common.progress import Bar


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """What training came to. Losses are in nats a token."""

    steps: int
    """Those before an interrupt are counted too."""
    seconds: float
    """Spent in steps, since the last interrupt."""
    tokens_per_second: float
    """Of prompts and answers, since the last interrupt."""
    train_loss: float | None
    """The last one; None if training went on from its end."""
    validation_loss: float | None
    """The best one; None if there are no validation rows."""
    best_step: int
    """The step of whose weights the model is."""
    stopped_early: bool
    """The validation loss rose, so that the budget was not spent."""
    losses: list[dict[str, float]]
    """By step, {"step", "train"} and {"step", "validation"}, in the order of time."""


def train(
    model: PreTrainedModel | PeftModel,
    data: TrainingData,
    settings: TuneSettings,
    learning_rate: float,
    checkpoints: Path,
    bar: Bar,
    mentor: PreTrainedModel | None = None,
) -> TrainingRun:
    """Train `model` in place; it ends with the weights of the best evaluation.

    learning_rate: the peak. mentor: whose token probabilities are learnt too; the rows then hold its columns. Continues
    from the last whole checkpoint in `checkpoints`. Raises ProtegeError if the loss is not finite.
    """
    examples, validation = data.train, data.validation
    judged = bool(validation.rows)
    arguments = TrainingArguments(
        output_dir=str(checkpoints),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        per_device_eval_batch_size=4 * settings.batch,
        learning_rate=learning_rate,
        weight_decay=0.0,
        max_grad_norm=1.0,
        optim="adamw_torch_fused",
        bf16=_autocast(model),
        use_cpu=not torch.cuda.is_available(),
        train_sampling_strategy="sequential",
        eval_strategy="steps" if judged else "no",
        eval_steps=settings.steps,  # and as `Budget` says
        save_strategy="steps",
        save_steps=settings.steps,
        save_total_limit=2,
        load_best_model_at_end=judged,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model="eval_loss" if judged else None,
        greater_is_better=False if judged else None,
        prediction_loss_only=True,
        logging_steps=5,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
    )
    ordered = in_batches(examples.rows, settings.batch, settings.steps, settings.seed)
    batches = [ordered[i : i + settings.batch] for i in range(0, len(ordered), settings.batch)]
    watch = _Watch(bar, [sum(len(row["input_ids"]) for row in rows) for rows in batches])
    callbacks: list[TrainerCallback] = [watch, budget_of(settings, len(examples.rows), judged)]
    if judged:
        callbacks.append(Patience(settings.patience))
    if not torch.cuda.is_available():
        callbacks.append(Threads([len(rows) * padded_length(rows) for rows in batches]))
    trainer = AnswerTrainer(
        model=model,
        args=arguments,
        train_dataset=_Rows(ordered),
        eval_dataset=_Rows(validation.rows[: settings.validation_rows]) if judged else None,
        data_collator=Padded(data.pad_id),
        callbacks=callbacks,
    )
    trainer.mentor = mentor
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    check_logits(model, min(examples.rows, key=lambda row: len(row["input_ids"])))
    set_seed(settings.seed)
    resumed = last_checkpoint(checkpoints)
    threads = torch.get_num_threads()
    try:
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    finally:
        torch.set_num_threads(threads)
    best = trainer.state.best_metric
    return TrainingRun(
        steps=trainer.state.global_step,
        seconds=watch.seconds,
        tokens_per_second=watch.tokens / watch.seconds if watch.seconds else 0.0,
        train_loss=watch.loss,
        validation_loss=best,
        best_step=trainer.state.best_global_step or trainer.state.global_step,
        stopped_early=trainer.budget.spent_share(trainer.state.global_step) < 1,
        losses=_losses(trainer.state.log_history),
    )


class Patience(EarlyStoppingCallback):
    """Stops a run whose validation loss does not fall any more; at once, if that is so where it goes on from."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        super().on_train_begin(args, state, control, **kwargs)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class AnswerTrainer(Trainer):
    """A Trainer whose output layer sees the answer's positions alone.

    A small model's output layer costs as much as its layers (SmolLM2-135M: 28 of 135M weights, and 49,152 logits a
    position): leaving out the prompt's halves a step.
    """

    mentor: Any = None

    @property
    def budget(self) -> Budget:
        """Another object after a checkpoint was read."""
        return next(one for one in self.callback_handler.callbacks if isinstance(one, Budget))

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        """The learning rate by what is spent of the budget."""
        stepped: Any = optimizer or self.optimizer
        self.lr_scheduler = LambdaLR(stepped, lambda step: self.budget.rate(step))
        self._created_lr_scheduler = True
        return self.lr_scheduler

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        with self.accelerator.autocast():  # it stands around the model's own forward, which is not called here
            loss = self._loss(model, inputs)
        return (loss, {}) if return_outputs else loss

    def _loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if self.mentor is None or "mentor_ids" not in inputs:  # validation rows have none: losses stay comparable
            return answer_loss(model, inputs["input_ids"], inputs["labels"])
        answered = inputs["labels"][:, 1:] != IGNORED
        logits = _logits(model, inputs["input_ids"], answered)
        with torch.no_grad():
            theirs = _logits(self.mentor, inputs["mentor_ids"], inputs["mentor_labels"][:, 1:] != IGNORED)
        recorded = cross_entropy(logits.float(), inputs["labels"][:, 1:][answered])
        return (1 - SHARE) * recorded + SHARE * drawn_to(logits, theirs)


def answer_loss(model: Any, input_ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean loss over the answers' tokens. input_ids, labels: (batch, length); labels IGNORED over prompts."""
    targets = labels[:, 1:]
    answered = targets != IGNORED
    return cross_entropy(_logits(model, input_ids, answered).float(), targets[answered])


def _logits(model: Any, input_ids: torch.Tensor, answered: torch.Tensor) -> torch.Tensor:
    """The logits of the answers' tokens: (tokens, vocabulary)."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    again = bool(getattr(whole, "is_gradient_checkpointing", False))  # on the way back, outside of this block
    with contextlib.nullcontext() if again else _attention(input_ids):
        hidden = whole.get_decoder()(input_ids=input_ids, use_cache=False).last_hidden_state
    return as_the_model_scales(whole.config, whole.get_output_embeddings()(hidden[:, :-1][answered]))


def as_the_model_scales(config: Any, logits: torch.Tensor) -> torch.Tensor:
    """What the model makes of its output layer's logits: Granite and Cohere scale them, Gemma 2 bounds them."""
    if (factor := getattr(config, "logits_scaling", None)) is not None:
        logits = logits / factor
    if (factor := getattr(config, "logit_scale", None)) is not None:
        logits = logits * factor
    if (bound := getattr(config, "final_logit_softcapping", None)) is not None:
        logits = bound * torch.tanh(logits / bound)
    return logits


@torch.no_grad()
def check_logits(model: Any, row: TokenRow) -> None:
    """Raise BaseModelError if the model's own logits are not those that are trained on: another architecture may do
    more with them. Reads one row twice."""
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    ids, labels = (torch.tensor([row[name]], device=whole.device) for name in ("input_ids", "labels"))
    answered, training = labels[:, 1:] != IGNORED, model.training
    model.eval()
    own = whole(input_ids=ids, use_cache=False).logits[:, :-1][answered].float()
    ours = _logits(model, ids, answered).float()
    model.train(training)
    if float((own - ours).abs().max()) > SAME_LOGITS * max(1.0, float(own.abs().max())):
        raise BaseModelError(
            f"Of {whole.config.model_type} it is not known what it makes of its logits.", "Choose another base."
        )


SAME_LOGITS = 0.03
"""The largest difference between two ways to compute a logit, relative to the largest: bfloat16 keeps 8 bits."""


def budget_of(settings: TuneSettings, rows: int, judged: bool = True) -> Budget:
    """The budget that these settings give for so many rows: time ends no run that has not seen each of them once."""
    seconds = None if settings.minutes is None else 60 * settings.minutes
    warmup, least = min(settings.warmup_steps, settings.steps // 2), -(-rows // settings.batch)
    return Budget(settings.steps, warmup, settings.evaluations, seconds, least, judged)


SHORT = 128
"""Tokens a row up to which plain attention is faster on CPUs than the fused kernel, whose backward pass took a sixth
of a step of 8 rows of 36; its memory grows with the square of the length: here 150 MB for SmolLM2-135M and 8 rows."""


def _attention(input_ids: torch.Tensor) -> contextlib.AbstractContextManager[Any]:
    short = input_ids.device.type == "cpu" and input_ids.shape[1] <= SHORT
    return sdpa_kernel(SDPBackend.MATH) if short else contextlib.nullcontext()


class _Rows(Dataset[TokenRow]):
    def __init__(self, rows: Sequence[TokenRow]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> TokenRow:
        return self.rows[index]


WINDOW = 8
"""Batches are cut from windows of this many batches, each sorted by length."""


def in_batches(rows: Sequence[TokenRow], batch: int, steps: int, seed: int) -> list[TokenRow]:
    """The rows in the order of training, `steps` times `batch` of them: every `batch` of about one length.

    Rows of one length are often answered alike ("no city": a short address), so batches must come in random order, and
    be sorted only within small windows. Measured on the demo's "place", SmolLM2-135M, 110 steps of 8 rows, exact
    answers on 218 rows not trained on: .70 sorted within 50 batches and not shuffled, as transformers' own grouping by
    length does; .80 without any sorting, but then a quarter of all positions is padding, and a step takes 1.2 times as
    long.
    """
    chance = random.Random(seed)
    rows = [*rows] * -(-batch // len(rows))  # one batch at the least
    batches: list[Sequence[TokenRow]] = []
    while len(batches) < steps:
        shuffled = chance.sample(rows, len(rows))
        windows = [shuffled[start : start + batch * WINDOW] for start in range(0, len(rows), batch * WINDOW)]
        cut = [whole for window in windows for whole in _cut(window, batch)]
        batches += chance.sample(cut, len(cut))
    return [row for rows in batches[:steps] for row in rows]


def _cut(window: Sequence[TokenRow], batch: int) -> list[Sequence[TokenRow]]:
    """Whole batches, each of about one length. Rows left over come in another turn; they are not always the longest."""
    ordered = sorted(window[: len(window) // batch * batch], key=lambda row: len(row["input_ids"]))
    return [ordered[i : i + batch] for i in range(0, len(ordered), batch)]


def _losses(history: Sequence[Mapping[str, float]]) -> list[dict[str, float]]:
    """The losses among what the Trainer logged."""
    names = {"loss": "train", "eval_loss": "validation"}
    return [{"step": entry["step"], names[name]: entry[name]} for entry in history for name in names if name in entry]


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written whole. Half-written ones are removed.

    The Trainer writes `trainer_state.json` last; a kill while it writes leaves it missing or cut off.
    """
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for checkpoint in checkpoints:
        try:
            orjson.loads((checkpoint / "trainer_state.json").read_bytes())
        except (OSError, orjson.JSONDecodeError):
            shutil.rmtree(checkpoint, ignore_errors=True)
        else:
            return checkpoint
    return None


def _autocast(model: Any) -> bool:
    """Where base weights are bf16, LoRA's float32 weights are cast on the way; their updates stay exact."""
    return any(parameter.dtype == torch.bfloat16 for parameter in model.parameters())


class _Watch(TrainerCallback):
    """Moves the bar, keeps the last loss, counts the time in training steps, stops on a loss that is not finite."""

    def __init__(self, bar: Bar, tokens: Sequence[int]) -> None:
        self.bar, self.tokens_of_step = bar, tokens
        self.loss: float | None = None
        self.seconds = self.tokens = 0.0
        self._began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.advance(state.global_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._began = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.seconds += time.perf_counter() - self._began
        self.tokens += self.tokens_of_step[state.global_step - 1]
        self.bar.advance(1, "" if self.loss is None else f"loss {self.loss:.3f}")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        for name in ("loss", "eval_loss"):
            if (value := (logs or {}).get(name)) is None:
                continue
            if not math.isfinite(value):
                raise ProtegeError(
                    f"The {'training' if name == 'loss' else 'validation'} loss is not a finite number.",
                    "Tune again with a lower learning_rate.",
                )
            if name == "loss":
                self.loss = float(value)
