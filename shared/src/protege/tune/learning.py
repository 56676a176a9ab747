"""One run of training and what it leaves: the heavy half of `tune`, which imports torch, transformers and peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import BitsAndBytesConfig, PreTrainedModel, set_seed

from ..common.progress import Progress
from ..errors import BaseModelError, MissingDependency, ResourceError
from ..gguf.writer import write_full, write_lora, write_merged
from ..specialist import Base
from .examples import Examples
from .model import compute_dtype, load_model, quiet, reading
from .resources import check_resources
from .settings import TuneSettings
from .training import Run, train


def learn(
    base: Base,
    examples: Examples,
    validation: Examples,
    settings: TuneSettings,
    folder: Path,
    checkpoints: Path,
    pad_id: int,
    about: Mapping[str, str],
    progress: Progress,
) -> tuple[Run, dict[str, str]]:
    """Train, then write the weights into `folder`. Returns the run's figures and the files, by what they are."""
    dtype = torch.float32 if settings.method == "full" else compute_dtype()
    check_resources(base, folder, settings, dtype.itemsize)
    with quiet():
        set_seed(settings.seed)
        model = student(base, settings, dtype)
        with progress.step(f"{about['general.name']}: tuning", settings.steps) as bar:
            run = train(model, examples, validation, settings, checkpoints, pad_id, bar)
        with progress.step(f"{about['general.name']}: writing the tuned model"), reading(base):
            return run, _write(model, base, settings, folder, about)


def student(base: Base, settings: TuneSettings, dtype: torch.dtype) -> PreTrainedModel | PeftModel:
    """The base, made trainable by the method wanted."""
    if settings.method == "full":
        return load_model(base, dtype)
    if settings.method == "qlora":
        return _with_lora(prepare_model_for_kbit_training(_four_bits(base)), settings)
    return _with_lora(load_model(base, dtype), settings)


def _with_lora(model: PreTrainedModel, settings: TuneSettings) -> PeftModel:
    config = LoraConfig(
        r=settings.rank, lora_alpha=2 * settings.rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    return get_peft_model(model, config)  # type: ignore[return-value]


def _four_bits(base: Base) -> PreTrainedModel:
    if not torch.cuda.is_available():
        raise ResourceError("QLoRA needs a CUDA GPU, and there is none here.", 'Use method "lora".')
    if base.format != "huggingface":
        raise BaseModelError(
            "QLoRA takes a base in Hugging Face form, not GGUF.", 'Use method "lora", or such a folder.'
        )
    try:
        import bitsandbytes as _  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise MissingDependency("bitsandbytes", "qlora") from None
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16)
    return load_model(base, torch.bfloat16, quantization_config=config)


def _write(model: Any, base: Base, settings: TuneSettings, folder: Path, about: Mapping[str, str]) -> dict[str, str]:
    gguf = base.format == "gguf"
    if settings.method == "full":
        if not gguf:
            model.save_pretrained(folder / "model")
            return {"model": "model"}
        parameters = {name: value.detach().float().cpu().numpy() for name, value in model.named_parameters()}
        write_full(Path(base.path), parameters, folder / "model.gguf", about, settings.output)
        return {"gguf": "model.gguf"}
    model.save_pretrained(folder / "lora")
    if not gguf:
        return {"lora": "lora"}
    write_lora(Path(base.path), folder / "lora", folder / "lora.gguf", about)
    write_merged(Path(base.path), folder / "lora", folder / "model.gguf", about, settings.output)
    return {"lora": "lora", "lora_gguf": "lora.gguf", "gguf": "model.gguf"}
