"""Full tuning: every weight of the base is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from ...gguf.writer import write_full
from ...specialist import Base
from ..model import load_model
from ..resources import Needs, activations, disk_bytes
from ..settings import TuneSettings
from ..tuner import Lesson
from .gradient import GradientTuner


class Full(GradientTuner):
    """Gives the whole model: GGUF of a GGUF base, else a folder in Hugging Face form."""

    name = "full"

    def student(self, base: Base, settings: TuneSettings) -> PreTrainedModel:
        """The base in 32 bits: the updates of single steps are too small for 16."""
        return load_model(base, torch.float32)

    def write(self, model: Any, lesson: Lesson) -> dict[str, str]:
        """`model.gguf`, or the folder `model`."""
        if lesson.base.format != "gguf":
            model.save_pretrained(lesson.folder / "model")
            return {"model": "model"}
        weights = {name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()}
        path = lesson.folder / "model.gguf"
        write_full(Path(lesson.base.path), weights, path, lesson.about, lesson.settings.output)
        return {"gguf": "model.gguf"}

    def needs(self, weights: int, settings: TuneSettings) -> Needs:
        """Weights, gradients and optimiser in 32 bits."""
        memory = weights * (torch.float32.itemsize + 12) + activations(weights, settings)
        return Needs(memory, disk_bytes(weights, weights, settings))

    def learning_rate(self, answer_tokens: float) -> float:
        """The customary one (not measured here)."""
        return 5e-5
