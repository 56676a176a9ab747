"""Read what a base model on the disk is: a GGUF file, or a folder in Hugging Face form.

Only its header is read, without torch or transformers.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.digest import sha256_of
from ..errors import BaseModelError
from ..gguf.header import read_header
from ..specialist import Base
from .folder import load_folder
from .models import model_of
from .tokens import CONTROL, chat_template, control_tokens, ends, licence_of


def load_base(path: str | os.PathLike[str]) -> Base:
    """Read what a base is: a GGUF file, a folder that holds one, or a folder in Hugging Face form.

    The licence is the file's own, else the catalogue's, else "unknown". The chat template is the file's own, else the
    catalogue's. Raises BaseModelError for a file that is missing, not GGUF, cut off, one part of several, LoRA weights,
    an image encoder, or without weights or a chat template; and for a folder without config.json.
    """
    path = Path(path).expanduser().absolute()
    if not path.exists():
        raise BaseModelError(f"There is no base model at {path}.", "Check the path; `protege doctor` names bases.")
    if path.is_dir() and not (path / "config.json").exists():
        path = _only_gguf(path)
    files = path.iterdir() if path.is_dir() else (path,)
    try:
        stamp = tuple(sorted((file.stat().st_mtime_ns, file.stat().st_size) for file in files))
    except OSError as error:  # a link of the Hub's cache whose file is gone
        raise BaseModelError(f"{error.filename} cannot be read: {error.strerror}.", "Fetch it again.") from None
    return _load(path, stamp)


@functools.lru_cache(maxsize=64)
def _load(path: Path, _stamp: tuple[tuple[int, int], ...]) -> Base:
    """`_stamp`: times and sizes of the files, so that a changed base is read anew."""
    return load_folder(path) if path.is_dir() else _load_gguf(path)


def _only_gguf(folder: Path) -> Path:
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return files[0]
    fact = f"{len(files)} GGUF files" if files else "neither config.json nor a GGUF file"
    raise BaseModelError(f"The folder {folder} holds {fact}.", "Give one .gguf file, or a whole Hugging Face snapshot.")


def _load_gguf(path: Path) -> Base:
    header = read_header(path)
    metadata = header.metadata
    architecture = str(metadata.get("general.architecture", ""))
    _refuse_parts(path, metadata, architecture, len(header.tensors))
    names = (path.name, str(metadata.get("general.name", "")), path.parent.name)
    model = model_of(*names)
    template = chat_template(path, metadata.get("tokenizer.chat_template"), model)
    tokens, types = metadata.get("tokenizer.ggml.tokens", ()), metadata.get("tokenizer.ggml.token_type", ())
    control = control_tokens(zip(tokens, (kind == CONTROL for kind in types), types, strict=False))
    return Base(
        name=model.name if model else names[1] or path.stem,
        path=str(path),
        sha256=sha256_of(path),
        format="gguf",
        architecture=architecture,
        licence=licence_of(metadata.get("general.license"), model),
        context=int(metadata.get(f"{architecture}.context_length") or (model.context if model else 2048)),
        chat_template=template,
        bos=_token(metadata, tokens, "bos"),
        eos=ends(template, control, [_token(metadata, tokens, kind) for kind in ("eos", "eot", "eom")]),
        control_tokens=control,
        parameters=header.parameters,
    )


def _refuse_parts(path: Path, metadata: Mapping[str, Any], architecture: str, tensors: int) -> None:
    """Raise BaseModelError for GGUF files that are not a whole language model."""
    parts = int(metadata.get("split.count") or 0)
    if parts > 1:
        raise BaseModelError(
            f"{path} is part {int(metadata.get('split.no') or 0) + 1} of {parts}.",
            "Join them: llama-gguf-split --merge FIRST-PART OUT.gguf",
        )
    if metadata.get("general.type") == "adapter" or "adapter.type" in metadata:
        raise BaseModelError(f"{path} holds LoRA weights, not a model.", "Give the model that they were trained on.")
    if metadata.get("general.type") == "mmproj" or architecture == "clip":
        raise BaseModelError(f"{path} holds an image encoder, not a language model.", "Give the model it belongs to.")
    if not architecture or not tensors:
        raise BaseModelError(f"{path} holds no model, only metadata.", "Give a file with weights.")


def _token(metadata: Mapping[str, Any], tokens: Any, kind: str) -> str:
    position = metadata.get(f"tokenizer.ggml.{kind}_token_id")
    return tokens[position] if position is not None and position < len(tokens) else ""
