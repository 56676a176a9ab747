"""Files of JSON documents: one document a line, a single document, or one list of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from io import BufferedReader
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

from ..common import checks
from ..common.plain_json import loads
from ..common.progress import Bar
from ..errors import BadInput
from . import json_lists
from .opening import UNREADABLE, Stream, opened, reason_of, refuse_others

MOST_BYTES = checks.MOST_BYTES
"""The most bytes of a line, and of a document over many lines, after decompression. Longer ones are passed over in
pieces, so that no file takes more memory than this, however small it is on the disk."""
MOST_PASSED_BYTES = 2 << 30
"""A file is given up where more bytes than this hold no call: a gzip file of 10 MB may unpack to 10 GB."""
_PIECE = 1 << 20
_HEAD = 4096
_LINES_BETWEEN_REPORTS = 500


class Unreadable(ValueError):
    """A document is not JSON. The message says why and holds no content."""


class Document(NamedTuple):
    """One JSON document of a file."""

    line: int
    """The number of its line, from 1; of its item, in a file that is one JSON list."""
    value: Any
    """What it holds; an `Unreadable` if it is not JSON, longer than MOST_BYTES, or nested more than
    `checks.MOST_LEVELS` deep."""
    size: int
    """Its bytes."""
    member: str = ""
    """The name of its file in a zip."""


def check(path: Path) -> None:
    """Raises BadInput if the file cannot be read: it is missing, a folder, empty, of another kind, or not permitted. Of
    a zip, one member that holds something is enough."""
    try:
        with opened(path) as (streams, raw):
            refuse_others(path, raw.peek(64) if isinstance(raw, BufferedReader) else b"")
            head, why = b"", ""
            for member, stream in streams:
                try:
                    with stream() as file:
                        head = file.read(4096).removeprefix(_BOM).lstrip()
                except UNREADABLE as error:
                    why = reason_of(error)
                    if not member:
                        raise
                if head:
                    break
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist.", "Check the path.") from None
    except IsADirectoryError:
        raise BadInput(f"{path} is a folder.", f"Name the files in it, such as {path}/*.jsonl") from None
    except BadInput:
        raise
    except UNREADABLE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise BadInput(f"{path} cannot be read: {error.strerror}.", "Check its permissions.") from error
        raise BadInput(f"{path} is cut off or is not what its first bytes say.", "Copy it again.") from None
    if not head and why:
        raise BadInput(f"{path} holds no file that can be read.", f"Of the last: {why}.")
    if not head:
        raise BadInput(f"{path} is empty.", "A file of calls has one call a line, as JSON.")


def documents(path: Path, bar: Bar | None = None) -> Iterator[Document]:
    """Each JSON document of a file. A file with one document over many lines is read whole; the items of a file that is
    one JSON list come one by one. `bar` advances by the bytes read from the disk.
    """
    reported = 0
    passed = _Passed()
    with opened(path) as (streams, raw):
        for member, stream in streams:
            for count, (number, line) in enumerate(_texts(stream, passed)):
                yield Document(number, _parsed(line), 0 if isinstance(line, Unreadable) else len(line), member)
                if bar and count % _LINES_BETWEEN_REPORTS == 0:
                    bar.advance(raw.tell() - reported)
                    reported = raw.tell()
            if passed.too_much:
                break
        if bar:
            bar.advance(raw.tell() - reported)


def _texts(stream: Stream, passed: _Passed) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The JSON texts of a stream with their numbers. If it cannot be opened, an `Unreadable` comes."""
    try:
        with stream() as file:
            head = cast(Any, file).peek(_HEAD)
            is_list = head.removeprefix(_BOM).lstrip()[:1] == b"["
            yield from _listed(file, passed) if is_list else _whole(_numbered(file, passed))
    except UNREADABLE as error:
        yield 1, Unreadable(reason_of(error))


def _listed(file: IO[bytes], passed: _Passed) -> Iterator[tuple[int, bytes | Unreadable]]:
    number = 0
    try:
        for number, item in enumerate(json_lists.items(file, MOST_BYTES), 1):
            if item is None:
                passed.over_bytes(MOST_BYTES)
            yield number, Unreadable("longer than a call may be, or cut off") if item is None else item
    except UNREADABLE as error:
        yield number + 1, Unreadable(reason_of(error))
    except json_lists.Endless:
        yield number + 1, Unreadable(f"an item longer than {2 * MOST_BYTES >> 20} MB; the rest of the list is not read")
    except _GivenUp:
        yield number, Unreadable(_TOO_MUCH.format(MOST_PASSED_BYTES >> 20))


_BOM = b"\xef\xbb\xbf"
_BETWEEN = b"\x1e, \t\r\n"
"""What may stand between documents: blanks, the comma of a list that lost its brackets, RFC 7464's separator."""


