"""A specialist's merged model with finer weights, for where what was tuned is lost by rounding to 8 bits."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.digest import sha256_of
from ..gguf.header import read_header
from ..specialist import Specialist
from .weights import checked_file, weights

if TYPE_CHECKING:
    from ..workspace import Workspace

FILE = "model-f16.gguf"


def precision(specialist: Specialist) -> str:
    """The type of the weights that its engine was given."""
    given = str(specialist.placed.get(specialist.engine, {}).get("quantisation", ""))
    return given or type_of(specialist)


def type_of(specialist: Specialist) -> str:
    """The type of the tuned tensors in its merged model."""
    return "F16" if specialist.files.get("gguf") == FILE else str(specialist.settings.get("output", "q8_0")).upper()


def as_f16(workspace: Workspace, specialist: Specialist) -> Specialist | None:
    """The specialist with a merged model whose tuned tensors have 16 bits, written from its LoRA weights.

    None where there is nothing to write it from, or it has one already. Raises BaseModelError.
    """
    here = all(importlib.util.find_spec(library) for library in ("gguf", "safetensors", "torch"))
    path, digest = specialist.base.served_from
    if not here or specialist.serve_as != "merged" or type_of(specialist) != "Q8_0" or "lora" not in specialist.files:
        return None
    if "gguf" not in specialist.files or not Path(path).is_file():
        return None
    from ..gguf.writer import write_merged  # torch and numpy: only the loop gets here

    folder, base = workspace.specialist_folder(specialist), specialist.base
    metadata = read_header(weights(workspace, specialist, "gguf")).metadata
    about = {key: str(metadata[key]) for key in metadata if key == "general.name" or key.startswith("protege.")}
    file = checked_file(Path(path), digest, f"The base {base.name}")
    source = Path(base.path) if base.gguf else None
    write_merged(file, folder / specialist.files["lora"], folder / FILE, about, "f16", source)
    files = {**specialist.files, "gguf": FILE}
    return replace(specialist, files=files, digests={**specialist.digests, "gguf": sha256_of(folder / FILE)})
