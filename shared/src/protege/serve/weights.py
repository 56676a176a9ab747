"""The files that are served: those that were tuned, and no others."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from ..errors import BaseModelError
from ..specialist import Specialist
from ..workspace import Workspace


def weights(workspace: Workspace, specialist: Specialist, kind: str) -> Path:
    """A specialist's file of this kind, if it is the one that was tuned. Raises BaseModelError."""
    if kind not in specialist.files:
        raise BaseModelError(f"{specialist.name} has no weights of the kind {kind}.", "Tune it from a GGUF base.")
    path = workspace.specialist_folder(specialist) / specialist.files[kind]
    return checked_file(path, specialist.digests.get(kind), f"{specialist.name}'s {path.name}")


def checked_file(path: Path, expected: str | None, what: str) -> Path:
    """The file, if it is GGUF and the one that is meant: a threshold says nothing of another."""
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise BaseModelError(f"{what} cannot be read: {error.strerror}, {path}.", "`protege improve` again.") from None
    if magic != b"GGUF":
        raise BaseModelError(f"{what} is not a GGUF file: {path}.", "`protege improve` again.")
    if expected is not None and digest(path) != expected:
        raise BaseModelError(f"{what} is not the file that was tuned: {path}.", "`protege improve` again.")
    return path.absolute()


def digest(path: Path) -> str:
    """SHA-256 (hex) of a file; kept while the file is not changed."""
    stat = path.stat()
    return _digest_of(str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@functools.lru_cache(maxsize=256)
def _digest_of(path: str, size: int, mtime_ns: int, inode: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
