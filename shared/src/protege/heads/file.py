"""A head's file: eight bytes that name the format, the length of a JSON header, the header, and four arrays or six.

Nothing in it is run. What is read is bounded, and every part is checked against the others.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from ..common.files import write_private
from .features import VERSION, Floats
from .head import Head, Vocabulary, outputs_of, shapes_from, to_record
from .near import Near

FILE = "head.bin"
"""Its name in a specialist's folder."""
MAGIC = b"PTGHEAD1"
MOST_BYTES = 512 << 20
"""A larger file is not read, nor written."""
MOST_OUTPUTS = 4096

_LENGTH = struct.Struct("<I")
_ARRAYS = (np.dtype("<u4"), np.dtype("<f4"), np.dtype("<f2"), np.dtype("<f4"))
"""Hashes, idf, weights (row by row), bias."""
_NEAR = (np.dtype("<f2"), np.dtype("<f4"))
"""Vectors, and their weights, both row by row."""


def write(head: Head, path: Path) -> None:
    """Write a head whole or not at all, for its owner alone. Raises OSError."""
    write_private(path, to_bytes(head))


def to_bytes(head: Head) -> bytes:
    """A head's file. The same head gives the same bytes."""
    near = head.near
    header = orjson.dumps({"features": VERSION, "near": _about(near), **to_record(head)}, option=orjson.OPT_SORT_KEYS)
    arrays = [head.vocabulary.hashes, head.vocabulary.idf, head.weights, head.bias]
    arrays += [] if near is None else [near.known, near.weights]
    dtypes = _ARRAYS if near is None else _ARRAYS + _NEAR
    body = [np.ascontiguousarray(array, dtype).tobytes() for array, dtype in zip(arrays, dtypes, strict=True)]
    return b"".join([MAGIC, _LENGTH.pack(len(header)), header, *body])


def from_bytes(body: bytes) -> Head:
    """The head in a file's bytes. Raises ValueError where they are damaged, too many, or of another version."""
    try:
        return _read(body)
    except (KeyError, TypeError, struct.error) as error:
        raise ValueError(f"no head ({type(error).__name__})") from None


def _read(body: bytes) -> Head:
    if len(body) > MOST_BYTES or body[: len(MAGIC)] != MAGIC:
        raise ValueError("no head, or too large")
    (length,) = _LENGTH.unpack_from(body, len(MAGIC))
    start = len(MAGIC) + _LENGTH.size
    header = orjson.loads(body[start : start + length])
    if header["features"] != VERSION:
        raise ValueError("a head of another version")
    shapes, values = shapes_from(header)
    rows, outputs = int(header["vocabulary"]), outputs_of(shapes, values)
    about: dict[str, Any] | None = header.get("near")
    known, dimensions = (int(about["known"]), int(about["dimensions"])) if about else (0, 0)
    if not (rows >= 0 and outputs <= MOST_OUTPUTS and known >= 0 and dimensions >= 0):
        raise ValueError("a size out of bounds")
    counts = [rows, rows, rows * outputs, outputs, known * dimensions, known * outputs]
    hashes, idf, weights, bias, vectors, of_known = _arrays(body, start + length, counts)
    if rows and not (np.diff(hashes.astype(np.int64)) > 0).all():
        raise ValueError("the n-grams are not in order")
    shares = tuple(float(share) for share in header["shares"])
    numbers = (idf, weights, bias, vectors, of_known)
    if not (all(map(math.isfinite, shares)) and all(np.isfinite(array).all() for array in numbers)):
        raise ValueError("a number that is none")
    near = _near(about, vectors.reshape(known, dimensions), of_known.reshape(known, outputs)) if about else None
    return Head(shapes, values, Vocabulary(hashes, idf, shares), weights.reshape(rows, outputs), bias, near)


def _arrays(body: bytes, start: int, counts: Sequence[int]) -> list[NDArray[Any]]:
    """All arrays, which fill the file from `start` to its end."""
    dtypes = _ARRAYS + _NEAR
    sizes = [count * dtype.itemsize for count, dtype in zip(counts, dtypes, strict=True)]
    if start + sum(sizes) != len(body):
        raise ValueError("the arrays do not fill the file")
    arrays: list[NDArray[Any]] = []
    for count, size, dtype in zip(counts, sizes, dtypes, strict=True):
        arrays.append(np.frombuffer(body, dtype, count, start))
        start += size
    return arrays


def _about(near: Near | None) -> dict[str, Any] | None:
    if near is None:
        return None
    known, dimensions = near.known.shape
    named = {"embedder": near.embedder, "identity": near.identity, "ends": near.ends}
    return {**named, "known": known, "dimensions": dimensions}


def _near(about: Mapping[str, Any], known: NDArray[np.float16], weights: Floats) -> Near:
    ends = int(about["ends"])
    if ends < 1:
        raise ValueError("a size out of bounds")
    return Near(str(about["embedder"]), str(about["identity"]), ends, known, weights)
