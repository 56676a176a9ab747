"""Whether a GGUF file holds the same model as a folder in Hugging Face form.

A tuned model is written from that file with the tuned tensors replaced, so all others must be the folder's own: the
same names, shapes and vocabulary, and the same values within what the file's quantisation explains. Vectors (norms,
biases) are not quantised in GGUF and must be equal, which tells a model from another one that was tuned from it; of the
matrices some rows are compared.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import orjson

from ..errors import BaseModelError
from .folder import FolderWeights
from .header import Header, TensorInfo, read_header
from .names import Names

ROWS = 64
"""Rows of the embedding that are compared, at its begin, in its middle and at its end."""
SAME_TOKENS = 0.99
"""The least share of tokens that must be spelt alike: converters spell some added ones otherwise."""
VECTOR_ERROR = 0.004
"""Relative to the largest value: 8 bits of bfloat16, in which some files keep vectors."""
_ERRORS = {"F": 0.01, "B": 0.01, "Q8": 0.02, "Q6": 0.05, "Q5": 0.08, "Q4": 0.15, "Q3": 0.25}
"""The largest error of a matrix, by the begin of its type's name, as a share of its root mean square. Rounding to steps
of 4 bits leaves .07 to .10 of weights that are normally distributed. What is not named: `_COARSE`."""
_COARSE = 0.45
_OF_THE_FILE = ("rope_freqs", "rope_factors")
"""Tensors that GGUF files have and folders have not."""


def difference(path: Path, folder: Path) -> str | None:
    """The first thing in which the GGUF file differs from the folder's model; None if it holds the same model.

    Raises BaseModelError if either cannot be read.
    """
    header, weights = read_header(path), FolderWeights(folder)
    names = Names(header.metadata)
    mapped = {names.gguf(parameter): parameter for parameter in weights}
    return (
        _other_names(header, mapped)
        or _other_shapes(header, weights, names, mapped)
        or _other_vocabulary(header, folder)
        or _other_values(path, header, weights, names, mapped)
    )


def _other_names(header: Header, mapped: dict[str, str]) -> str | None:
    tied = {"output.weight"} if "output.weight" not in mapped or "output.weight" not in header.tensors else set[str]()
    if missing := sorted(mapped.keys() - header.tensors.keys() - tied):
        return f"it has no {missing[0]}"
    of_its_own = header.tensors.keys() - mapped.keys() - tied
    if more := sorted(name for name in of_its_own if not name.startswith(_OF_THE_FILE)):
        return f"the folder has nothing that is {more[0]}"
    return None


def _other_shapes(header: Header, weights: FolderWeights, names: Names, mapped: dict[str, str]) -> str | None:
    for name, parameter in mapped.items():
        info = header.tensors.get(name)
        if info is not None and _size(name, info.shape) != _size(name, weights.shape(parameter)):
            return f"{name} is {info.shape} there and {weights.shape(parameter)} in the folder"
        if info is not None and not info.elements:
            return f"{name} is empty"
    return None


def _size(name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without axes of one, which GGUF leaves out or adds; it also parts Mamba's vectors into groups."""
    return (math.prod(shape),) if ".ssm_" in name else tuple(n for n in shape if n != 1)


def _other_vocabulary(header: Header, folder: Path) -> str | None:
    tokens: Any = header.metadata.get("tokenizer.ggml.tokens", ())
    theirs = _vocabulary(folder)
    shared = [token for token, number in theirs.items() if number < len(tokens) and tokens[number] == token]
    if theirs and len(shared) < SAME_TOKENS * max(len(theirs), 1):
        return f"{len(theirs) - len(shared)} of the folder's {len(theirs)} tokens are others there"
    return None


def _vocabulary(folder: Path) -> dict[str, int]:
    """The folder's tokens; empty if it has no tokenizer.json."""
    try:
        document = orjson.loads((folder / "tokenizer.json").read_bytes())
        own = document["model"]["vocab"]
        named = own.items() if isinstance(own, dict) else ((entry[0], number) for number, entry in enumerate(own))
        added = ((entry["content"], entry["id"]) for entry in document.get("added_tokens") or ())
        return {str(token): int(number) for token, number in (*named, *added)}
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}


@np.errstate(invalid="ignore", over="ignore")  # what is no number is told as a difference
def _other_values(
    path: Path, header: Header, weights: FolderWeights, names: Names, mapped: dict[str, str]
) -> str | None:
    stored = np.memmap(path, np.uint8, mode="r")
    for name, parameter in mapped.items():
        info = header.tensors.get(name)
        if info is None:
            continue
        if len(_size("", weights.shape(parameter))) == 1:
            ours = names.to_gguf(name, weights[parameter]).reshape(-1)
            theirs = _rows(stored, info, 0, info.shape[0]).reshape(-1)
            if not np.abs(ours - theirs).max() <= VECTOR_ERROR * max(np.abs(ours).max(), 1e-6):  # nor NaN
                return f"{name} has other values there"
        elif (error := _error(stored, info, weights, names, name, parameter)) is not None:
            return f"{name} differs by {error:.0%} there, more than {_kind(info)} explains"
    return None


def _error(
    stored: np.ndarray, info: TensorInfo, weights: FolderWeights, names: Names, name: str, parameter: str
) -> float | None:
    """By how much rows of a matrix differ, if that is too much. Only of the embedding: no layout but the file's own
    order of rows has a part in it, and tuned matrices are written anew."""
    if name != "token_embd.weight":
        return None
    last = max(info.shape[0] - ROWS, 0)
    most = next((error for begin, error in _ERRORS.items() if _kind(info).startswith(begin)), _COARSE)
    for first in sorted({0, last // 2, last}):
        ours, theirs = weights.rows(parameter, first, ROWS), _rows(stored, info, first, ROWS)
        size = float(np.sqrt(np.mean(ours**2)))
        error = float(np.sqrt(np.mean((ours - theirs) ** 2))) / max(size, 1e-9)
        if not error <= most:  # nor NaN
            return error
    return None


def _kind(info: TensorInfo) -> str:
    return gguf.GGMLQuantizationType(info.kind).name


def _rows(stored: np.ndarray, info: TensorInfo, first: int, count: int) -> np.ndarray:
    """Rows of a tensor as float32; a vector is one row."""
    rows = info.shape[0] if len(info.shape) > 1 else 1
    a_row = info.size // rows
    count = min(count, rows - first)
    data = stored[info.start + first * a_row : info.start + (first + count) * a_row]
    kind = gguf.GGMLQuantizationType(info.kind)
    if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):
        typed = data.view(np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.float16)
        values = typed.astype(np.float32)
    else:
        try:
            values = gguf.dequantize(np.ascontiguousarray(data).reshape(count, a_row), kind)
        except (NotImplementedError, ValueError):
            raise BaseModelError(f"Weights of type {kind.name} cannot be read.", "Give a file of Q8_0.") from None
    return values.reshape(-1) if len(info.shape) == 1 else values.reshape(count, *info.shape[1:])
