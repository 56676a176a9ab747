"""Whether memory and disk suffice for tuning, before it starts. All figures are estimates, on the high side."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import psutil
import torch

from ..errors import ResourceError
from ..gguf.names import open_gguf
from ..specialist import Base
from .settings import TuneSettings

_RUNTIME_BYTES = 700 * 2**20
"""torch, transformers and their buffers."""


class Needs(NamedTuple):
    """What tuning takes, in bytes; the libraries' own memory comes on top."""

    memory_bytes: int
    disk_bytes: int
    activations_bytes: int = 0
    """Of the memory, what is kept of the way forward for the way back."""

    def beside(self, held_bytes: int) -> Needs:
        """The same while so much memory is held besides."""
        return self._replace(memory_bytes=self.memory_bytes + held_bytes)


CHECKPOINTED = 0.25
"""The share of activations that is left where each layer's are computed again on the way back (gradient checkpointing;
Chen et al., 2016, arXiv:1604.06174): a layer's input, and all of one layer. The steps take about a third longer."""


def check_resources(base: Base, folder: Path, needs_of: Callable[[int], Needs]) -> bool:
    """Whether tuning must compute activations again to fit into memory.

    needs_of: by the number of weights. Raises ResourceError if it would run out of memory or disk all the same.
    """
    needs = needs_of(count_weights(base))
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available
    whole = _RUNTIME_BYTES + needs.memory_bytes
    thrifty = whole > free
    needed = whole - int((1 - CHECKPOINTED) * needs.activations_bytes) if thrifty else whole
    if needed > free:
        raise ResourceError(
            f"Tuning {base.name} needs about {_gb(needed)} of memory; {_gb(free)} are free.",
            "Close other programs, choose a smaller base, or a smaller batch.",
        )
    needed, free = needs.disk_bytes, shutil.disk_usage(folder).free
    if needed > free:
        raise ResourceError(
            f"Tuning {base.name} needs about {_gb(needed)} of disk; {_gb(free)} are free in {folder}.",
            "Free some, or choose another home.",
        )
    return thrifty


def count_weights(base: Base) -> int:
    """How many weights the base has; for a Hugging Face folder from the size of its files, at two bytes each."""
    path = Path(base.path)
    if base.format == "huggingface":
        return sum(file.stat().st_size for file in path.glob("*.safetensors")) // 2
    return sum(int(tensor.n_elements) for tensor in open_gguf(path).tensors)


def disk_bytes(weights: int, trained: int, settings: TuneSettings) -> int:
    """The merged file, and three checkpoints of the trained weights and their optimiser."""
    return weights * (1 if settings.output == "q8_0" else 2) * 9 // 8 + 3 * 12 * trained


def activations(weights: int, settings: TuneSettings) -> int:
    """About 60 bytes a weight's square root, layer and token; at SmolLM2-135M and 500 tokens 1.1 GB."""
    return int(settings.batch * min(settings.max_tokens, 512) * weights**0.5 * 190)


def _gb(size: float) -> str:
    return f"{size / 2**30:.1f} GB"
