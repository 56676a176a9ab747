"""Whether memory and disk suffice for tuning, before it starts."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import ResourceError
from ..gguf.names import open_gguf
from ..specialist import Base
from .settings import TuneSettings

_RUNTIME_BYTES = 700 * 2**20
"""torch, transformers and their buffers: an estimate, on the safe side."""


def check_resources(base: Base, folder: Path, settings: TuneSettings, bytes_per_weight: int) -> None:
    """Raise ResourceError where tuning would run out of memory or disk. Estimates, on the high side."""
    import psutil
    import torch

    weights = count_weights(base)
    needed = _RUNTIME_BYTES + memory_bytes(weights, settings, bytes_per_weight)
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available
    if needed > free:
        raise ResourceError(
            f"Tuning {base.name} needs about {_gb(needed)} of memory; {_gb(free)} are free.",
            "Close other programs, choose a smaller base, or a smaller batch.",
        )
    needed, free = disk_bytes(weights, settings), shutil.disk_usage(_existing(folder)).free
    if needed > free:
        raise ResourceError(
            f"Tuning {base.name} needs about {_gb(needed)} of disk; {_gb(free)} are free in {folder}.",
            "Free some, or choose another home.",
        )


def memory_bytes(weights: int, settings: TuneSettings, bytes_per_weight: int) -> int:
    """Weights (twice while they are loaded), gradients and optimiser of what is trained, activations."""
    if settings.method == "full":
        return weights * (bytes_per_weight + 12) + _activations(weights, settings)
    held = weights if settings.method == "qlora" else 2 * weights * bytes_per_weight
    return held + 16 * _lora_weights(weights, settings.rank) + _activations(weights, settings)


def disk_bytes(weights: int, settings: TuneSettings) -> int:
    """The merged file, and three checkpoints of weights and optimiser."""
    trained = weights if settings.method == "full" else _lora_weights(weights, settings.rank)
    return weights * (1 if settings.output == "q8_0" else 2) * 9 // 8 + 3 * 12 * trained


def count_weights(base: Base) -> int:
    """How many weights the base has; for a Hugging Face folder from the size of its files, at two bytes each."""
    path = Path(base.path)
    if base.format == "huggingface":
        return sum(file.stat().st_size for file in path.glob("*.safetensors")) // 2
    return sum(int(tensor.n_elements) for tensor in open_gguf(path).tensors)


def _lora_weights(weights: int, rank: int) -> int:
    """SmolLM2-135M at rank 16: 4.9 of 135 million; the share falls as layers grow wider."""
    return weights * rank // 400


def _activations(weights: int, settings: TuneSettings) -> int:
    """About 60 bytes a weight's square root, layer and token: an estimate; at SmolLM2-135M and 500 tokens 1.1 GB."""
    return int(settings.batch * min(settings.max_tokens, 512) * weights**0.5 * 190)


def _existing(folder: Path) -> Path:
    return folder if folder.exists() or folder == folder.parent else _existing(folder.parent)


def _gb(size: float) -> str:
    return f"{size / 2**30:.1f} GB"
