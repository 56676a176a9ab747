"""The GGUF tensor of each linear layer, and the order in which llama.cpp stores its rows.

This covers the architectures whose tensors map one to one between transformers and llama.cpp. Others are refused: with
a wrong map, the written file would load and produce nonsense. shared/tests/tune proves each of them against llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf

from ..errors import BaseModelError

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFReader

SUPPORTED = frozenset({"llama", "qwen2", "qwen3", "gemma3"})
"""The `general.architecture` of files that can be tuned. Mistral's GGUF files say "llama"."""

_PERMUTED = frozenset({"llama"})
"""GGUF interleaves the q and k rows of these, for llama.cpp's rotary embedding of neighbouring pairs."""

_SHIFTED_NORMS = frozenset({"gemma3"})
"""GGUF stores the norm weights of these plus one, as llama.cpp applies them."""


class Names:
    """The names and layouts of one base's tensors. Raises BaseModelError for an architecture that is not supported."""

    def __init__(self, reader: GGUFReader) -> None:
        self.architecture = str(field(reader, "general.architecture"))
        if self.architecture not in SUPPORTED:
            raise BaseModelError(
                f"GGUF files of architecture {self.architecture!r} cannot be written here.",
                f"Choose a base of {', '.join(sorted(SUPPORTED))}.",
            )
        known = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[self.architecture]
        self._map = gguf.get_tensor_name_map(known, int(field(reader, f"{self.architecture}.block_count")))
        heads = int(field(reader, f"{self.architecture}.attention.head_count"))
        self._heads = {
            "attn_q": heads,
            "attn_k": int(field(reader, f"{self.architecture}.attention.head_count_kv", heads)),
        }

    def gguf(self, parameter: str) -> str:
        """The name of the GGUF tensor for a parameter of transformers' model ("model.layers.0.mlp.up_proj.weight").

        Raises BaseModelError if there is none.
        """
        module, _, kind = parameter.rpartition(".")
        name = self._map.get_name(module)
        if name is None:
            raise BaseModelError(f"No GGUF tensor is known for {parameter}.", "Choose another base.")
        return f"{name}.{kind}"

    def to_gguf(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A tensor in transformers' layout, or LoRA's B for it, brought into llama.cpp's: rows permuted, norms
        shifted."""
        part = name.split(".")[-2]
        if self.architecture in _PERMUTED and (heads := self._heads.get(part)):
            half = rows.shape[0] // heads // 2
            return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
        if self.architecture in _SHIFTED_NORMS and part.endswith("norm"):
            return rows + 1
        return rows


def open_gguf(path: Path) -> GGUFReader:
    """A reader of the whole file. Raises BaseModelError if the file is cut off or malformed."""
    try:
        return gguf.GGUFReader(path)  # by the module: `reading.read_once` replaces it there
    except (ValueError, IndexError, OSError) as error:
        raise BaseModelError(f"{path} cannot be read as GGUF ({type(error).__name__}).", "Fetch it again.") from error


def field(reader: GGUFReader, key: str, default: Any = None) -> Any:
    """The value of a metadata key; `default` if the file lacks it."""
    entry = reader.fields.get(key)
    return default if entry is None else entry.contents()


def lora_pairs(tensors: Mapping[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The matrices A (rank, in) and B (out, rank) of each parameter in peft's file of LoRA weights."""
    pairs: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for key, a in tensors.items():
        if key.endswith(".lora_A.weight"):
            module = key.removesuffix(".lora_A.weight")
            parameter = f"{module.removeprefix('base_model.model.')}.weight"
            pairs[parameter] = (a, tensors[f"{module}.lora_B.weight"])
    return pairs
