"""A tuned folder as a whole: the base's own files, with LoRA weights merged into the tensors that they change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import torch
from safetensors.torch import load_file, save_file

from ..errors import BaseModelError
from ..gguf.lora import read_lora
from ..specialist import Base

KEPT = ("tokenizer.json", "tokenizer.model", "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt")
"""Files of a base that its tuned model has too, as they are; besides config.json and tokenizer_config.json."""


def merge(base: Base, lora: Path, out: Path) -> Path:
    """Write the base's folder with LoRA weights merged in, as `out`.

    Each tensor is merged in 32 bits from the base's own weights, which a base in 4 bits has not in memory, and written
    in 16. config.json names things as older readers expect them too, and the tokenizer's own settings hold the
    chat template. Raises BaseModelError if a tuned tensor is none of the base's.
    """
    source = Path(base.path)
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(mode=0o700)
    tuned = {_layer(name): weights for name, weights in read_lora(lora).items()}
    for file in sorted(source.glob("*.safetensors")):
        weights = load_file(file)
        for name in weights:
            if (change := tuned.pop(_layer(name), None)) is not None:
                weights[name] = _in_16_bits(torch.from_numpy(change.added_to(weights[name].float().numpy())))
        save_file(weights, out / file.name, {"format": "pt"})
    if tuned:
        raise BaseModelError(f"{base.name} has no tensor for {next(iter(tuned))}.", "Choose another base.")
    return _finished(base, out)


def published(base: Base, model: Path, out: Path) -> Path:
    """Write a model that was tuned whole as its base was published, as `out`: weights from `model`, all else the
    base's."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(mode=0o700)
    for file in model.glob("*.safetensors"):
        shutil.copyfile(file, out / file.name)
    return _finished(base, out)


def _finished(base: Base, out: Path) -> Path:
    source = Path(base.path)
    for name in KEPT:
        if (source / name).exists():
            shutil.copyfile(source / name, out / name)
    _write(out / "config.json", _config(_read(source / "config.json")))
    _write(
        out / "tokenizer_config.json", {**_read(source / "tokenizer_config.json"), "chat_template": base.chat_template}
    )
    return out


def _layer(name: str) -> str:
    """A parameter's name from its layer on: files name what stands before it in other ways than transformers."""
    return name.rpartition("layers.")[2] if "layers." in name else name


def _in_16_bits(merged: torch.Tensor) -> torch.Tensor:
    """float16, which is finer than bfloat16, where it reaches so far."""
    fits = float(merged.abs().max()) < torch.finfo(torch.float16).max
    return merged.to(torch.float16 if fits else torch.bfloat16).contiguous()


_BLOCKS = {"linear_attention": "M", "mamba": "M", "full_attention": "*", "attention": "*", "mlp": "-", "moe": "E"}


def _config(config: dict[str, Any]) -> dict[str, Any]:
    """As it was, with what transformers 5 names otherwise under its older name too, and without experts that no layer
    has."""
    rope = config.get("rope_parameters") or {}
    rope = rope.get("full_attention") or rope
    older = {"rope_theta": rope.get("rope_theta"), "partial_rotary_factor": rope.get("partial_rotary_factor")}
    if blocks := config.get("layers_block_type"):  # Nemotron-H's
        older["num_hidden_layers"] = len(blocks)
        older["hybrid_override_pattern"] = "".join(_BLOCKS.get(block, "?") for block in blocks)
        if "moe" not in blocks:
            config = {name: value for name, value in config.items() if "moe" not in name and "expert" not in name}
    return {**{name: value for name, value in older.items() if value is not None}, **config, "torch_dtype": "float16"}


def _read(file: Path) -> dict[str, Any]:
    return orjson.loads(file.read_bytes()) if file.exists() else {}


def _write(file: Path, document: dict[str, Any]) -> None:
    file.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
