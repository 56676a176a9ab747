"""A tagger's file: eight bytes that name the format, the length of a JSON header, the header, three arrays, its head.

Nothing in it is run. What is read is bounded, and every part is checked against the others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from . import file
from .tagger import STYLES, Field, Tagger, Words

VERSION = 1
"""Of the features of tokens, and of the format."""
MAGIC = b"PTGTAGR1"
MOST_FIELDS = 80
"""More would take an answer too long: its time grows with their square."""

_LENGTH = struct.Struct("<I")
_HASHES, _WEIGHTS, _STEPS = np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4")


def to_bytes(tagger: Tagger) -> bytes:
    """The file. The same tagger gives the same bytes."""
    fields = [{**asdict(field), "place": list(field.place), "acts": list(field.acts)} for field in tagger.fields]
    words = tagger.words
    of_words = None if words is None else [words.embedder, words.identity, len(words.weights)]
    about = {"version": VERSION, "fields": fields, "keys": list(tagger.keys), "style": tagger.style, "words": of_words}
    header = orjson.dumps({**about, "marks": len(tagger.hashes)}, option=orjson.OPT_SORT_KEYS)
    arrays: list[tuple[Any, Any]] = [(tagger.hashes, _HASHES), (tagger.weights, _WEIGHTS), (tagger.steps, _STEPS)]
    arrays += [] if words is None else [(words.weights, _WEIGHTS)]
    body = [np.ascontiguousarray(array, dtype).tobytes() for array, dtype in arrays]
    return b"".join([MAGIC, _LENGTH.pack(len(header)), header, *body, file.to_bytes(tagger.chooser)])


def from_bytes(body: bytes) -> Tagger:
    """The tagger in a file's bytes. Raises ValueError where they are damaged, too many, or of another version."""
    if len(body) > file.MOST_BYTES or body[: len(MAGIC)] != MAGIC:
        raise ValueError("no tagger, or too large")
    try:
        return _read(body)
    except (KeyError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise ValueError(f"no tagger ({type(error).__name__})") from None


def _read(body: bytes) -> Tagger:
    (length,) = _LENGTH.unpack_from(body, len(MAGIC))
    start = len(MAGIC) + _LENGTH.size
    header = orjson.loads(body[start : start + length])
    if header["version"] != VERSION:
        raise ValueError("a tagger of another version")
    fields = tuple(_field(record) for record in header["fields"])
    marks, style, tags = int(header["marks"]), int(header["style"]), 2 * len(fields) + 1
    if not (0 <= marks <= len(body) and 0 <= style < len(STYLES) and len(fields) <= MOST_FIELDS):
        raise ValueError("a size out of bounds")
    embedder, identity, dimensions = header["words"] or ("", "", 0)
    counts = (marks, marks * tags, (tags + 1) * tags, int(dimensions) * tags)
    if int(dimensions) < 0:
        raise ValueError("a size out of bounds")
    (hashes, weights, steps, of_words), end = _arrays(body, start + length, counts)
    if marks and not (np.diff(hashes.astype(np.int64)) > 0).all():
        raise ValueError("the features are not in order")
    if not (np.isfinite(weights).all() and np.isfinite(of_words).all() and (np.abs(steps) <= 1e5).all()):
        raise ValueError("a number that is none")
    keys = tuple(map(str, header["keys"]))
    head = file.from_bytes(body[end:])
    words = Words(str(embedder), str(identity), of_words.reshape(-1, tags)) if dimensions else None
    if words and head.taught_by and head.taught_by != (words.embedder, words.identity):
        raise ValueError("two embedders")
    tables = weights.reshape(marks, tags), steps.reshape(tags + 1, tags)
    return Tagger(head, fields, keys, style, hashes, *tables, words)


def _arrays(body: bytes, start: int, counts: Sequence[int]) -> tuple[list[NDArray[Any]], int]:
    """Hashes, weights, steps and weights of vectors, and where they end."""
    arrays: list[NDArray[Any]] = []
    for count, dtype in zip(counts, (_HASHES, _WEIGHTS, _STEPS, _WEIGHTS), strict=True):
        if start + count * dtype.itemsize > len(body):
            raise ValueError("the arrays do not fit in the file")
        arrays.append(np.frombuffer(body, dtype, count, start))
        start += count * dtype.itemsize
    return arrays, start


def _field(record: Mapping[str, Any]) -> Field:
    place = tuple(step if isinstance(step, str) else int(step) for step in record["place"])
    if not place or record["without"] not in ("missing", "null", "empty"):
        raise ValueError("a field that is none")
    acts = tuple(map(str, record["acts"]))
    return Field(place, bool(record["many"]), bool(record["quoted"]), str(record["without"]), acts)
