"""The weights of a folder in Hugging Face form, read one tensor at a time, without torch.

numpy has no bfloat16; it is the upper half of a float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from ..errors import BaseModelError
from .safetensors import StoredTensor, stored_tensors

_WIDTH = {"F32": 4, "F16": 2, "BF16": 2}


class FolderWeights(Mapping[str, np.ndarray]):
    """The tensors of a folder's safetensors files, as float32, by the names that stand there.

    Raises BaseModelError if a file is cut off, damaged, or of weights that are not of 16 or 32 bits.
    """

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*.safetensors"))
        self._places = {one.name: _checked(one) for file in files for one in stored_tensors(file)}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.rows(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape, without reading it."""
        return self._places[name].shape or (1,)

    def rows(self, name: str, first: int = 0, count: int | None = None) -> np.ndarray:
        """Rows of a tensor, all by default."""
        place = self._places[name]
        height, *row = self.shape(name)
        width = math.prod(row)
        count = height - first if count is None else min(count, height - first)
        size = _WIDTH[place.kind]
        stored = np.fromfile(place.file, f"<u{size}", count=count * width, offset=place.start + first * width * size)
        return _as_float32(stored, place.kind).reshape(count, *row)


def _as_float32(stored: np.ndarray, kind: str) -> np.ndarray:
    if kind == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.view(np.float16 if kind == "F16" else np.float32).astype(np.float32)


def _checked(one: StoredTensor) -> StoredTensor:
    if one.kind not in _WIDTH:
        raise BaseModelError(
            f"{one.file} holds weights of type {one.kind}, which are quantised already.",
            "Give the folder with its weights of 16 bits.",
        )
    if one.size != one.numbers * _WIDTH[one.kind]:
        raise BaseModelError(f"{one.file} is damaged: {one.name} is not as long as its shape.", "Fetch it again.")
    return one