def _numbered(file: IO[bytes], passed: _Passed) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The lines that are not blank; an `Unreadable` in place of one that is too long. If a compressed file is cut off
    or damaged, or the file is given up (`_Passed`), an `Unreadable` comes last."""
    number = 0
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
    except UNREADABLE as error:
        yield number + 1, Unreadable(reason_of(error))
    except _GivenUp:
        yield number, Unreadable(_TOO_MUCH.format(MOST_PASSED_BYTES >> 20))


_TOO_MUCH = "more than {} MB hold no call; the rest is not read"
_TOO_LONG = f"longer than {MOST_BYTES >> 20} MB"


class _GivenUp(Exception):
    """There is too much in a file that holds no call."""


class _Passed:
    """Counts what holds no call in a file, over all its members: bytes of lines that are too long, and lines that are
    blank, each as 64 bytes."""

    def __init__(self) -> None:
        self._bytes = 0

    @property
    def too_much(self) -> bool:
        return self._bytes > MOST_PASSED_BYTES

    def over(self, line: bytes) -> None:
        self.over_bytes(max(len(line), 64))

    def over_bytes(self, count: int) -> None:
        self._bytes += count
        if self.too_much:
            raise _GivenUp


def _whole(numbered: Iterator[tuple[int, bytes | Unreadable]]) -> Iterator[tuple[int, bytes | Unreadable]]:
    """The lines; or all of them as one, if the first opens an object and the file is one document; or the documents
    over many lines, one after the other, as jq writes them."""
    first = next(numbered, None)
    if first is None:
        return
    number, line = first
    if not isinstance(line, Unreadable) and line.rstrip() == b"{":
        head, after = _held(first, numbered, until_closed=True)
        if isinstance(_parsed(head.joined), dict):
            yield number, bytes(head.joined)
            yield from _over_lines(after, numbered)
            return
        numbered = chain(head.lines(), () if after is None else (after,), numbered)
        first = next(numbered)
    if isinstance(line, Unreadable) or not line.rstrip().endswith((b"{", b"[", b",")):
        yield first
        yield from numbered
        return
    held, beyond = _held(first, numbered)
    if beyond is None or isinstance(beyond[1], Unreadable):
        is_one = not isinstance(_parsed(held.joined), Unreadable)
        if is_one or (line.strip() == b"{" and not _are_documents(held)):
            yield number, bytes(held.joined)
            return
    elif line.strip() == b"{":  # no line of such a file is a document of its own
        yield number, Unreadable(f"one document over many lines, {_TOO_LONG}")
        return
    yield from held.lines()
    if beyond is not None:
        yield beyond
    yield from numbered


def _are_documents(held: _Held) -> bool:
    """Whether lines after the first are documents of their own: that one was then cut off."""
    return any(text.startswith(b"{") and isinstance(_parsed(text), dict) for _, text in islice(held.lines(), 1, 20))


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

    @property
    def is_closed(self) -> bool:
        """Whether its last line closes an object that begins at a line's first character."""
        last = self.joined[self._ends[-2] if len(self._ends) > 1 else 0 :]
        return last.startswith(b"}") and not last.strip(b"}" + _BETWEEN)

    def lines(self) -> Iterator[tuple[int, bytes]]:
        start = 0
        for number, end in zip(self._numbers, self._ends, strict=True):
            yield number, bytes(self.joined[start:end])
            start = end


def _held(
    first: tuple[int, bytes | Unreadable],
    numbered: Iterator[tuple[int, bytes | Unreadable]],
    *,
    until_closed: bool = False,
) -> tuple[_Held, tuple[int, bytes | Unreadable] | None]:
    """The lines up to MOST_BYTES together, or up to the end of the first document over many lines, and the one that
    comes next: None at the file's end."""
    held = _Held()
    for number, line in chain((first,), numbered):
        if isinstance(line, Unreadable) or len(held.joined) + len(line) > MOST_BYTES:
            return held, (number, line)
        held.add(number, line)
        if until_closed and held.is_closed:
            return held, next(numbered, None)
    return held, None


def _over_lines(
    first: tuple[int, bytes | Unreadable] | None, numbered: Iterator[tuple[int, bytes | Unreadable]]
) -> Iterator[tuple[int, bytes | Unreadable]]:
    """Documents over many lines, one after the other; a line outside of them by itself."""
    while first is not None:
        number, line = first
        if _opens(line):
            held, first = _held(first, numbered, until_closed=True)
            yield number, bytes(held.joined) if held.is_closed or first is None else Unreadable(_TOO_LONG)
        else:
            yield number, line
            first = next(numbered, None)


def _opens(line: bytes | Unreadable) -> bool:
    return not isinstance(line, Unreadable) and line.rstrip() == b"{"


def _parsed(line: bytes | bytearray | Unreadable) -> Any:
    if isinstance(line, Unreadable):
        return line
    try:
        document = loads(line)
    except ValueError:
        bare = line.strip(_BETWEEN)
        return Unreadable(_why(line)) if len(bare) >= len(line.strip()) else _parsed(bare)
    if line.count(b"{") + line.count(b"[") > checks.MOST_LEVELS and checks.too_deep(document):
        return Unreadable(f"nested more than {checks.MOST_LEVELS} levels deep")
    return document


def _why(line: bytes | bytearray) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "not valid UTF-8"
    return "not JSON, or cut off" if line.lstrip()[:1] == b"{" else "not JSON"
