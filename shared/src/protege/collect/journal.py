"""The journal: where recorders write calls first, one file for each process.

A file is a sequence of frames. Each is written by one `write`, so a killed process loses nothing that had returned:

    magic ff 50 4a 01 | key id, 2 bytes | length, 4 bytes | CRC-32, 4 bytes | payload

Numbers are big-endian. The checksum covers key id, length and payload. Key id 0 means that the payload is plain JSON.
The byte ff cannot occur in it, so the next frame can be found after a damaged one. The last byte of the magic is the
version of the frame: what begins with the magic of another version is a newer version's to read, and is not damaged.

A writer holds a shared lock (flock) on its file as long as it lives. Whoever wants to delete the file first takes the
exclusive lock. Unlike a process id, a lock means the same in every container and does not outlive its process.
"""

from __future__ import annotations

import errno
import functools
import os
import secrets
import stat
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..common import patience
from ..common.forks import tell_of_forks
from ..common.patience import Patience
from ..common.trust import make_home
from .room import Room

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
BACKLOG_BYTES = 8 << 20
"""While the disk hangs, frames of this many bytes are held in memory. Further ones are lost."""
BURST_GAP_S, BURST_FRAMES = 0.002, 16
"""After this many frames, each within BURST_GAP_S of the one before, frames are written in the caller's own thread.
There the hand-over would cost 10 to 25 µs a call, and only there can a disk that begins to hang hold one caller."""
OPENINGS = 8
"""A new file that others have locked or deleted is given up for another this often."""


class JournalWriter:
    """Appends frames to this process's own file in `folder`.

    The file is made at the first frame, and only its owner can read it. Safe for many threads. A forked child writes to
    a file of its own. If the disk hangs, a caller waits for it `patience.WAIT_S` once and then not at all: frames are
    held in memory, BACKLOG_BYTES at most, and written once the disk is back. failed: is told the error of a frame that
    could not be written then. A journal that is full takes no more frames (`room`).
    """

    def __init__(self, folder: Path, failed: Callable[[Exception], object] = lambda error: None) -> None:
        self.folder = folder
        self._failed = failed
        self._file: int | None = None
        self._size = 0
        # Re-entrant: a signal handler or a finaliser may record while this very thread writes.
        self._lock = threading.RLock()
        self._room = Room(folder)
        self._patience = Patience()
        self._lock_of_backlog = threading.RLock()
        self._backlog = 0
        self._appended_s = 0.0
        self._in_a_row = 0
        tell_of_forks(self)

    @property
    def late(self) -> bool:
        """Whether the disk hangs, so that frames are held in memory."""
        return self._patience.late

    @property
    def held(self) -> int:
        """How many frames are in memory and in no file yet."""
        return self._patience.undone

    def append(self, payload: bytes) -> None:
        """Write one frame. When this returns, the whole frame is in the file, unless the disk hangs. If it raises
        OSError, no part of it is."""
        frame = encode(payload)
        if self._in_a_burst():
            self._write_here(frame)
        elif self._patience.late:
            self._hold(frame)
        else:
            self._patience.do(lambda: self._write(frame), self._failed)

    def close(self) -> None:
        """Close the file, which may then be drained and deleted. The next frame goes to a new file."""
        if self._file is not None:
            self._patience.do(self._close)

    def _in_a_burst(self) -> bool:
        """Whether frames come so fast that the hand-over to another thread would cost more than it is worth."""
        now_s = time.perf_counter()
        self._in_a_row = self._in_a_row + 1 if now_s - self._appended_s < BURST_GAP_S else 0
        self._appended_s = now_s
        return self._in_a_row > BURST_FRAMES and self._file is not None and not self._patience.late

    def _write_here(self, frame: bytes) -> None:
        begin_s = time.perf_counter()
        if not self._lock.acquire(timeout=patience.WAIT_S):  # whoever has it hangs
            self._patience.was_slow()
            self._hold(frame)
            return
        try:
            self._write(frame)
        finally:
            self._lock.release()
            if time.perf_counter() - begin_s > patience.WAIT_S:
                self._patience.was_slow()

    def _hold(self, frame: bytes) -> None:
        """Keep a frame in memory until the disk is back. Raises OSError if there are too many."""
        with self._lock_of_backlog:
            if self._backlog + len(frame) > BACKLOG_BYTES:
                raise TimeoutError(errno.ETIMEDOUT, "the disk hangs")
            self._backlog += len(frame)
        self._patience.do(lambda: self._write_held(frame), self._failed)

    def _write_held(self, frame: bytes) -> None:
        with self._lock_of_backlog:
            self._backlog -= len(frame)
        self._write(frame)

    def _write(self, frame: bytes) -> None:
        with self._lock:
            try:
                self._room.take(len(frame))
            except OSError:
                self._close()  # so that it can be drained and deleted, which makes room
                raise
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

    def _open(self) -> None:
        self._close()
        make_home(self.folder.parent)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for _ in range(OPENINGS):
            if self._opened():
                return
        raise OSError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK))

    def _opened(self) -> bool:
        """Make a file and lock it. False if a drain had deleted or locked the new file before. Leaves no file and no
        descriptor behind where it fails, as on a file system without locks."""
        name = f"{time.time_ns() // 1_000_000}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
        path = self.folder / name
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | _CLOSE_ON_EXEC, 0o600)
        try:
            if _lock(file, shared=True) and os.fstat(file).st_nlink:
                self._file, self._size, self._path = file, 0, path
                return True
        finally:
            if self._file != file:
                path.unlink(missing_ok=True)
                os.close(file)
        return False

    def _take_back(self) -> None:
        """Cut off what a failed write left, and close the file. An empty one is removed."""
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)
            if not self._size:
                self._path.unlink()
        finally:
            self._close()

    def _close(self) -> None:
        with self._lock:
            file, self._file = self._file, None
            if file is not None:
                os.close(file)

    def forked(self) -> None:
        """Called in a forked child: close the parent's file. What the parent holds in memory, the parent writes."""
        hanging = self._patience.late or self._patience.busy
        file, self._file = self._file, None
        self._lock = threading.RLock()
        self._lock_of_backlog = threading.RLock()
        self._backlog = 0
        self._patience.forked()
        if file is not None and hanging:  # closing may hang too
            self._patience.later(functools.partial(os.close, file))
        elif file is not None:
            os.close(file)

    def __del__(self) -> None:
        file, self._file = self._file, None
        if file is not None and self._patience.late:
            self._patience.do(functools.partial(os.close, file))
        elif file is not None:
            os.close(file)


