"""Files as bytes of UTF-8, however they are packed: plain, gzip, zstd, or the members of a zip; UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from ..errors import BadInput

UNREADABLE = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, UnicodeDecodeError, OSError, BadInput)
"""What reading raises where a packed file is cut off, damaged or locked, where text is not what its first bytes
say, and where the disk fails. `reason_of` tells them apart."""
MOST_MEMBERS = 100_000
_NAMES = (".json", ".jsonl", ".ndjson", ".jsonlines", ".gz", ".zst", ".zip", ".txt", ".log", ".traj")
"""The files of a folder that are read, by the end of their names."""
_OTHERS = (
    (
        b"PAR1",
        "is a Parquet table",
        "Write it as JSON lines: pandas.read_parquet(…).to_json(…, orient='records', lines=True)",
    ),
    (b"SQLite format 3\x00", "is an SQLite database", "Export its calls as JSON lines."),
    (b"<|im_start|>", "is ChatML", 'Write a JSON line for each conversation: {"text": "<|im_start|>…"}'),
    (b"%PDF", "is a PDF", "Export the calls as JSON lines."),
    (b"7z\xbc\xaf", "is packed with 7-Zip", "Unpack it, or pack it with zip, gzip or zstd."),
    (b"BZh", "is packed with bzip2", "Unpack it: bunzip2"),
    (b"\xfd7zXZ", "is packed with xz", "Unpack it: unxz"),
    (b"\x80\x04", "is a Python pickle, which is not read because it may run code", "Export the calls as JSON lines."),
    (b"Obj\x01", "is an Avro file", "Export the calls as JSON lines."),
    (b"ORC", "is an ORC table", "Export the calls as JSON lines."),
    (b"\x0a", "seems to be OTLP in protobuf", "Export it as OTLP JSON: OTEL_EXPORTER_OTLP_PROTOCOL=http/json"),
)
"""By their first bytes: files that are not read, what they are, and what to do."""


Stream: TypeAlias = Callable[[], AbstractContextManager[IO[bytes]]]
"""Opens a stream. It and what it opens raise UNREADABLE."""


def reason_of(error: Exception) -> str:
    """Why no more can be read, and what to do, for one of UNREADABLE."""
    if isinstance(error, BadInput):
        return f"{error.fact.rstrip('.')}. {error.remedy}".rstrip(".")
    if isinstance(error, OSError) and error.errno is not None:
        return f"it cannot be read here: {error.strerror}. Check the disk"
    if isinstance(error, UnicodeDecodeError):
        return "it is cut off here, or is not the UTF-16 that it begins as; copy it again"
    return "the compressed file is cut off or damaged here; copy it again"


def files_in(path: Path) -> list[Path]:
    """The file, or those of a folder that may hold calls, by their names. Raises BadInput if there is none."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _NAMES and file.is_file())
    files = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
    if not files:
        raise BadInput(f"{path} is a folder without files of calls.", f"Their names end in {', '.join(_NAMES[:3])}, …")
    return files


def refuse_others(path: Path, head: bytes) -> None:
    """Raise BadInput if a file's first bytes are those of a form that is not read."""
    for magic, what, remedy in _OTHERS:
        if head.startswith(magic) and (len(magic) > 1 or head[1:2] not in (b"\n", b"\r", b"\t", b" ", b"{", b"[", b"")):
            raise BadInput(f"{path} {what}.", remedy)
    first = head.partition(b"\n")[0]
    if path.suffix.lower() in (".csv", ".tsv") and first.strip()[:1] not in (b"{", b"["):
        raise BadInput(f"{path} is a table of text.", "Export it as JSON or JSON lines: tables cut messages into text.")


@contextmanager
def opened(path: Path) -> Iterator[tuple[Iterator[tuple[str, Stream]], IO[bytes]]]:
    """The streams of a file, each with its name in a zip (else empty), and the file on the disk. Its first bytes, not
    its name, tell how it is packed. Raises BadInput for zstd without its library."""

    def alone(stream: Any) -> Iterator[tuple[str, Stream]]:
        return iter([("", lambda: nullcontext(_as_utf8(stream)))])

    with path.open("rb") as raw:
        head = raw.peek(4)[:4]
        if head == b"PK\x03\x04":
            with zipfile.ZipFile(raw) as packed:
                yield _members(packed), raw
        elif head[:2] == b"\x1f\x8b":
            with gzip.open(raw) as file:
                yield alone(file), raw
        elif head == b"\x28\xb5\x2f\xfd":
            with _zstd(path, raw) as file:
                yield alone(io.BufferedReader(file)), raw
        else:
            yield alone(raw), raw


def _members(packed: zipfile.ZipFile) -> Iterator[tuple[str, Stream]]:
    for member in packed.infolist()[:MOST_MEMBERS]:
        if not member.is_dir() and not member.filename.startswith("__MACOSX/"):
            yield member.filename, partial(_member, packed, member)


@contextmanager
def _member(packed: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
    if member.flag_bits & 1:
        raise BadInput("it is encrypted.", "Unpack it with its password, and give what it holds.")
    try:
        file = packed.open(member)
    except NotImplementedError:  # zipfile's, for a method of compression that it does not know
        raise BadInput("it is packed in a way that is not read.", "Unpack it, or pack it with deflate.") from None
    with file:
        yield _as_utf8(io.BufferedReader(cast(Any, file)))


def _zstd(path: Path, raw: IO[bytes]) -> Any:
    try:
        import zstandard  # its wheel is optional, and few files need it
    except ImportError:
        raise BadInput(f"{path} is packed with zstd.", "pip install zstandard, or unpack it: zstd -d") from None
    stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return _Unpacked(stream, zstandard.ZstdError)


class _Unpacked(io.RawIOBase):
    """A stream whose library has an error of its own for what is damaged."""

    def __init__(self, stream: Any, damaged: type[Exception]) -> None:
        super().__init__()
        self._stream = stream
        self._damaged = damaged

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return self._stream.readinto(buffer)
        except self._damaged as error:
            raise EOFError from error


def _as_utf8(file: IO[bytes]) -> IO[bytes]:
    """The stream; one of UTF-16 is written anew."""
    head = cast(Any, file).peek(4)[:2]
    encoding = "utf-16" if head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else _UTF16_WITHOUT_BOM.get(head)
    return file if encoding is None else cast(IO[bytes], io.BufferedReader(_Recoded(file, encoding)))


_UTF16_WITHOUT_BOM = {b"{\x00": "utf-16-le", b"[\x00": "utf-16-le", b"\x00{": "utf-16-be", b"\x00[": "utf-16-be"}


class _Recoded(io.RawIOBase):
    """A stream of another encoding, read as UTF-8."""

    def __init__(self, file: IO[bytes], encoding: str) -> None:
        super().__init__()
        self._text = io.TextIOWrapper(cast(Any, file), encoding, errors="surrogatepass", newline="\n")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        written = self._text.read(len(buffer) // 4).encode("utf-8", "surrogatepass")  # four bytes a character at most
        buffer[: len(written)] = written
        return len(written)
