"""The GGUF tensor of each linear layer, and the order in which llama.cpp stores its rows.

This covers the architectures whose tensors map one to one between transformers and llama.cpp (Phi-3's fused ones too,
which are fused in both). Others are refused: with a wrong map, the written file would load and produce nonsense.
shared/tests/tune proves each of them against llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gguf
import numpy as np

from ..errors import BaseModelError

if TYPE_CHECKING:
    from gguf import GGUFReader

SUPPORTED = frozenset(
    {"llama", "qwen2", "qwen3", "gemma2", "gemma3", "phi2", "phi3", "smollm3", "granite", "nemotron_h"}
)
"""The `general.architecture` of files that can be written. Mistral's GGUF files say "llama"."""

_PERMUTED = frozenset({"llama", "smollm3", "granite"})
"""GGUF interleaves the q and k rows of these, for llama.cpp's rotary embedding of neighbouring pairs."""

_SHIFTED_NORMS = frozenset({"gemma2", "gemma3"})
"""GGUF stores the norm weights of these plus one, as llama.cpp applies them."""

_MAMBA: Mapping[str, str] = {
    "A_log": "ssm_a",
    "D": "ssm_d",
    "dt_bias": "ssm_dt.bias",
    "conv1d.weight": "ssm_conv1d.weight",
    "conv1d.bias": "ssm_conv1d.bias",
    "norm.weight": "ssm_norm.weight",
}
"""Parameters of a Mamba-2 mixer that are no linear layers, which the map has under other names or not at all."""


class Names:
    """The names and layouts of one base's tensors.

    metadata: of its GGUF file. Raises BaseModelError for an architecture that is not supported, and where its numbers
    of blocks and heads are not told.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self.architecture = str(metadata.get("general.architecture"))
        if self.architecture not in SUPPORTED:
            raise BaseModelError(
                f"GGUF files of architecture {self.architecture!r} cannot be written here.",
                f"Choose a base of {', '.join(sorted(SUPPORTED))}.",
            )
        known = {name: arch for arch, name in gguf.MODEL_ARCH_NAMES.items()}[self.architecture]
        self._map = gguf.get_tensor_name_map(known, self._count(metadata, "block_count"))
        self._groups = int(metadata.get(f"{self.architecture}.ssm.group_count") or 1)
        self._heads: dict[str, int] = {}
        if self.architecture in _PERMUTED:
            heads = self._count(metadata, "attention.head_count")
            both = int(metadata.get(f"{self.architecture}.attention.head_count_kv") or heads)
            self._heads = {"attn_q": heads, "attn_k": both}

    def _count(self, metadata: Mapping[str, Any], key: str) -> int:
        count = metadata.get(f"{self.architecture}.{key}")
        if not isinstance(count, int | np.integer) or not count:
            raise BaseModelError(f"The GGUF file tells no {key}.", "Fetch it again.")
        return int(count)

    @classmethod
    def of(cls, reader: GGUFReader) -> Names:
        """Of an open file."""
        wanted = (*_NEEDED, f"{field(reader, 'general.architecture')}.block_count")
        kept = [key for key in reader.fields if key in wanted or key.partition(".")[2] in _NEEDED]
        return cls({key: field(reader, key) for key in kept})

    def gguf(self, parameter: str) -> str:
        """The name of the GGUF tensor for a parameter of transformers' model ("model.layers.0.mlp.up_proj.weight").

        Raises BaseModelError if there is none.
        """
        if self.architecture == "nemotron_h":
            parameter = re.sub(r"^model\.", "backbone.", parameter)  # as the files have it, and the map
            before, _, after = parameter.partition(".mixer.")
            if after in _MAMBA:
                return f"blk.{before.rpartition('.')[2]}.{_MAMBA[after]}"
        module, _, kind = parameter.rpartition(".")
        name = self._map.get_name(module)
        if name is None:
            raise BaseModelError(f"No GGUF tensor is known for {parameter}.", "Choose another base.")
        return f"{name}.{kind}"

    def to_gguf(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A tensor in transformers' layout, or LoRA's B for it, brought into llama.cpp's: rows permuted, norms
        shifted, Mamba's decay as it is multiplied with."""
        part = name.split(".")[-2]
        if ".ssm_" in name:
            return self._mamba(name.split(".")[2], rows)
        if heads := self._heads.get(part):
            half = rows.shape[0] // heads // 2
            return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)
        if self.architecture in _SHIFTED_NORMS and part.endswith("norm"):
            return rows + 1
        return rows

    def _mamba(self, part: str, rows: np.ndarray) -> np.ndarray:
        if part == "ssm_a":
            return -np.exp(rows).reshape(-1, 1)
        if part == "ssm_norm":
            return rows.reshape(self._groups, -1)
        if part == "ssm_conv1d" and rows.ndim == 3:
            return rows.squeeze(1)
        return rows.reshape(-1, 1) if part == "ssm_d" else rows


_NEEDED = ("general.architecture", "block_count", "attention.head_count", "attention.head_count_kv", "ssm.group_count")


def is_vector(name: str, dimensions: int) -> bool:
    """Whether llama.cpp wants a tensor in the type that it has: vectors, and what of a Mamba mixer is no matrix."""
    part = name.partition(".ssm_")[2].partition(".")[0]
    return dimensions == 1 or part in ("a", "d", "dt", "conv1d", "norm")


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
