"""The journal: where recorders write calls first, one file for each process.

A file is a sequence of frames. Each is written by one `write`, so a killed process loses nothing that had returned:

    magic ff 50 4a 01 | key id, 2 bytes | length, 4 bytes | CRC-32, 4 bytes | payload

Numbers are big-endian. The checksum covers key id, length and payload. Key id 0 means that the payload is plain JSON.
The byte ff cannot occur in it, so the next frame can be found after a damaged one.

A writer holds a shared lock (flock) on its file as long as it lives. Whoever wants to delete the file first takes the
exclusive lock. Unlike a process id, a lock means the same in every container and does not outlive its process.
"""

from __future__ import annotations

import errno
import os
import secrets
import struct
import threading
import time
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be deleted anyway
    fcntl = None

MAGIC = b"\xffPJ\x01"
HEADER = struct.Struct(">4sHII")
PLAIN = 0
SUFFIX = ".journal"
ROTATE_BYTES = 32 << 20
"""At this size a new file is begun, so that the old one can be drained and deleted while its process lives on."""


class JournalWriter:
    """Appends frames to this process's own file in `folder`.

    The file is made at the first frame, and only its owner can read it. Safe for many threads. A forked child writes to
    a file of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None
        self._size = 0
        # Re-entrant: a signal handler or a finaliser may record while this very thread writes.
        self._lock = threading.RLock()
        _writers.add(self)

    def append(self, payload: bytes) -> None:
        """Write one frame. When this returns, the whole frame is in the file. If it raises OSError, no part of it
        is."""
        frame = encode(payload)
        with self._lock:
            if self._file is None or self._size >= ROTATE_BYTES or not os.fstat(self._file).st_nlink:
                self._open()
            assert self._file is not None
            try:
                if os.write(self._file, frame) != len(frame):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self._take_back()
                raise
            self._size += len(frame)

    def close(self) -> None:
        """Close the file, which may then be drained and deleted. The next frame goes to a new file."""
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def _open(self) -> None:
        self.close()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        while self._file is None:
            name = f"{time.time_ns() // 1_000_000}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
            path = self.folder / name
            file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | _CLOSE_ON_EXEC, 0o600)
            # A drain may have deleted the new file before the lock was taken: then try again.
            if _lock(file, shared=True) and os.fstat(file).st_nlink:
                self._file, self._size, self._path = file, 0, path
            else:
                os.close(file)

    def _take_back(self) -> None:
        """Cut off what a failed write left, and close the file. An empty one is removed."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)
            if not self._size:
                self._path.unlink()
        finally:
            self.close()

    def forked(self) -> None:
        """Called in a forked child: close the parent's file."""
        self._lock = threading.RLock()
        self.close()

    def __del__(self) -> None:
        self.close()


_writers: weakref.WeakSet[JournalWriter] = weakref.WeakSet()
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held the lock at the fork. Nobody here would release it.
    for writer in list(_writers):
        writer.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def encode(payload: bytes, key_id: int = PLAIN) -> bytes:
    """The frame around a payload."""
    checked = _CHECKED.pack(key_id, len(payload))
    return b"".join((MAGIC, checked, _CRC.pack(zlib.crc32(payload, zlib.crc32(checked))), payload))


_CHECKED = struct.Struct(">HI")
_CRC = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Frame:
    """One entry of the journal."""

    end: int
    """The offset just after it."""
    key_id: int
    """The key that the payload is encrypted with; PLAIN if it is not encrypted."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """The bytes from `start` to `end` hold no whole frame. Sound frames follow."""

    start: int
    end: int


def frames(data: bytes, offset: int = 0) -> Iterator[Frame | Damage]:
    """The whole frames of a journal file from `offset` on, and the damaged stretches between them.

    data: the bytes of the file. Ends before an incomplete last frame: one that is being written, or that its process
    did not finish.
    """
    at = offset
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is None:
            sound = _next_frame(data, at + 1)
            if sound is None:
                return
            yield Damage(at, sound)
            at = sound
            continue
        yield frame
        at = frame.end


def _frame_at(data: bytes, at: int) -> Frame | None:
    start = at + HEADER.size
    if len(data) < start or data[at : at + 4] != MAGIC:
        return None
    _, key_id, length, checksum = HEADER.unpack_from(data, at)
    payload = data[start : start + length]
    if len(payload) < length or zlib.crc32(payload, zlib.crc32(data[at + 4 : at + 10])) != checksum:
        return None
    return Frame(start + length, key_id, payload)


def _next_frame(data: bytes, at: int) -> int | None:
    while (at := data.find(MAGIC, at)) >= 0:
        if _frame_at(data, at) is not None:
            return at
        at += 1
    return None


@contextmanager
def without_writer(path: Path) -> Iterator[bool]:
    """Gives whether no process writes to this file any more. While the context lasts, none can start to."""
    if fcntl is None:
        yield True
        return
    file = os.open(path, os.O_RDWR | _CLOSE_ON_EXEC)
    try:
        yield _lock(file, shared=False)
    finally:
        os.close(file)


def _lock(file: int, *, shared: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
