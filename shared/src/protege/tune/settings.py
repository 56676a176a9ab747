"""How a specialist is tuned, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from ..errors import BadInput
from ..specialist import PromptForm

Method: TypeAlias = Literal["lora", "full", "qlora"]


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """How a specialist is tuned.

    method: "lora"; "full" (every weight); "qlora" (LoRA over a 4-bit base: CUDA GPUs only).
    form: whether the specialist is shown the task's slots or the whole prompt.
    rank: of the LoRA matrices, on all linear layers; alpha is twice that.
    steps: optimiser steps at most, `batch` examples each.
    learning_rate: the peak, after `warmup_steps`; from there a cosine to zero. None: see `learning_rate_for`.
    max_tokens: longer examples (prompt and answer) are left out and counted.
    evaluations: how often in the run the loss on at most `validation_rows` rows is measured, and a checkpoint written.
    patience: stop after so many evaluations in a row without a better loss. The best weights are kept.
    output: the type of the tuned tensors in the merged GGUF. seed: of initial weights, order and dropout.
    """

    method: Method = "lora"
    form: PromptForm = "slots"
    rank: int = 16
    steps: int = 180
    batch: int = 8
    learning_rate: float | None = None
    warmup_steps: int = 15
    max_tokens: int = 2048
    evaluations: int = 3
    validation_rows: int = 48
    patience: int = 2
    output: Literal["q8_0", "f16"] = "q8_0"
    seed: int = 17

    def __post_init__(self) -> None:
        for name in ("rank", "steps", "batch", "max_tokens", "evaluations", "validation_rows", "patience"):
            if getattr(self, name) < 1:
                raise BadInput(f"The setting {name} must be at least 1.", "Give a larger number.")
        if self.method not in ("lora", "full", "qlora"):
            raise BadInput(f"There is no method {self.method!r}.", "Choose lora, full or qlora.")


LONG_ANSWERS = 64
"""Answer tokens in a batch."""


def learning_rate_for(settings: TuneSettings, answer_tokens: float) -> float:
    """The settings' own rate, else by how many answer tokens a batch holds: few of them make a noisy gradient.

    Measured on SmolLM2-135M, LoRA: JSON of 18 to 28 tokens learns more at 2e-3 than at 1e-3 (exact answers on rows not
    trained on: .92 against .89, .81 against .78); one-word labels at 2e-3 failed to learn in one of two runs. Where
    every weight is trained, the customary 5e-5 (not measured here).
    """
    if settings.learning_rate is not None:
        return settings.learning_rate
    if settings.method == "full":
        return 5e-5
    return 2e-3 if answer_tokens >= LONG_ANSWERS else 1e-3


@dataclass(frozen=True, slots=True)
class Tuned:
    """What tuning wrote into its folder.

    files: what stands there, by what it is ("lora" peft folder, "lora_gguf", "gguf" merged; "model" a Hugging Face
    folder), relative to the folder. digests: SHA-256 of those that are files. inputs: hash of all that this was made
    from. lineage: hashes and counts of the data and the base, library versions. max_tokens: the longest answer that
    the specialist may give. figures: seconds, steps, tokens a second, losses.
    """

    inputs: str
    files: Mapping[str, str]
    digests: Mapping[str, str]
    settings: Mapping[str, Any]
    lineage: Mapping[str, Any]
    max_tokens: int
    figures: Mapping[str, Any]

    def to_record(self) -> dict[str, Any]:
        return asdict(self)
