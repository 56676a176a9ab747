"""The header of a GGUF file: its metadata and the number of its tensors, without the weights.

`gguf.GGUFReader` makes numpy objects of every token, which takes 5.2 s for SmolLM2's 49,152 tokens on two busy cores;
this takes 0.15 s. Every run looks at all bases on the machine, so users feel the difference. The layout follows the
GGUF specification, versions 2 and 3, little-endian.
"""

from __future__ import annotations

import functools
import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import BaseModelError, MissingDependency

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_AGAIN = "Download it again, or copy it anew; compare its size with the source's."


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a GGUF file says."""

    metadata: Mapping[str, Any]
    """The file's key-value pairs."""
    parameters: int
    """The number of elements in all tensors."""
    tensors: int
    """The number of tensors."""


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file, and check that the file is as long as its tensors need.

    Raises BaseModelError if the file is missing, not GGUF, of a version that cannot be read, or cut off.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise BaseModelError(f"{path} is not a GGUF file.", "Give a .gguf file or a Hugging Face folder.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _parse(path, data)
    except OSError as error:
        raise BaseModelError(
            f"The base model {path} cannot be read: {error.strerror}.", "Check the path; `protege doctor` names bases."
        ) from None
    except (struct.error, UnicodeDecodeError, KeyError, OverflowError, MemoryError):
        raise BaseModelError(f"{path} is cut off or damaged: its header cannot be read.", _AGAIN) from None


def check_gguf(path: Path) -> None:
    """Raises the errors of `read_header`, and BaseModelError if the file holds no model."""
    if not read_header(path).tensors:
        raise BaseModelError(f"{path} holds no model, only metadata.", "Give a file with weights.")


def _parse(path: Path, data: mmap.mmap) -> Header:
    cursor = _Cursor(data, 4)
    version = cursor.scalar("I")
    if version not in (2, 3):
        raise BaseModelError(
            f"{path} is GGUF version {version}; versions 2 and 3 are read.", "Convert the model again with llama.cpp."
        )
    tensors, pairs = cursor.scalar("Q"), cursor.scalar("Q")
    metadata = {cursor.string(): cursor.value(cursor.scalar("I")) for _ in range(pairs)}
    parameters = end = 0
    for _ in range(tensors):
        elements, tensor_end = _tensor(cursor)
        parameters += elements
        end = max(end, tensor_end)
    alignment = int(metadata.get("general.alignment") or 32)
    start = -(-cursor.position // alignment) * alignment
    if start + end > len(data) and tensors:
        raise BaseModelError(
            f"{path} is cut off: its tensors need {start + end:,} bytes, the file has {len(data):,}.", _AGAIN
        )
    return Header(metadata, parameters, tensors)


def _tensor(cursor: _Cursor) -> tuple[int, int]:
    """The number of elements of the next tensor, and where its data ends, relative to the start of all data."""
    cursor.string()
    elements = 1
    for _ in range(cursor.scalar("I")):
        elements *= cursor.scalar("Q")
    kind, offset = cursor.scalar("I"), cursor.scalar("Q")
    block, block_bytes = _block_sizes()[kind]
    return elements, offset + elements // block * block_bytes


@functools.cache
def _block_sizes() -> Mapping[int, tuple[int, int]]:
    """The elements and bytes of a block, by tensor type."""
    try:
        # An extra, which takes numpy along: `protege doctor` starts without either.
        from gguf.constants import GGML_QUANT_SIZES
    except ImportError:
        raise MissingDependency("gguf", "tune") from None
    return {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


class _Cursor:
    """Reads one value after another. Raises struct.error at the end of the data."""

    def __init__(self, data: mmap.mmap, position: int) -> None:
        self.data = data
        self.position = position

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.position)
        self.position += struct.calcsize(f"<{code}")
        return value

    def string(self) -> str:
        length = self.scalar("Q")
        start, self.position = self.position, self.position + length
        if self.position > len(self.data):
            raise struct.error("past the end")
        return self.data[start : self.position].decode("utf-8", errors="replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        kind, length = self.scalar("I"), self.scalar("Q")
        if kind in (_STRING, _ARRAY):
            return [self.value(kind) for _ in range(length)]
        code = f"<{length}{_SCALARS[kind]}"
        values = struct.unpack_from(code, self.data, self.position)
        self.position += struct.calcsize(code)
        return values
