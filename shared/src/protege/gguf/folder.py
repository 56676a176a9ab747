"""The weights of a folder in Hugging Face form, read one tensor at a time, without torch.

The layout follows the safetensors format: a header of JSON, then the tensors' bytes. numpy has no bfloat16; it is the
upper half of a float32.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ..errors import BaseModelError

MOST_HEADER = 100_000_000
"""Bytes; the format's own bound."""
_WIDTH = {"F32": 4, "F16": 2, "BF16": 2}


@dataclass(frozen=True, slots=True)
class _Place:
    file: Path
    kind: str
    shape: tuple[int, ...]
    start: int


class FolderWeights(Mapping[str, np.ndarray]):
    """The tensors of a folder's safetensors files, as float32, by the names that stand there.

    Raises BaseModelError if a file is cut off, damaged, or of weights that are not of 16 or 32 bits.
    """

    def __init__(self, folder: Path) -> None:
        self._places: dict[str, _Place] = {}
        for file in sorted(folder.glob("*.safetensors")):
            self._places.update(_places(file))

    def __getitem__(self, name: str) -> np.ndarray:
        return self.rows(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def shape(self, name: str) -> tuple[int, ...]:
        """The tensor's shape, without reading it."""
        return self._places[name].shape

    def rows(self, name: str, first: int = 0, count: int | None = None) -> np.ndarray:
        """Rows of a tensor, all by default."""
        place = self._places[name]
        width = math.prod(place.shape[1:])
        count = place.shape[0] - first if count is None else min(count, place.shape[0] - first)
        size = _WIDTH[place.kind]
        stored = np.fromfile(place.file, f"<u{size}", count=count * width, offset=place.start + first * width * size)
        return _as_float32(stored, place.kind).reshape(count, *place.shape[1:])


def _as_float32(stored: np.ndarray, kind: str) -> np.ndarray:
    if kind == "BF16":
        return (stored.astype(np.uint32) << 16).view(np.float32)
    return stored.view(np.float16 if kind == "F16" else np.float32).astype(np.float32)


def _places(file: Path) -> Iterator[tuple[str, _Place]]:
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            if length > MOST_HEADER:
                raise ValueError(length)
            head: dict[str, Any] = orjson.loads(opened.read(length))
        size = file.stat().st_size
        for name, tensor in head.items():
            if name == "__metadata__":
                continue
            kind, shape = str(tensor["dtype"]), tuple(int(n) for n in tensor["shape"])
            start, end = (8 + length + int(offset) for offset in tensor["data_offsets"])
            if kind not in _WIDTH:
                raise BaseModelError(
                    f"{file} holds weights of type {kind}, which are quantised already.",
                    "Give the folder with its weights of 16 bits.",
                )
            if not 8 + length <= start <= end <= size or end - start != math.prod(shape) * _WIDTH[kind]:
                raise ValueError(name)
            yield name, _Place(file, kind, shape or (1,), start)
    except (OSError, struct.error, ValueError, KeyError, TypeError):
        raise BaseModelError(
            f"{file} is cut off or damaged: its header cannot be read.", "Fetch the whole snapshot again."
        ) from None
