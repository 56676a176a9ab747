"""The home folder, and files that are written whole or not at all and are private to their owner."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterable
from pathlib import Path

DEFAULT_HOME = ".protege"


_found: set[Path] = set()
"""Homes that this process took from its working folder by itself."""


def home_path(home: str | os.PathLike[str] | None = None) -> Path:
    """The home folder: the one given, else PROTEGE_HOME, else `.protege` here."""
    if named := home or os.environ.get("PROTEGE_HOME"):
        return Path(named).absolute()
    found = Path(DEFAULT_HOME).absolute()
    _found.add(found)
    return found


def is_named(home: Path) -> bool:
    """Whether the user named this home. Not if this process has ever taken it from the working folder by itself."""
    return home not in _found


def distrusted(home: Path, names: Iterable[str] = ()) -> Path | None:
    """The first of a home and its files of these names that others may have written; None if there is none.

    They must belong to this user or to root, and neither a group nor others may write them. Raises OSError if the home
    or a file cannot be looked at; a file that is not there is no danger.
    """
    if not hasattr(os, "geteuid"):
        return None
    for path in (home, *(home / name for name in names)):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
                return path
    return None


def write_private(path: Path, body: bytes, *, readable: int = 0) -> None:
    """Write a file whole or not at all. Only its owner can read it, and those whose bits are set in `readable`."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            if readable:
                os.fchmod(file.fileno(), 0o600 | (readable & 0o044))
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def made_once(file: Path, body: bytes) -> bytes:
    """The content of a file, which is written with `body` if it does not exist yet.

    If two processes do this at the same time, one of them writes the file and both get the same content.
    """
    if not file.exists():
        fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        write_private(fresh, body)
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)
        fresh.unlink()
    return file.read_bytes()
