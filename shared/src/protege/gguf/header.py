"""The header of a GGUF file: its metadata and the number of its tensors, without the weights.

`gguf.GGUFReader` makes numpy objects of every token, which takes 5.2 s for SmolLM2's 49,152 tokens on two busy cores;
this takes 0.15 s. Every run looks at all bases on the machine, so users feel the difference. The layout follows the
GGUF specification, versions 2 and 3, little-endian.

A file may come from anywhere, so nothing that it says of itself is believed: every count is checked against what the
file can hold and against the bounds below before memory is taken for it, and the keys that are read here and by
`select` must be of their type. Reading takes time in proportion to the header, and at most about 200 MB.
"""

from __future__ import annotations

import functools
import math
import mmap
import struct
import sys
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import BaseModelError, MissingDependency

MOST_PAIRS, MOST_TENSORS = 10_000, 100_000
"""Real models have some 40 pairs and up to a few thousand tensors."""
MOST_DIMENSIONS = 8
"""llama.cpp has at most 4."""
MOST_BLOCKS = 1_000
"""Llama 3.1 405B has 126. Whoever reads a model makes something for each block that it announces."""
MOST_LEVELS = 4
"""Of arrays in arrays; real models have one."""
MOST_ELEMENTS = 1 << 21
"""Of all arrays together. Gemma's 262,144 tokens and 514,906 merges are the most known, some 1.3 million elements."""
MOST_KEY, MOST_TEXT, MOST_TEXTS = 1 << 10, 1 << 24, 1 << 26
"""Bytes of a key or a tensor's name, of another string, and of all strings together."""

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_AGAIN = "Download it again, or copy it anew; compare its size with the source's."


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where a tensor lies, and what it is."""

    shape: tuple[int, ...]
    """Rows first, as numpy and transformers have it."""
    kind: int
    """As `gguf.GGMLQuantizationType`."""
    start: int
    """The position of its first byte in the file."""
    size: int
    """Bytes."""

    @property
    def elements(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a GGUF file says."""

    metadata: Mapping[str, Any]
    """The file's key-value pairs."""
    tensors: Mapping[str, TensorInfo]
    """By name."""

    @property
    def parameters(self) -> int:
        """The number of elements in all tensors."""
        return sum(tensor.elements for tensor in self.tensors.values())


def read_header(path: Path) -> Header:
    """Read the header of a GGUF file, and check that the file is as long as its tensors need.

    Raises BaseModelError if the file is missing, not GGUF, of a version that cannot be read, or cut off, or if its
    header holds values that no model has.
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
    except (struct.error, KeyError, ValueError):
        raise BaseModelError(f"{path} is cut off or damaged: its header cannot be read.", _AGAIN) from None
    except _Unlikely as error:
        raise BaseModelError(f"{path} is damaged, or no model: {error}.", _AGAIN) from None


def check_gguf(path: Path) -> None:
    """Raises the errors of `read_header`, and BaseModelError if the file holds no model."""
    if not read_header(path).tensors:
        raise BaseModelError(f"{path} holds no model, only metadata.", "Give a file with weights.")


class _Unlikely(Exception):
    """A value that no model's head has."""


