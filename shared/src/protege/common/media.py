"""Where images and files of requests lie, and how a record names them: the gateway writes, the report reads."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = "media"
SCHEME = "protege-media:"
"""What a record holds in place of the base64: this and the digest of the bytes."""
_NAME = re.compile(rb"protege-media:([0-9a-f]{40})")


def media_path(home: Path, name: str) -> Path:
    """Where the part with this name lies in a home."""
    return home / FOLDER / name[:2] / name


def names_in(written: bytes) -> list[str]:
    """The names of the parts that a record, written as JSON, names; each once, in order."""
    return list(dict.fromkeys(name.decode() for name in _NAME.findall(written)))
