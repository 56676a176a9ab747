"""SHA-256 of files, remembered by path, size and times: hashing 5 GB anew at every start would cost about 7 s."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

import orjson

from .files import write_private


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's content."""
    found = path.stat()
    # The time of the last change of the inode cannot be set back by hand, unlike that of the content.
    key = f"{path.resolve()}:{found.st_size}:{found.st_mtime_ns}:{found.st_ctime_ns}:{found.st_ino}"
    kept = _cache_file()
    known = _read(kept)
    if key not in known:
        with path.open("rb") as file:
            known[key] = hashlib.file_digest(file, "sha256").hexdigest()
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(kept, orjson.dumps({**_read(kept), key: known[key]}))
    return known[key]


def sha256_of_all(paths: list[Path]) -> str:
    """SHA-256 (hex) over the names and contents of files, in the order of their names."""
    lines = [f"{path.name} {sha256_of(path)}" for path in sorted(paths, key=lambda p: p.name)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _cache_file() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(folder) / "protege" / "sha256.json"


def _read(file: Path) -> dict[str, str]:
    try:
        return orjson.loads(file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
