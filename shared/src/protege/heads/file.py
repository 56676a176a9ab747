"""A head's file: eight bytes that name the format, the length of a JSON header, the header, and four arrays.

Nothing in it is run. What is read is bounded, and every part is checked against the others.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import orjson

from ..common.files import write_private
from .features import VERSION
from .head import Head, Vocabulary, outputs_of, shapes_from, to_record

FILE = "head.bin"
"""Its name in a specialist's folder."""
MAGIC = b"PTGHEAD1"
MOST_BYTES = 512 << 20
"""A larger file is not read, nor written."""
MOST_OUTPUTS = 4096

_LENGTH = struct.Struct("<I")
_ARRAYS = (np.dtype("<u4"), np.dtype("<f4"), np.dtype("<f2"), np.dtype("<f4"))
"""Hashes, idf, weights (row by row), bias."""


def write(head: Head, path: Path) -> None:
    """Write a head whole or not at all, for its owner alone. The same head gives the same bytes. Raises OSError."""
    header = orjson.dumps({"features": VERSION, **to_record(head)}, option=orjson.OPT_SORT_KEYS)
    arrays = (head.vocabulary.hashes, head.vocabulary.idf, head.weights, head.bias)
    body = [np.ascontiguousarray(array, dtype).tobytes() for array, dtype in zip(arrays, _ARRAYS, strict=True)]
    write_private(path, b"".join([MAGIC, _LENGTH.pack(len(header)), header, *body]))


def read(body: bytes) -> Head:
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
    if not (rows >= 0 and outputs <= MOST_OUTPUTS):
        raise ValueError("a size out of bounds")
    counts = (rows, rows, rows * outputs, outputs)
    sizes = [count * dtype.itemsize for count, dtype in zip(counts, _ARRAYS, strict=True)]
    if start + length + sum(sizes) != len(body):
        raise ValueError("the arrays do not fill the file")
    at, arrays = start + length, []
    for count, size, dtype in zip(counts, sizes, _ARRAYS, strict=True):
        arrays.append(np.frombuffer(body, dtype, count, at))
        at += size
    hashes, idf, weights, bias = arrays
    if rows and not (np.diff(hashes.astype(np.int64)) > 0).all():
        raise ValueError("the n-grams are not in order")
    shares = tuple(float(share) for share in header["shares"])
    if not (all(map(math.isfinite, shares)) and all(np.isfinite(array).all() for array in (idf, weights, bias))):
        raise ValueError("a number that is none")
    return Head(shapes, values, Vocabulary(hashes, idf, shares), weights.reshape(rows, outputs), bias)