def _parse(path: Path, data: mmap.mmap) -> Header:
    cursor = _Cursor(data, 4)
    version = cursor.scalar("I")
    if version not in (2, 3):
        raise BaseModelError(
            f"{path} is GGUF version {version}; versions 2 and 3 are read.", "Convert the model again with llama.cpp."
        )
    tensors, pairs = cursor.count(MOST_TENSORS, "tensors"), cursor.count(MOST_PAIRS, "metadata keys")
    metadata = {cursor.string(MOST_KEY): cursor.value(cursor.scalar("I")) for _ in range(pairs)}
    _check_types(metadata)
    infos = dict(_tensor(cursor) for _ in range(tensors))
    alignment = int(metadata.get("general.alignment") or 32)
    start = -(-cursor.position // alignment) * alignment
    end = max((info.start + info.size for info in infos.values()), default=0)
    if start + end > len(data) and tensors:
        raise BaseModelError(
            f"{path} is cut off: its tensors need {start + end:,} bytes, the file has {len(data):,}.", _AGAIN
        )
    return Header(metadata, {name: replace(info, start=start + info.start) for name, info in infos.items()})


_TEXTS = frozenset({"architecture", "name", "license", "type", "chat_template"})
_COUNTS = ("alignment", "context_length", "count", "no")
_LISTS = {"tokenizer.ggml.tokens": str, "tokenizer.ggml.token_type": int}


def _check_types(metadata: Mapping[str, Any]) -> None:
    """Raises _Unlikely if a key that is read here or by `select` is not of its type and range."""
    for key, value in metadata.items():
        room, _, name = key.rpartition(".")
        if name in _TEXTS and room in ("general", "tokenizer") and not isinstance(value, str):
            raise _Unlikely(f"{key} is no text")
        if (name in _COUNTS or name.endswith("_token_id")) and not _is_count(value):
            raise _Unlikely(f"{key} is no count")
        if name == "block_count" and not (isinstance(value, int) and _is_count(value) and value <= MOST_BLOCKS):
            raise _Unlikely(f"{key} is no number of blocks, at most {MOST_BLOCKS:,}")
        if key in _LISTS and not (isinstance(value, list | array) and set(map(type, value)) <= {_LISTS[key]}):
            raise _Unlikely(f"{key} is no list of {_LISTS[key].__name__}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 32


def _tensor(cursor: _Cursor) -> tuple[str, TensorInfo]:
    """The next tensor's name, and what it is; its start is relative to that of all data."""
    name = cursor.string(MOST_KEY)
    dimensions = [cursor.scalar("Q") for _ in range(cursor.count(MOST_DIMENSIONS, "dimensions", "I"))]
    kind, offset = cursor.scalar("I"), cursor.scalar("Q")
    block, block_bytes = _block_sizes()[kind]
    return name, TensorInfo(tuple(reversed(dimensions)), kind, offset, math.prod(dimensions) // block * block_bytes)


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
    """Reads one value after another. Raises struct.error at the end of the data, _Unlikely beyond a bound."""

    def __init__(self, data: mmap.mmap, position: int) -> None:
        self.data = data
        self.position = position
        self._elements = MOST_ELEMENTS
        self._text = MOST_TEXTS

    def scalar(self, code: str) -> Any:
        (value,) = struct.unpack_from(f"<{code}", self.data, self.position)
        self.position += struct.calcsize(f"<{code}")
        return value

    def count(self, most: int, what: str, code: str = "Q") -> int:
        value = self.scalar(code)
        if value > most:
            raise _Unlikely(f"it announces {value:,} {what}; at most {most:,} are read")
        return value

    def string(self, most: int = MOST_TEXT) -> str:
        length = self.count(most, "bytes of text")
        start, self.position = self.position, self.position + length
        if self.position > len(self.data):
            raise struct.error("past the end")
        self._text -= length
        if self._text < 0:
            raise _Unlikely(f"its texts hold more than {MOST_TEXTS:,} bytes")
        return self.data[start : self.position].decode("utf-8", errors="replace")

    def value(self, kind: int, level: int = 0) -> Any:
        if kind == _STRING:
            return self.string()
        if kind != _ARRAY:
            return self.scalar(_SCALARS[kind])
        if level == MOST_LEVELS:
            raise _Unlikely(f"it holds arrays in arrays, more than {MOST_LEVELS} deep")
        kind, length = self.scalar("I"), self.count(self._elements, "elements of arrays")
        self._elements -= length
        if kind in (_STRING, _ARRAY):
            return [self.value(kind, level + 1) for _ in range(length)]
        return self._numbers(_SCALARS[kind], length)

    def _numbers(self, code: str, length: int) -> array[Any]:
        end = self.position + length * struct.calcsize(f"<{code}")
        if end > len(self.data):
            raise struct.error("past the end")
        values: array[Any] = array("B" if code == "?" else code, self.data[self.position : end])
        if sys.byteorder == "big":
            values.byteswap()
        self.position = end
        return values
