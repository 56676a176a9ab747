"""The user's own configuration folder, `~/.config/protege`: what must not come along with a home. Light to import.

It belongs to this user, and nobody else can enter it; else nothing in it is believed.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from .files import distrusted
from .peers import own_uids


def configuration() -> Path:
    """The folder: below XDG_CONFIG_HOME, else below ~/.config. Raises OSError if this user has no home directory."""
    named = os.environ.get("XDG_CONFIG_HOME", "")
    if named and Path(named).is_absolute():
        return Path(named) / "protege"
    try:
        return Path.home() / ".config" / "protege"
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "this user has no home directory") from None


def private_folder(*names: str) -> Path:
    """The folder, or one inside it, made if it is not there. Raises OSError if it cannot be, or is not private."""
    folder = configuration()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("", *names):
        folder = folder / name
        folder.mkdir(mode=0o700, exist_ok=True)
        if not is_private(folder):
            raise PermissionError(errno.EACCES, f"{folder} belongs to another user, or others can enter it")
    return folder


def is_private(folder: Path) -> bool:
    """Whether it is a folder, and no link to one, that belongs to this user or root and that nobody else can enter."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid in own_uids() and not status.st_mode & 0o077


def private_bytes(*names: str) -> bytes | None:
    """The content of a file in it; None if there is none, or others may write it."""
    try:
        path = configuration().joinpath(*names)
        if not (is_private(configuration()) and is_private(path.parent)) or distrusted(path):
            return None
        return path.read_bytes()
    except OSError:
        return None
