"""The bytes of an answer that was compressed, for its record. What the client gets stays as it came."""

from __future__ import annotations

import zlib

import brotli

from ..errors import BadCall

STEP = 1 << 20
"""Bytes that are decompressed at a time, so that what unfolds to gigabytes is noticed before it has."""


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
    decompressor, pieces, size = brotli.Decompressor(), [], 0
    piece = decompressor.process(body, output_buffer_limit=STEP)
    while piece or not decompressor.can_accept_more_data():
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
        piece = decompressor.process(b"", output_buffer_limit=STEP)
    return _bounded(b"".join(pieces), most)


def _zstd(body: bytes, most: int) -> bytes:
    try:
        import zstandard  # few have it, and few servers send it
    except ImportError:
        raise BadCall("an answer is compressed with zstd; pip install zstandard") from None
    try:
        return _bounded(zstandard.ZstdDecompressor().stream_reader(body).read(most + 1), most)
    except zstandard.ZstdError:
        raise BadCall("an answer is not compressed as it says.") from None


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise BadCall("an answer is too large to be recorded.")
    return body
