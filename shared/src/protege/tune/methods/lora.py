"""LoRA: small matrices beside every linear layer are trained, the base stays as it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from ...gguf.writer import write_lora, write_merged
from ...specialist import Base
from ..converting import converted
from ..merging import merge
from ..model import compute_dtype, load_model
from ..resources import Needs, activations, disk_bytes
from ..settings import TuneSettings
from ..tuner import Lesson
from .gradient import GradientTuner

LONG_ANSWERS = 64
"""Answer tokens in a batch from which the higher learning rate is taken."""


class Lora(GradientTuner):
    """Gives peft's folder; where the base has a GGUF file also LoRA weights for llama.cpp, and the merged model."""

    name = "lora"

    def student(self, base: Base, settings: TuneSettings) -> PreTrainedModel | PeftModel:
        """The base in 16 bits where the processor computes in them, with LoRA weights in 32."""
        return with_lora(load_model(base, compute_dtype()), settings)

    def write(self, model: Any, lesson: Lesson) -> dict[str, str]:
        """`lora/`; also `lora.gguf` (not of DoRA) and `model.gguf` by a GGUF file of the base, or the latter by a
        converter."""
        base, folder = lesson.base, lesson.folder
        model.save_pretrained(folder / "lora")
        if base.format != "gguf" and not base.gguf:
            return {"lora": "lora", **converted(lesson, lambda out: merge(base, folder / "lora", out))}
        file, source = Path(base.served_from[0]), Path(base.path) if base.gguf else None
        output = lesson.settings.output
        write_merged(file, folder / "lora", folder / "model.gguf", lesson.about, output, source)
        files = {"lora": "lora", "gguf": "model.gguf"}
        if lesson.settings.variant == "dora":
            return files
        write_lora(file, folder / "lora", folder / "lora.gguf", lesson.about)
        return {**files, "lora_gguf": "lora.gguf"}

    def needs(self, weights: int, settings: TuneSettings) -> Needs:
        """The weights twice while they are loaded; gradients and optimiser of what is trained."""
        return self.needs_beside(2 * weights * compute_dtype().itemsize, weights, settings)

    def needs_beside(self, held: int, weights: int, settings: TuneSettings) -> Needs:
        """held: bytes of the base's weights in memory."""
        trained = lora_weights(weights, settings.rank)
        kept = activations(weights, settings)
        return Needs(held + 16 * trained + kept, disk_bytes(weights, trained, settings), kept)

    def variations(self, settings: TuneSettings, figures: Mapping[str, Any]) -> Sequence[TuneSettings]:
        """Another learning rate, DoRA, four times the rank with rsLoRA, another seed."""
        *rates, seed = super().variations(settings, figures)
        wide = replace(settings, rank=4 * settings.rank, variant="rslora")
        return [*rates, replace(settings, variant="dora"), wide, seed]

    def learning_rate(self, answer_tokens: float) -> float:
        """By how many answer tokens a batch holds: few of them make a noisy gradient.

        Measured on SmolLM2-135M: JSON of 18 to 28 tokens learns more at 2e-3 than at 1e-3 (exact answers on rows not
        trained on: .92 against .89, .81 against .78); one-word labels at 2e-3 failed to learn in one of two runs.
        """
        return 2e-3 if answer_tokens >= LONG_ANSWERS else 1e-3


def with_lora(model: PreTrainedModel, settings: TuneSettings) -> PeftModel:
    """The model with LoRA matrices on all linear layers, which alone are trained."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=8 if settings.variant == "rslora" else 2 * settings.rank,
        use_rslora=settings.variant == "rslora",
        use_dora=settings.variant == "dora",
        target_modules="all-linear",
        exclude_modules=_read_by_kernels(model),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)  # type: ignore[return-value]


def _read_by_kernels(model: PreTrainedModel) -> list[str] | None:
    """The layers of a Mamba mixer whose weights its kernels read past the layer, so that LoRA would have no effect."""
    mamba = any(name.endswith(".conv1d") for name, _ in model.named_modules())
    return ["conv1d", "out_proj"] if mamba else None


def lora_weights(weights: int, rank: int) -> int:
    """How many are trained. SmolLM2-135M at rank 16: 4.9 of 135 million; the share falls as layers grow wider."""
    return weights * rank // 400
