"""The switch: a file in the home that says who must not answer now, whatever the store and routes.json say.

`protege off`, a retirement and an alarm write it first, so that they hold where nothing else can be written: the file
never grows, and changing bytes in place needs neither space nor a lock. Where the home cannot be written at all, empty
files in folders of the user's stand for it (`runtime_folders`). Agents look at both each time that they look at
routes.json. Light to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal, TypeAlias

from .files import write_private

Taken: TypeAlias = Literal["ended", "held"]
"""ended: somebody took it away, and the store is to say so too. held: a change is under way, and whoever holds the turn
next may give it back."""

ALL = "all"
"""The key of the switch for every task."""
_SLOT = 16
_HEAD = b"protege switch1\n"
_FREE = b"." * (_SLOT - 1) + b"\n"
_SLOTS = 255
_SIZE = _SLOT * (_SLOTS + 1)
_STATES: Mapping[bytes, Taken] = {b"E": "ended", b"H": "held"}


def of_task(task_id: str) -> str:
    """The key of a task's switch."""
    return f"task:{task_id}"


def of_specialist(specialist_id: str) -> str:
    """The key of a specialist's switch."""
    return f"specialist:{specialist_id}"


def mark_of(key: str) -> str:
    """How a key stands in the file, 14 characters."""
    return hashlib.blake2b(key.encode(), digest_size=7).hexdigest()


def make_switch(home: Path) -> None:
    """Make the file, with everything given. One that is there, or cannot be made, is left as it is."""
    if not (home / "switch").exists():
        with contextlib.suppress(OSError):
            fresh = home / f".switch.{os.getpid()}"
            write_private(fresh, _HEAD + _FREE * _SLOTS)
            try:
                os.link(fresh, home / "switch")  # of two that make it at once, the first is kept
            finally:
                fresh.unlink()


def take(home: Path, key: str, how: Taken = "ended") -> bool:
    """Take an answer away: agents of this home follow within a second. Returns False if that cannot be told anywhere.

    What is "ended" already is not made "held".
    """
    if how == "held" and switched(home).get(mark_of(key)) == "ended":
        return True
    return _set_in_home(home, mark_of(key), how) or _set_outside(home, mark_of(key), how) or _without_routes(home)


def give(home: Path, key: str, was: tuple[Taken, ...] = ("ended", "held")) -> None:
    """Take back what `take` did, where it `was` this. Raises OSError where that cannot be written."""
    mark = mark_of(key)
    for folder in _folders(home):
        for how in was:
            (folder / f"{mark}.{how}").unlink(missing_ok=True)
    if _in_home(home).get(mark) in was:
        with _mapped(home / "switch") as slots:
            for at in _positions():
                if slots[at + 1 : at + _SLOT - 1] == mark.encode():
                    slots[at : at + _SLOT] = _FREE


def switched(home: Path) -> dict[str, Taken]:
    """What is taken away, by `mark_of` its key.

    Raises OSError if the file is there and cannot be read: nobody can tell then who may answer.
    """
    marks = _in_home(home)
    for folder in _folders(home):
        with contextlib.suppress(OSError):  # there is none, or it is not this user's
            if _is_ours(folder):
                marks.update(_marker(file.name) for file in folder.iterdir())
    return marks


def runtime_folders() -> list[Path]:
    """The folders of this user, outside any home, in which markers stand. Their names do not depend on the home."""
    uid = os.getuid() if hasattr(os, "getuid") else 0
    named = os.environ.get("XDG_RUNTIME_DIR")
    places = [Path(named) / "protege"] if named and Path(named).is_absolute() else []
    return [*places, Path(f"/run/user/{uid}/protege"), Path(f"/tmp/protege-{uid}")]


def _set_in_home(home: Path, mark: str, how: Taken) -> bool:
    state = next(letter for letter, name in _STATES.items() if name == how)
    try:
        for _ in range(5):  # another process may take the same free place at the same moment
            with _mapped(home / "switch") as slots:
                at = _place(slots, mark)
                slots[at + 1 : at + _SLOT - 1] = mark.encode()
                slots[at : at + 1] = state  # last: a slot counts from here on
                slots.flush()
            if _in_home(home).get(mark) == how:
                return True
    except (OSError, ValueError):
        pass
    return False


def _place(slots: mmap.mmap, mark: str) -> int:
    """Where the mark stands, else the first free place. Raises OSError if all are taken."""
    free = None
    for at in _positions():
        if slots[at + 1 : at + _SLOT - 1] == mark.encode():
            return at
        if free is None and slots[at : at + 1] not in _STATES:
            free = at
    if free is None:
        raise OSError("the switch is full")
    return free


def _set_outside(home: Path, mark: str, how: Taken) -> bool:
    """Leave an empty file in each folder of the user's that there is: agents may have another environment than this."""
    written = False
    for folder in _folders(home):
        with contextlib.suppress(OSError):
            folder.parent.mkdir(mode=0o700, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            if _is_ours(folder):
                (folder / f"{mark}.{how}").touch(mode=0o600)
                written = True
    return written


def _without_routes(home: Path) -> bool:
    """Remove routes.json, which needs no space: the last resort, by which the teacher answers every task."""
    try:
        (home / "routes.json").unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _in_home(home: Path) -> dict[str, Taken]:
    try:
        body = (home / "switch").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    slots = (body[at : at + _SLOT] for at in range(_SLOT, len(body), _SLOT))
    return {s[1:-1].decode(errors="replace"): _STATES[s[:1]] for s in slots if s[:1] in _STATES}


def _positions() -> range:
    return range(_SLOT, _SIZE, _SLOT)


@contextlib.contextmanager
def _mapped(file: Path) -> Iterator[mmap.mmap]:
    """The file's bytes in memory, to be changed in place. A quota or a limit on what is written does not apply."""
    descriptor = os.open(file, os.O_RDWR | getattr(os, "O_CLOEXEC", 0))
    try:
        if os.fstat(descriptor).st_size != _SIZE:
            raise OSError(f"{file} has another length")
        with mmap.mmap(descriptor, _SIZE) as slots:
            yield slots
    finally:
        os.close(descriptor)


def _folders(home: Path) -> list[Path]:
    """The folders for this home, known by its path and its place on the disk; none if there is no home."""
    try:
        at = home.stat()
    except OSError:
        return []
    name = hashlib.blake2b(f"{home.resolve()}\0{at.st_dev}\0{at.st_ino}".encode(), digest_size=8).hexdigest()
    return [folder / name for folder in runtime_folders()]


def _is_ours(folder: Path) -> bool:
    """Whether the folder and the one above it are this user's, and nobody else can write there."""
    for place in (folder, folder.parent):
        status = place.lstat()
        ours = not hasattr(os, "getuid") or (status.st_uid == os.getuid() and not status.st_mode & 0o022)
        if not (stat.S_ISDIR(status.st_mode) and ours):
            return False
    return True


def _marker(name: str) -> tuple[str, Taken]:
    mark, _, how = name.partition(".")
    return mark, "ended" if how == "ended" else "held"
