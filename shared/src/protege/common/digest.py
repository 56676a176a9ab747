"""SHA-256 of files, cached by path, size and times: hashing 5 GB again at every start would take about 7 s."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import orjson

from .files import write_private

REMEMBERED = 1000
"""Digests that are remembered, the newest; a line of 200 bytes each."""


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content. Raises OSError where it cannot be read."""
    stat = path.stat()
    # ctime too: unlike mtime, it cannot be set back by hand.
    key = f"{path.resolve()}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}:{stat.st_ino}"
    cache = _cache_file()
    digest = _read(cache).get(key)
    if digest is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            newest = list({**_read(cache), key: digest}.items())[-REMEMBERED:]
            write_private(cache, orjson.dumps(dict(newest)))
    return digest


def sha256_of_all(paths: list[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files, in the order of their names."""
    lines = [f"{path.name} {sha256_of(path)}" for path in sorted(paths, key=lambda p: p.name)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _cache_file() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "protege" / "sha256.json"


def _read(file: Path) -> dict[str, str]:
    try:
        digests = orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return digests if isinstance(digests, dict) else {}
