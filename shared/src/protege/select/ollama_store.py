"""Bases that an Ollama on this machine has pulled, used from its store: no second download."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from ..common.loopback import is_loopback_url
from ..errors import BadInput, BaseModelError, EngineUnreachable, NotServed
from ..ollama.address import address
from ..ollama.api import NAMESPACE, Ollama
from ..specialist import Base
from .base import load_base

WEIGHTS = "application/vnd.ollama.image.model"
ADAPTER = "application/vnd.ollama.image.adapter"
PREFIX = "ollama:"
_BLOB = re.compile(r"sha256[-:]([0-9a-f]{64})$")


def base_in_ollama(name: str) -> Base:
    """The base that Ollama knows by this name, read from its blob, whose digest is checked.

    If the server does not run, the manifests in its folder are read instead. Raises BadInput without a name, and
    BaseModelError for an Ollama on another machine, an unknown model, LoRA weights, or a blob that cannot be read or
    was changed.
    """
    if not name:
        raise BadInput(f"{PREFIX} names no model.", f"Write {PREFIX}qwen3:0.6b; `ollama list` shows the names.")
    url = address()
    if not is_loopback_url(url):
        raise BaseModelError(
            f"The Ollama at {url} is on another machine; its files cannot be reached.",
            f"Pull it here (`OLLAMA_HOST=127.0.0.1 ollama pull {name}`), or give the path of a GGUF file.",
        )
    server = Ollama(url)
    try:
        blob = _from_server(server, name)
    except EngineUnreachable:
        blob = _from_manifests(name)
    except NotServed:
        blob = None
    finally:
        server.close()
    if blob is None:
        raise BaseModelError(f"Ollama has no model {name!r}.", f"Get it: ollama pull {name}")
    return _checked(blob, name)


def blobs() -> Iterator[Path]:
    """The weights that the manifests in Ollama's folder name, except those of our own specialists."""
    for store in _stores():
        for manifest in sorted(store.glob("manifests/*/*/*/*")):
            if manifest.parts[-3] != NAMESPACE:
                yield from _weights(store, manifest)


def _from_server(server: Ollama, name: str) -> Path | None:
    """The blob's path, from the model file that Ollama shows."""
    lines = str(server.show(name).get("modelfile") or "").splitlines()
    if any(line.startswith("ADAPTER ") for line in lines):
        raise _with_adapter(name)
    sources = [line.removeprefix("FROM ").strip().strip('"') for line in lines if line.startswith("FROM ")]
    return next((Path(path) for path in sources if _BLOB.search(path)), None)


def _from_manifests(name: str) -> Path | None:
    model, _, tag = name.partition(":")
    parts = model.split("/")
    namespace, model = (parts[-2], parts[-1]) if len(parts) > 1 else ("library", parts[0])
    if any(part in ("", ".", "..") for part in (namespace, model, tag or "latest")):
        raise BadInput(f"{name!r} is no name of a model in Ollama.", "`ollama list` shows their names.")
    for store in _stores():
        for manifest in store.glob("manifests/*/*/*/*"):
            if manifest.parts[-3:] == (namespace, model, tag or "latest"):
                if _layers(manifest, ADAPTER):
                    raise _with_adapter(name)
                return next(_weights(store, manifest), None)
    return None


def blob_of(server: Ollama, name: str) -> Path:
    """The file of a model's weights in the store of a server on this machine.

    Raises NotServed, and BaseModelError if it cannot be read.
    """
    blob = _from_server(server, name)
    if blob is None or (readable := _readable(blob)) is None:
        raise BaseModelError(
            f"The weights of {name} in Ollama's store cannot be read.",
            "Let this user read them (sudo usermod -aG ollama $USER, then log in again), or set OLLAMA_MODELS.",
        )
    return readable


def _readable(blob: Path) -> Path | None:
    candidates = (blob, *(store / "blobs" / blob.name for store in _stores()))
    return next((path for path in candidates if os.access(path, os.R_OK)), None)


def _checked(blob: Path, name: str) -> Base:
    expected, readable = _BLOB.search(blob.name), _readable(blob)
    if readable is None or expected is None:
        raise BaseModelError(
            f"The weights of {name} are at {blob}, which cannot be read.",
            "Let this user read them (sudo usermod -aG ollama $USER, then log in again), or set OLLAMA_MODELS.",
        )
    base = load_base(readable)
    if base.sha256 != expected[1]:
        raise BaseModelError(
            f"The weights of {name} at {readable} are damaged.", f"ollama rm {name}; ollama pull {name}"
        )
    return base


def _with_adapter(name: str) -> BaseModelError:
    return BaseModelError(f"{name} is a base with LoRA weights beside it.", "Give the base that it was made from.")


def _stores() -> list[Path]:
    """The folders of models: OLLAMA_MODELS if it is set, else the user's own and that of Ollama's service."""
    named = os.environ.get("OLLAMA_MODELS")
    if named:
        return [Path(named)]
    return [Path.home() / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models")]


def _weights(store: Path, manifest: Path) -> Iterator[Path]:
    paths = (store / "blobs" / digest.replace(":", "-") for digest in _layers(manifest, WEIGHTS))
    yield from (path for path in paths if path.exists())


def _layers(manifest: Path, kind: str) -> list[str]:
    """The digests of a manifest's layers of this kind; none if the manifest cannot be read."""
    try:
        layers: Any = orjson.loads(manifest.read_bytes())["layers"]
        digests = [str(layer["digest"]) for layer in layers if layer["mediaType"] == kind]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return []
    return [digest for digest in digests if _BLOB.fullmatch(digest)]