_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)


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


@dataclass(frozen=True, slots=True)
class Newer:
    """The bytes from `start` to `end` begin as a frame of another version does. This version cannot read them."""

    start: int
    end: int


def frames(data: bytes, offset: int = 0) -> Iterator[Frame | Damage | Newer]:
    """The whole frames of a journal file from `offset` on, and the stretches between them that hold none.

    data: the bytes of the file. Ends before an incomplete last frame: one that is being written, or that its process
    did not finish.
    """
    at = offset
    while at < len(data):
        frame = _frame_at(data, at)
        if frame is not None:
            yield frame
            at = frame.end
            continue
        sound = _next_frame(data, at + 1)
        newer = _is_newer(data, at)
        if sound is None and not newer:
            return
        end = len(data) if sound is None else sound
        yield Newer(at, end) if newer else Damage(at, end)
        at = end


def _is_newer(data: bytes, at: int) -> bool:
    """Whether a frame of a later version may begin here, rather than one whose version byte is damaged."""
    if not data.startswith(MAGIC[:3], at) or at + 3 >= len(data) or data[at + 3] <= MAGIC[3]:
        return False
    return data[at + 3] < _LIKELY_VERSIONS or _frame_at(data, at, data[at : at + 4]) is None


_LIKELY_VERSIONS = 16


def _frame_at(data: bytes, at: int, magic: bytes = MAGIC) -> Frame | None:
    start = at + HEADER.size
    if len(data) < start or data[at : at + 4] != magic:
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


def is_ours(path: Path) -> bool:
    """Whether a journal file was written by one who may: it is a plain file of this user, of the home's owner or of
    root. What others could put there would count as measured here."""
    if not hasattr(os, "getuid"):
        return True
    file = path.lstat()
    return stat.S_ISREG(file.st_mode) and file.st_uid in {0, os.getuid(), path.parent.stat().st_uid}


@contextmanager
def without_writer(path: Path) -> Iterator[bool]:
    """Gives whether no process writes to this file any more. While the context lasts, none can start to.

    On a file system that has no locks nobody can tell, so the file counts as one that is written to.
    """
    if fcntl is None:
        yield True
        return
    file = os.open(path, os.O_RDWR | _CLOSE_ON_EXEC)
    try:
        try:
            abandoned = _lock(file, shared=False)
        except OSError:
            abandoned = False
        yield abandoned
    finally:
        os.close(file)


def _lock(file: int, *, shared: bool) -> bool:
    """Whether the lock was taken. Raises OSError on a file system that has no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
