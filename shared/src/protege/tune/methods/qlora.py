"""QLoRA: LoRA over a base in 4 bits, for CUDA GPUs (Dettmers et al., 2023; arXiv:2305.14314)."""

from __future__ import annotations

import importlib.util

import torch
from peft import PeftModel, prepare_model_for_kbit_training
from transformers import BitsAndBytesConfig, PreTrainedModel

from ...errors import BaseModelError, MissingDependency, ResourceError
from ...specialist import Base
from ..model import load_model
from ..resources import Needs
from ..settings import TuneSettings
from .lora import Lora, with_lora


class QLora(Lora):
    """As `Lora`, with a quarter of the memory for the base."""

    name = "qlora"

    def student(self, base: Base, settings: TuneSettings) -> PreTrainedModel | PeftModel:
        """The base in NF4, with LoRA weights."""
        return with_lora(prepare_model_for_kbit_training(_four_bits(base)), settings)

    def needs(self, weights: int, settings: TuneSettings) -> Needs:
        """A byte a weight, with the quantisation's own constants: on the safe side."""
        return self.needs_beside(weights, weights, settings)


def _four_bits(base: Base) -> PreTrainedModel:
    if not torch.cuda.is_available():
        raise ResourceError("QLoRA needs a CUDA GPU, and there is none here.", 'Use method "lora".')
    if base.format != "huggingface":
        raise BaseModelError(
            "QLoRA takes a base in Hugging Face form, not GGUF.", 'Use method "lora", or such a folder.'
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingDependency("bitsandbytes", "qlora")
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    return load_model(base, torch.bfloat16, quantization_config=config)
