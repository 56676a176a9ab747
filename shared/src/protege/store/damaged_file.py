"""A database file that may be damaged: how that shows, how to have it alone, where the original is kept."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ..errors import WorkspaceBusy, WorkspaceError

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be replaced anyway
    fcntl = None

FOLDER = "damaged"
MOST_KEPT = 3
"""Damaged originals that are kept, the newest."""
_LOCK_BYTES = (0x40000000, 512)
"""Where SQLite locks, and how many bytes. In WAL mode whoever has the file open holds a shared lock there."""
_CORRUPT, _NOT_A_DATABASE, _SHORT_READ = 11, 26, 522
_left_open: list[int | BinaryIO] = []


def is_damage(error: BaseException | None) -> bool:
    """Whether an error of sqlite3 says that the file is damaged."""
    if not isinstance(error, sqlite3.DatabaseError):
        return False
    code = getattr(error, "sqlite_errorcode", 0)
    lacking = ("no such table", "no such column", "already exists", "malformed database schema")
    return code & 0xFF in (_CORRUPT, _NOT_A_DATABASE) or code == _SHORT_READ or any(t in str(error) for t in lacking)


def damaged(path: Path, fault: str) -> WorkspaceError:
    """The error that says so."""
    return WorkspaceError(
        f"The store {path} is damaged: {fault}.",
        "protege doctor --repair saves what can be read. Agents go on and are recorded; off and rollback work.",
    )


def left_open(path: Path) -> BinaryIO:
    """The database, to be read, which stays open: closing it would end what SQLite has locked in this very process."""
    file = path.open("rb")
    _left_open.append(file)
    return file


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """No other has the database open, and until the end none opens it. Raises WorkspaceBusy if one has."""
    if fcntl is None or not path.exists():
        yield
        return
    file = os.open(path, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    try:
        _lock(file)
    except OSError:
        _left_open.append(file)  # closing it would end what SQLite has locked in this very process
        raise WorkspaceBusy(
            f"Another process has {path} open.",
            "Stop what runs on this home (improve --every, serve, …); agents may go on.",
        ) from None
    try:
        yield
    finally:
        os.close(file)


def _lock(file: int) -> None:
    """Lock what SQLite locks. A lock of the open file's own, where there are such, holds against this process too."""
    assert fcntl is not None
    start, length = _LOCK_BYTES
    if (set_own := getattr(fcntl, "F_OFD_SETLK", None)) is not None:
        fcntl.fcntl(file, set_own, struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0))
    else:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)


def keep_original(path: Path) -> Path | None:
    """Keep a damaged database and its log in a folder beside it; the same file once. None if there is nothing."""
    if not path.exists():
        return None
    folder = path.parent / FOLDER
    place = folder / str(path.stat().st_mtime_ns)
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    for name in (path.name, f"{path.name}-wal"):
        if (file := path.with_name(name)).exists():
            (place / name).unlink(missing_ok=True)
            try:
                os.link(file, place / name)  # takes no space, and the file's name is given to another next
            except OSError:
                shutil.copyfile(file, place / name)
    for old in sorted(folder.iterdir(), key=lambda kept: kept.name)[:-MOST_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return place
