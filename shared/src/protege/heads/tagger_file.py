"""A tagger's file: eight bytes that name the format, the length of a JSON header, the header, three arrays, its head.

Nothing in it is run. What is read is bounded, and every part is checked against the others.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson

from . import file
from .tagger import STYLES, Field, Tagger

VERSION = 1
"""Of the features of tokens, and of the format."""
MAGIC = b"PTGTAGR1"
MOST_FIELDS = 200

_LENGTH = struct.Struct("<I")
_HASHES, _WEIGHTS, _STEPS = np.dtype("<u4"), np.dtype("<f2"), np.dtype("<f4")


def to_bytes(tagger: Tagger) -> bytes:
    """The file. The same tagger gives the same bytes."""
    fields = [{**asdict(field), "place": list(field.place), "acts": list(field.acts)} for field in tagger.fields]
    about = {"version": VERSION, "fields": fields, "keys": list(tagger.keys), "style": tagger.style}
    header = orjson.dumps({**about, "marks": len(tagger.hashes)}, option=orjson.OPT_SORT_KEYS)
    arrays = ((tagger.hashes, _HASHES), (tagger.weights, _WEIGHTS), (tagger.steps, _STEPS))
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
    start += length
    ends = np.cumsum([start, marks * _HASHES.itemsize, marks * tags * _WEIGHTS.itemsize, (tags + 1) * tags * 4])
    if ends[-1] > len(body):
        raise ValueError("the arrays do not fit in the file")
    hashes = np.frombuffer(body, _HASHES, marks, start)
    weights = np.frombuffer(body, _WEIGHTS, marks * tags, int(ends[1]))
    steps = np.frombuffer(body, _STEPS, (tags + 1) * tags, int(ends[2]))
    if marks and not (np.diff(hashes.astype(np.int64)) > 0).all():
        raise ValueError("the features are not in order")
    if not (np.isfinite(weights).all() and (np.abs(steps) <= 1e5).all()):
        raise ValueError("a number that is none")
    keys = tuple(map(str, header["keys"]))
    head = file.from_bytes(body[int(ends[-1]) :])
    return Tagger(head, fields, keys, style, hashes, weights.reshape(marks, tags), steps.reshape(tags + 1, tags))


def _field(record: Mapping[str, Any]) -> Field:
    place = tuple(step if isinstance(step, str) else int(step) for step in record["place"])
    if not place or record["without"] not in ("missing", "null", "empty"):
        raise ValueError("a field that is none")
    acts = tuple(map(str, record["acts"]))
    return Field(place, bool(record["many"]), bool(record["quoted"]), str(record["without"]), acts)
