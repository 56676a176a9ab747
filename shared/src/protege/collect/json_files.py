"""Files of JSON documents, plain or gzip: one document a line, or a single document."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import orjson

from ..common.progress import Bar
from ..errors import BadInput

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
    """Each JSON document with the number of its line, from 1; an `Unreadable` in its place if it is not JSON.

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
    """The lines that are not blank. If a compressed file is cut off or damaged, an `Unreadable` comes last."""
    number = 0
    try:
        for number, line in enumerate(file, 1):
            if number == 1:
                line = line.removeprefix(_BOM)
            if not line.isspace():
                yield number, line
    except _DAMAGED_GZIP:
        yield number + 1, Unreadable("the compressed file is cut off or damaged here")


def _whole(numbered: Iterator[tuple[int, bytes | Unreadable]]) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The lines; or all of them as one, if the first opens an object and the file is one document."""
    for number, line in numbered:
        if isinstance(line, bytes) and line.rstrip().endswith((b"{", b"[", b",")):
            rest = list(numbered)
            joined = b"".join((line, *(more for _, more in rest if isinstance(more, bytes))))
            if line.strip() == b"{" or not isinstance(_parsed(joined), Unreadable):
                yield number, joined
                return
            numbered = iter(rest)
        yield number, line
        yield from numbered


def _parsed(line: bytes | Unreadable) -> Any:
    if isinstance(line, Unreadable):
        return line
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError:
        return Unreadable(_why(line))


def _why(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not valid UTF-8"
    return "not JSON, or cut off" if line.lstrip()[:1] == b"{" else "not JSON"
