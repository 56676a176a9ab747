"""The items of files that are JSON lists, one by one, however large the list is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
"""A whole text, the beginning of one that goes on beyond what was read, or a sign of structure."""
_PIECE = 1 << 20


class Endless(Exception):
    """An item goes on and on."""


def items(file: IO[bytes], most: int) -> Iterator[bytes | None]:
    """Each item of the lists in a file as JSON text; None in place of one of more than `most` bytes, and of what is
    left at the end if a list is not closed. Raises Endless where an item has more than twice as many."""
    held, at, start, depth, too_long, passed = bytearray(), 0, 0, 0, False, 0
    while True:
        token = _TOKEN.search(held, at)
        if token is None or token[0] == b'"':  # what follows is not read yet
            at = len(held) if token is None else token.start()
            too_long = depth > 0 and (too_long or len(held) - start > most)
            gone = at if too_long or depth == 0 else start
            del held[:gone]
            at, start = at - gone, max(0, start - gone)
            passed = passed + gone if too_long else 0
            if too_long and token is not None:
                passed += _cut(held)
            if passed > 2 * most:
                raise Endless
            if not (piece := file.read(_PIECE)):
                break
            held += piece
            continue
        sign, at = token[0], token.end()
        if sign in (b"[", b"{"):
            depth += 1
            start = at if depth == 1 else start
        elif sign in (b"]", b"}") or (sign == b"," and depth == 1):
            if depth == 1:
                item = bytes(held[start : token.start()]).strip()
                if too_long or item:
                    yield None if too_long or len(item) > most else item
                too_long, start, passed = False, at, 0
            depth = max(0, depth - (sign != b","))
    if depth > 0:
        yield None


def _cut(held: bytearray) -> int:
    """Take the inside of a text without an end away: its quotation mark stays, and what may quote the next byte. How
    many bytes that were."""
    before = len(held)
    quoting = len(held) - len(held.rstrip(b"\\"))
    if quoting < len(held) - 1:
        del held[1 : len(held) - quoting]
    return before - len(held)
