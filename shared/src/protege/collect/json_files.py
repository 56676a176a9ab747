"""Files of JSON documents, plain or gzip: one document a line, or a single document."""

from __future__ import annotations

import gzip
import itertools
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, cast

import orjson

from ..common import checks
from ..common.progress import Bar
from ..errors import BadInput

MOST_BYTES = checks.MOST_BYTES
"""The most bytes of a line, and of a document over many lines, after decompression. Longer ones are passed over in
pieces, so that no file takes more memory than this, however small it is on the disk."""
MOST_PASSED_BYTES = 2 << 30
"""A file is given up where more bytes than this hold no call: a gzip file of 10 MB may unpack to 10 GB."""
_PIECE = 1 << 20
_DAMAGED_GZIP = (EOFError, zlib.error, gzip.BadGzipFile)
_LINES_BETWEEN_REPORTS = 500


class Unreadable(ValueError):
    """A document is not JSON. The message says why and holds no content."""


def check(path: Path) -> None:
    """Raises BadInput if the file cannot be read: it is missing, a folder, empty, one JSON list, or not permitted."""
    try:
        with _opened(path) as (file, _):
            head = file.read(4096).removeprefix(_BOM).lstrip()
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder.", f"Name the files in it, such as {path}/*.jsonl") from None
    except _DAMAGED_GZIP:
        raise BadInput(f"{path} is cut off or is not gzip at all.", "Copy it again.") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if not head:
        raise BadInput(f"{path} is empty.", "A file of calls has one call a line, as JSON.")
    if head[:1] == b"[":
        raise BadInput(f"{path} is one JSON list.", f"Write one call a line: jq -c '.[]' {path} > calls.jsonl")


def documents(path: Path, bar: Bar | None = None) -> Iterator[tuple[int, Any]]:
    """Each JSON document with the number of its line, from 1; an `Unreadable` in its place if it is not JSON, is longer
    than MOST_BYTES, or is nested more than `checks.MOST_LEVELS` deep.

    A file with one document over many lines is read whole. `bar` advances by the bytes read from the disk.
    """
    reported = 0
    with _opened(path) as (file, raw):
        for number, line in _whole(_numbered(file)):
            yield number, _parsed(line)
            if bar and number % _LINES_BETWEEN_REPORTS == 0:
                bar.advance(raw.tell() - reported)
                reported = raw.tell()
        if bar:
            bar.advance(raw.tell() - reported)


def head(path: Path, count: int = 20) -> list[Any]:
    """The first documents of a file; unreadable ones are left out."""
    first = (document for _, document in itertools.islice(documents(path), count))
    return [document for document in first if not isinstance(document, Unreadable)]


_BOM = b"\xef\xbb\xbf"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The file's content, and the file on the disk. Its first bytes, not its name, tell whether it is compressed."""
    with path.open("rb") as raw:
        if raw.peek(2)[:2] == b"\x1f\x8b":
            with gzip.open(raw) as file:
                yield cast(IO[bytes], file), raw
        else:
            yield raw, raw


def _numbered(file: IO[bytes]) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The lines that are not blank; an `Unreadable` in place of one that is too long. If a compressed file is cut off
    or damaged, or the file is given up (`_Passed`), an `Unreadable` comes last."""
    number = 0
    passed = _Passed()
    try:
        while line := file.readline(MOST_BYTES + 1):
            number += 1
            if number == 1:
                line = line.removeprefix(_BOM)
            if len(line) > MOST_BYTES:
                passed.over(line)
                while not line.endswith(b"\n") and (line := file.readline(_PIECE)):
                    passed.over(line)
                yield number, Unreadable(_TOO_LONG)
            elif line.isspace():
                passed.over(line)
            else:
                yield number, line
    except _DAMAGED_GZIP:
        yield number + 1, Unreadable("the compressed file is cut off or damaged here")
    except _GivenUp:
        yield number, Unreadable(f"more than {MOST_PASSED_BYTES >> 20} MB hold no call; the rest is not read")


_TOO_LONG = f"longer than {MOST_BYTES >> 20} MB"


class _GivenUp(Exception):
    """There is too much in a file that holds no call."""


class _Passed:
    """Counts what holds no call: bytes of lines that are too long, and lines that are blank, each as 64 bytes."""

    def __init__(self) -> None:
        self._bytes = 0

    def over(self, line: bytes) -> None:
        self._bytes += max(len(line), 64)
        if self._bytes > MOST_PASSED_BYTES:
            raise _GivenUp


def _whole(numbered: Iterator[tuple[int, bytes | Unreadable]]) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The lines; or all of them as one, if the first opens an object and the file is one document."""
    first = next(numbered, None)
    if first is None:
        return
    number, line = first
    if isinstance(line, Unreadable) or not line.rstrip().endswith((b"{", b"[", b",")):
        yield first
        yield from numbered
        return
    held, beyond = _held(first, numbered)
    if beyond is None or isinstance(beyond[1], Unreadable):
        if line.strip() == b"{" or not isinstance(_parsed(held.joined), Unreadable):
            yield number, bytes(held.joined)
            return
    elif line.strip() == b"{":  # no line of such a file is a document of its own
        yield number, Unreadable(f"one document over many lines, {_TOO_LONG}")
        return
    yield from held.lines()
    if beyond is not None:
        yield beyond
    yield from numbered


class _Held:
    """Lines with their numbers, in little more memory than they take in the file."""

    def __init__(self) -> None:
        self.joined = bytearray()
        self._numbers = array("L")
        self._ends = array("L")

    def add(self, number: int, line: bytes) -> None:
        self.joined += line
        self._numbers.append(number)
        self._ends.append(len(self.joined))

    def lines(self) -> Iterator[tuple[int, bytes]]:
        start = 0
        for number, end in zip(self._numbers, self._ends, strict=True):
            yield number, bytes(self.joined[start:end])
            start = end


def _held(
    first: tuple[int, bytes | Unreadable], numbered: Iterator[tuple[int, bytes | Unreadable]]
) -> tuple[_Held, tuple[int, bytes | Unreadable] | None]:
    """The lines up to MOST_BYTES together, and the one that comes next: None at the file's end."""
    held = _Held()
    for number, line in chain((first,), numbered):
        if isinstance(line, Unreadable) or len(held.joined) + len(line) > MOST_BYTES:
            return held, (number, line)
        held.add(number, line)
    return held, None


def _parsed(line: bytes | bytearray | Unreadable) -> Any:
    if isinstance(line, Unreadable):
        return line
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return Unreadable(_why(line))
    if checks.too_deep(document):
        return Unreadable(f"nested more than {checks.MOST_LEVELS} levels deep")
    return document


def _why(line: bytes | bytearray) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not valid UTF-8"
    return "not JSON, or cut off" if line.lstrip()[:1] == b"{" else "not JSON"
