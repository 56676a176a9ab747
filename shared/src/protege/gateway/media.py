"""Images, audio and files within a request: stored once by their digest, and named in the record instead.

They come as base64 in a JSON text. The request is searched before it is parsed, so that what may be megabytes is never
copied into Python's texts, and written after the answer has left.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from pathlib import Path
from typing import NamedTuple

from ..common.files import write_private
from ..common.media import SCHEME, media_path
from ..common.trust import make_home

LEAST = 4096
"""Shorter ones stay where they are."""
_BASE64 = re.compile(
    rb'(?:;base64,|"data"\s{0,9}:\s{0,9}"|"images"\s{0,9}:\s{0,9}\[\s{0,9}")([A-Za-z0-9+/_-]{%d,}={0,2})(?=")' % LEAST
)
"""After what stands before it in the APIs that are known."""


class Media(NamedTuple):
    """A part of a request."""

    name: str
    """The digest of its base64."""
    written: memoryview
    """Its base64, within the request."""


def set_apart(body: bytes) -> tuple[bytes, tuple[Media, ...]]:
    """The request with a name in place of each long base64 text, and those texts."""
    found: list[Media] = []
    pieces: list[bytes] = []
    done, view = 0, memoryview(body)
    for match in _BASE64.finditer(body):
        text = view[match.start(1) : match.end(1)]
        found.append(Media(hashlib.blake2b(text, digest_size=20).hexdigest(), text))
        pieces += (body[done : match.start(1)], f"{SCHEME}{found[-1].name}".encode())
        done = match.end(1)
    return (b"".join((*pieces, body[done:])), tuple(found)) if found else (body, ())


def store(home: Path, media: Media) -> Path:
    """Write the bytes of a part into the home, unless they are there. Raises OSError; ValueError if it is no base64."""
    path = media_path(home, media.name)
    if path.exists():
        return path
    text = bytes(media.written).translate(_STANDARD)
    content = binascii.a2b_base64(text + b"=" * (-len(text) % 4))
    make_home(home)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(path, content)
    return path


_STANDARD = bytes.maketrans(b"-_", b"+/")
