"""The bytes of an answer that was compressed, for its record. What the client gets stays as it came."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import brotli

from ..errors import BadCall


def decoded(body: bytes, coding: str, most: int) -> bytes:
    """The decompressed body of an answer, also of one that was cut off. coding: its Content-Encoding.

    Raises BadCall: the coding is not known, the bytes are not in it, or would be more than `most`.
    """
    for each in reversed([name.strip().lower() for name in coding.split(",")]):
        body = _decoded(body, each, most)
    return body


def _decoded(body: bytes, coding: str, most: int) -> bytes:
    if coding in ("", "identity"):
        return body
    try:
        if coding in ("gzip", "x-gzip", "deflate"):
            return _bounded(_zlib(body, coding, most), most)
        if coding == "br":
            return _brotli(body, most)
        if coding == "zstd":
            return _zstd(body, most)
    except (zlib.error, brotli.error):
        raise BadCall("an answer is not compressed as it says.") from None
    raise BadCall(f"an answer is compressed in a way that is not known ({coding[:20]}).")


def _zlib(body: bytes, coding: str, most: int) -> bytes:
    windows = (zlib.MAX_WBITS | 16,) if coding != "deflate" else (zlib.MAX_WBITS, -zlib.MAX_WBITS)
    for window in windows[:-1]:
        try:
            return zlib.decompressobj(window).decompress(body, most + 1)
        except zlib.error:  # some servers send deflate without its header
            continue
    return zlib.decompressobj(windows[-1]).decompress(body, most + 1)


def _brotli(body: bytes, most: int) -> bytes:
    return _in_steps(brotli.Decompressor().process, body, most)


def _zstd(body: bytes, most: int) -> bytes:
    try:
        import zstandard  # few have it, and few servers send it
    except ImportError:
        raise BadCall("an answer is compressed with zstd; pip install zstandard") from None
    try:
        return _in_steps(zstandard.ZstdDecompressor().decompressobj().decompress, body, most)
    except zstandard.ZstdError:
        raise BadCall("an answer is not compressed as it says.") from None


def _in_steps(decompress: Callable[[Any], bytes], body: bytes, most: int) -> bytes:
    """Decompressed a few KB at a time, so that what unfolds to gigabytes is noticed before it has."""
    pieces: list[bytes] = []
    size = 0
    for at in range(0, len(body), 4096):
        pieces.append(decompress(body[at : at + 4096]))
        size += len(pieces[-1])
        if size > most:
            break
    return _bounded(b"".join(pieces), most)


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise BadCall("an answer is too large to be recorded.")
    return body
