"""LoRA weights in peft's form: how each changes its tensor.

LoRA adds a product of two narrow matrices (Hu et al., 2021, arXiv:2106.09685); rsLoRA scales it by the root of the rank
(Kalajdzievski, 2023, arXiv:2312.03732); DoRA then brings each row to a length of its own (Liu et al., 2024,
arXiv:2402.09353).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from safetensors.torch import load_file

_PREFIX = "base_model.model."


@dataclass(frozen=True, slots=True)
class LoraWeights:
    """The change of one parameter (out, in), in float32."""

    scale: float
    a: np.ndarray
    """(rank, in)"""
    b: np.ndarray
    """(out, rank)"""
    lengths: np.ndarray | None = None
    """Of DoRA: the length of each row, (out,)."""

    def ordered(self, reorder: Callable[[np.ndarray], np.ndarray]) -> LoraWeights:
        """The same for a tensor whose rows are in another order. reorder: brings rows into it."""
        return LoraWeights(self.scale, self.a, reorder(self.b), None if self.lengths is None else reorder(self.lengths))

    def added_to(self, weights: np.ndarray) -> np.ndarray:
        """The tuned parameter, from the base's. weights: (out, in), float32."""
        whole = weights + self.scale * (self.b @ self.a)
        if self.lengths is None:
            return whole
        return whole * (self.lengths / np.linalg.norm(whole, axis=1))[:, None]


def read_lora(folder: Path) -> Mapping[str, LoraWeights]:
    """peft's LoRA weights in a folder, by the parameter that they change ("model.layers.0.mlp.up_proj.weight")."""
    config = orjson.loads((folder / "adapter_config.json").read_bytes())
    # Loaded through torch, because numpy has no bfloat16.
    tensors = {name: tensor.float().numpy() for name, tensor in load_file(folder / "adapter_model.safetensors").items()}
    rank = config["r"] ** 0.5 if config.get("use_rslora") else config["r"]
    return dict(_changes(tensors, config["lora_alpha"] / rank))


def _changes(tensors: Mapping[str, np.ndarray], scale: float) -> Iterator[tuple[str, LoraWeights]]:
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            module = key.removesuffix(".lora_A.weight")
            lengths = tensors.get(f"{module}.lora_magnitude_vector")
            weights = LoraWeights(scale, a, tensors[f"{module}.lora_B.weight"], lengths)
            yield f"{module.removeprefix(_PREFIX)}.weight", weights
