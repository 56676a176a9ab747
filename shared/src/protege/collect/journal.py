"""The journal: what recorders write before anything else, one file for each process.

A file is a row of frames, each written by one `write`, so that a killed process loses nothing that had returned:

    magic ff 50 4a 01 | key id, 2 bytes | length, 4 bytes | CRC-32, 4 bytes | payload

Numbers are big-endian. The checksum covers key id, length and payload. Key id 0: the payload is plain JSON, in which
the byte ff cannot occur, so that the next frame is found again behind a damaged one.

A writer holds a shared lock (flock) on its file for as long as it lives. Who wants to delete a file takes the lock
alone first: unlike a process id, a lock cannot be mistaken across containers, nor outlive its process.
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
"""A file is left for a new one at this size, so that it can be drained and deleted while its process lives on."""


class JournalWriter:
    """Appends frames to this process's own file in `folder`; made at the first frame, readable by its owner only.

    May be used by many threads. A forked child writes to a file of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: int | None = None
        self._size = 0
        # Re-entrant: a signal handler or a finaliser may record while this very thread writes.
        self._lock = threading.RLock()
        _writers.add(self)

    def append(self, payload: bytes) -> None:
        """Write one frame. It is whole in the file when this returns; else raises OSError, and no part of it stays."""
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
        """Let go of the file, which may be deleted once it is drained; the next frame goes to a new one."""
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
            # A drain may have seen the new file, and deleted it, before the lock was taken: then once more.
            if _lock(file, shared=True) and os.fstat(file).st_nlink:
                self._file, self._size, self._path = file, 0, path
            else:
                os.close(file)

    def _take_back(self) -> None:
        """Cut off what a failed write left, and leave the file; an empty one is removed."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)
            if not self._size:
                self._path.unlink()
        finally:
            self.close()

    def forked(self) -> None:
        """Called in a forked child: let go of the parent's file."""
        self._lock = threading.RLock()
        self.close()

    def __del__(self) -> None:
        self.close()


_writers: weakref.WeakSet[JournalWriter] = weakref.WeakSet()
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)


def _after_fork_in_child() -> None:
    # Another thread of the parent may have held the lock at the fork; nobody is left to release it here.
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
    """One entry. end: offset just behind it."""

    end: int
    key_id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes start to end hold no whole frame; sound ones follow."""

    start: int
    end: int


def frames(data: bytes, offset: int = 0) -> Iterator[Frame | Damage]:
    """The whole frames of a journal file's bytes from `offset` on, and the damaged stretches between them.

    Ends at a tail that is no whole frame (yet): a frame being written, or one that its process did not finish.
    """
    at = offset
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is None:
            found = _next_frame(data, at + 1)
            if found is None:
                return
            yield Damage(at, found)
            at = found
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
    """Whether no process writes to this file (any more); none can start to while the context lasts."""
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
