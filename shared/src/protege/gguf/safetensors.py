"""What a safetensors file holds, by its header alone, which is JSON before the tensors' bytes (the format of
https://github.com/huggingface/safetensors). The file may come from anywhere: each value in it may be of any type."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from ..errors import BaseModelError

MOST_HEADER = 100_000_000
"""Bytes; the format's own bound."""
_AGAIN = "Fetch the whole snapshot again: hf download ORGANISATION/MODEL"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor stands."""

    name: str
    file: Path
    kind: str
    """The type of its numbers, as the format names it ("BF16")."""
    shape: tuple[int, ...]
    start: int
    """Its first byte in the file."""
    size: int
    """Bytes."""

    @property
    def numbers(self) -> int:
        """How many it holds."""
        return math.prod(self.shape)


def stored_tensors(file: Path) -> list[StoredTensor]:
    """The file's tensors, as they stand in its header. Raises BaseModelError if the file is cut off or damaged."""
    try:
        found = list(_read(file))
        held = file.stat().st_size
    except (OSError, struct.error, ValueError, KeyError, TypeError, AttributeError):
        raise BaseModelError(f"{file} is cut off or damaged: its header cannot be read.", _AGAIN) from None
    if (end := max((one.start + one.size for one in found), default=0)) > held:
        raise BaseModelError(f"{file} is cut off: its tensors need {end:,} bytes, the file has {held:,}.", _AGAIN)
    return found


def _read(file: Path) -> Iterator[StoredTensor]:
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        if length > MOST_HEADER:
            raise ValueError(length)
        head: dict[str, Any] = orjson.loads(opened.read(length))
    for name, tensor in head.items():
        if name == "__metadata__":
            continue
        first, last = tensor["data_offsets"]
        if any(type(number) is not int or number < 0 for number in (first, last - first, *tensor["shape"])):
            raise ValueError(name)
        yield StoredTensor(name, file, str(tensor["dtype"]), tuple(tensor["shape"]), 8 + length + first, last - first)
