"""Where servers listen: Unix sockets in folders that only their owner can enter, so that nobody takes their place."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ...common.configuration import is_private
from ...common.peers import own_uids, owners
from ...errors import EngineError

FOLDER = "sockets"
"""In the home: agents in other containers, and services with a /tmp of their own, find it there."""
STARTING_S = 60.0
"""A socket that is younger may belong to a server that does not listen yet."""


def new_socket(home: Path) -> Path:
    """A path for one server: in the home, or in a temporary folder if the path would be longer than a socket's may be
    (107 bytes), or the home's file system has no sockets. Raises EngineError if there is no place."""
    for folder in _folders(home):
        path = folder / f"{secrets.token_hex(4)}.sock"
        if is_private(folder) and _takes(path):
            return path
        if folder.name != FOLDER:
            folder.rmdir()
    raise EngineError("There is no folder for the engine's socket.", "Set TMPDIR to a folder with a short path.")


def remove_socket(path: Path) -> None:
    """Remove what `new_socket` gave."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
        if path.parent.name != FOLDER:
            path.parent.rmdir()


def check_own(connection: socket.socket) -> None:
    """Raise EngineError if a connection does not lead to a process of this user or of root."""
    if not own_uids() >= owners(connection):
        raise EngineError("The engine's socket belongs to another user.", "Start `protege serve` again.")


def _folders(home: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        folder = home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        _sweep(folder)
        yield folder
    for place in (tempfile.gettempdir(), "/tmp"):
        with contextlib.suppress(OSError):
            yield Path(tempfile.mkdtemp(prefix="protege-", dir=place))


def _sweep(folder: Path) -> None:
    """Remove the sockets of servers that were killed together with whoever started them."""
    for path in folder.glob("*.sock"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime > STARTING_S and not _listens(path):
                path.unlink()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.2)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            return False
    return True


def _takes(path: Path) -> bool:
    """Whether a socket can be made there; it is gone again afterwards."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.bind(os.fspath(path))
        except OSError:
            return False
    path.unlink()
    return True
