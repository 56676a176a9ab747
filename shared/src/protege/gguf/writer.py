"""Write a tuned model as files that llama.cpp and Ollama read: merged, or as LoRA weights beside the base.

A merged file is the base's file with the tuned tensors replaced, so tokenizer, chat template and hyper-parameters stay
the base's own. Tensors are dequantised, merged and written one at a time, so memory holds only the largest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import gguf
import numpy as np

from .folder import FolderWeights
from .lora import LoraWeights, read_lora
from .names import Names, is_vector, open_gguf

if TYPE_CHECKING:
    from gguf import GGUFReader, GGUFWriter, ReaderTensor

Output = Literal["q8_0", "f16"]
"""The type of the tensors that were changed."""

Change = Callable[["np.ndarray"], "np.ndarray"]
"""Takes a tensor of the base (float32) and gives it as it shall be written."""

_COPIED_ANEW = ("GGUF.", "general.architecture", "general.name", "general.file_type", "general.alignment")
"""Metadata that the writer sets itself."""


def write_merged(
    base: Path, lora: Path, out: Path, about: Mapping[str, str], output: Output, source: Path | None = None
) -> None:
    """Write the base with LoRA weights merged in.

    lora: the folder of peft's LoRA weights. about: metadata to add: `general.name` and the keys of provenance.
    source: the folder of the same model that was tuned: its weights, which are not quantised, are merged with.
    """
    reader = open_gguf(base)
    names = Names.of(reader)
    whole = {} if source is None else _by_gguf_name(names, FolderWeights(source))
    changes: dict[str, Change] = {}
    for parameter, weights in read_lora(lora).items():
        name = names.gguf(parameter)
        if (plain := whole.get(name)) is not None:
            changes[name] = _merging(names, name, plain, weights)
        else:
            changes[name] = weights.ordered(functools.partial(names.to_gguf, name)).added_to
    _write(reader, changes, out, about, output)


def write_full(
    base: Path,
    parameters: Mapping[str, np.ndarray],
    out: Path,
    about: Mapping[str, str],
    output: Output,
) -> None:
    """Write the base with whole parameters replaced.

    parameters: transformers' parameters (float32), by its names.
    """
    reader = open_gguf(base)
    names = Names.of(reader)
    present = {tensor.name for tensor in reader.tensors}
    changes: dict[str, Change] = {}
    for parameter, value in parameters.items():
        name = names.gguf(parameter)
        if name in present:  # a tied output layer has no tensor of its own
            changes[name] = _replacing(names, name, value)
    _write(reader, changes, out, about, output)


def write_lora(base: Path, lora: Path, out: Path, about: Mapping[str, str]) -> None:
    """Write LoRA weights in llama.cpp's form, as float16: `….lora_a` (rank, in) and `….lora_b` (out, rank).

    lora: the folder of peft's LoRA weights; not of DoRA's, whose lengths llama.cpp does not apply: ValueError.
    """
    names = Names.of(open_gguf(base))
    weights = read_lora(lora)
    if any(one.lengths is not None for one in weights.values()):
        raise ValueError("DoRA has no form that llama.cpp applies.")
    writer = gguf.GGUFWriter(None, names.architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    first = next(iter(weights.values()))
    writer.add_float32("adapter.lora.alpha", first.scale * first.a.shape[0])
    _describe(writer, about)
    for parameter in sorted(weights):
        name, one = names.gguf(parameter), weights[parameter]
        writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(one.a, dtype=np.float16))
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(names.to_gguf(name, one.b), dtype=np.float16))
    partial = _partial(out)
    writer.write_header_to_file(partial)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(out)


def rewrite(source: Path, out: Path, about: Mapping[str, str], output: Output) -> None:
    """Write a file anew with our metadata, its matrices of 16 and 32 bits in the type that is asked for."""
    reader = open_gguf(source)
    wide = {"F32", "F16", "BF16"}
    changes: dict[str, Change] = {t.name: _as_it_is for t in reader.tensors if t.tensor_type.name in wide}
    _write(reader, changes, out, about, output)


def _as_it_is(values: np.ndarray) -> np.ndarray:
    return values


def _merging(names: Names, name: str, plain: Callable[[], np.ndarray], weights: LoraWeights) -> Change:
    return lambda _base: names.to_gguf(name, weights.added_to(plain()))


def _by_gguf_name(names: Names, weights: FolderWeights) -> dict[str, Callable[[], np.ndarray]]:
    """How each weight of a folder is read, by its name in GGUF."""
    return {names.gguf(parameter): functools.partial(weights.rows, parameter) for parameter in weights}


def _replacing(names: Names, name: str, value: np.ndarray) -> Change:
    return lambda _base: names.to_gguf(name, value)


def _write(
    reader: GGUFReader,
    changes: Mapping[str, Change],
    out: Path,
    about: Mapping[str, str],
    output: Output,
) -> None:
    writer = gguf.GGUFWriter(None, str(reader.fields["general.architecture"].contents()))
    for field in reader.fields.values():
        if not field.name.startswith(_COPIED_ANEW):
            sub_type = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], sub_type)
    writer.add_custom_alignment(reader.alignment)
    file_type = gguf.LlamaFileType.MOSTLY_Q8_0 if output == "q8_0" else gguf.LlamaFileType.MOSTLY_F16
    writer.add_file_type(file_type)
    _describe(writer, about)
    # A converter of Ollama's leaves tensors without any element, which llama.cpp refuses.
    tensors = [tensor for tensor in reader.tensors if tensor.n_elements]
    plan = [(tensor, _written_type(tensor, tensor.name in changes, output)) for tensor in tensors]
    for tensor, kind in plan:
        shape = [int(n) for n in reversed(tensor.shape)]
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        size = int(tensor.n_elements) // block * block_bytes
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.float32), size, raw_dtype=kind)
    partial = _partial(out)
    writer.write_header_to_file(partial)
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor, kind in plan:
        writer.write_tensor_data(_tensor_data(tensor, kind, changes.get(tensor.name)))
    writer.close()
    partial.replace(out)


def _written_type(tensor: ReaderTensor, changed: bool, output: Output) -> Any:
    """The type to write a tensor in. Unchanged tensors keep theirs; so do vectors, which llama.cpp wants in float32."""
    if not changed or is_vector(tensor.name, len(tensor.shape)):
        return tensor.tensor_type
    if output == "q8_0" and tensor.shape[0] % 32 == 0:
        return gguf.GGMLQuantizationType.Q8_0
    return gguf.GGMLQuantizationType.F16


def _tensor_data(tensor: ReaderTensor, kind: Any, change: Change | None) -> np.ndarray:
    if change is None:
        return tensor.data
    changed = change(gguf.dequantize(tensor.data, tensor.tensor_type))
    return gguf.quantize(np.ascontiguousarray(changed, dtype=np.float32), kind)


def _describe(writer: GGUFWriter, about: Mapping[str, str]) -> None:
    for key, value in about.items():
        writer.add_string(key, value)


def _partial(out: Path) -> Path:
    return out.with_name(f".{out.name}.part")
