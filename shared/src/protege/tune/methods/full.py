"""Full tuning: every weight of the base is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ...gguf.writer import write_full
from ...specialist import Base
from ..converting import converted
from ..merging import published
from ..model import load_model, load_tokenizer
from ..resources import Needs, activations, disk_bytes
from ..settings import TuneSettings
from ..tuner import Lesson
from .gradient import GradientTuner


class Full(GradientTuner):
    """Gives the whole model: GGUF of a GGUF base, a folder in Hugging Face form of such a one."""

    name = "full"

    def student(self, base: Base, settings: TuneSettings) -> PreTrainedModel:
        """The base in 32 bits: the updates of single steps are too small for 16."""
        return load_model(base, torch.float32)

    def write(self, model: Any, lesson: Lesson) -> dict[str, str]:
        """`model.gguf`, or the folder `model`; both of a folder of which there is a GGUF file."""
        files: dict[str, str] = {}
        if lesson.base.format != "gguf":
            model.save_pretrained(lesson.folder / "model")
            load_tokenizer(lesson.base).save_pretrained(lesson.folder / "model")
            files["model"] = "model"
            if not lesson.base.gguf:
                return {**files, **converted(lesson, lambda out: published(lesson.base, lesson.folder / "model", out))}
        weights = {name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()}
        path = lesson.folder / "model.gguf"
        write_full(Path(lesson.base.served_from[0]), weights, path, lesson.about, lesson.settings.output)
        return {**files, "gguf": "model.gguf"}

    def needs(self, weights: int, settings: TuneSettings) -> Needs:
        """Weights, gradients and optimiser in 32 bits."""
        kept = activations(weights, settings)
        memory = weights * (torch.float32.itemsize + 12) + kept
        return Needs(memory, disk_bytes(weights, weights, settings), kept)

    def learning_rate(self, answer_tokens: float) -> float:
        """The customary one (not measured here)."""
        return 5e-5
