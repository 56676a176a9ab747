"""How much a journal may hold. Where nobody brings it into the store, it must not fill the disk of the agent."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from pathlib import Path

LIMIT_VAR = "PROTEGE_JOURNAL_MB"
"""This environment variable sets another limit."""
MOST_MB = 4096
"""The files of a journal come to no more than this, and CHECK_BYTES for each process that writes."""
CHECK_BYTES = 4 << 20
"""A writer looks at the folder after so many bytes of its own: a look takes 1 ms where there are a thousand files."""
LOOK_S = 5.0
"""Once the journal is full, a writer looks this often whether there is room again."""


class Room:
    """The room that one writer knows to be left in a folder. Its owner sees to it that one thread at a time asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._left = 0
        self._again_s = 0.0

    def take(self, size: int) -> None:
        """Take so many bytes of the room. Raises OSError if the journal is full.

        What comes last is refused, and nothing is deleted to make room: a writer in an agent would have to know that
        no drain and no other process is at a file, on a disk that is in trouble already.
        """
        if size <= self._left:
            self._left -= size
            return
        if time.monotonic() < self._again_s:
            raise _full()
        free = limit_bytes() - journal_bytes(self._folder)
        if free < size:
            self._again_s = time.monotonic() + LOOK_S
            raise _full()
        self._left = min(free, CHECK_BYTES) - size if size < CHECK_BYTES else 0


def limit_bytes() -> int:
    """The most bytes of a journal."""
    said = os.environ.get(LIMIT_VAR, "")
    return (int(said) if said.isdecimal() else MOST_MB) << 20


def journal_bytes(folder: Path) -> int:
    """The bytes of the files in a journal's folder, damaged ones included; 0 if there is none."""
    total = 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # drained meanwhile
                total += entry.stat(follow_symlinks=False).st_size
    return total


def _full() -> OSError:
    return OSError(errno.EDQUOT, f"the journal is full ({limit_bytes() >> 20:,} MB); `protege tasks` takes it in")
