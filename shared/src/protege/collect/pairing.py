"""Requests and answers that stand in different lines or files come together by their key."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import BadCall
from .formats.base import Half, Record

MOST_HELD_BYTES = 1 << 30
"""Halves that wait come to at most so many bytes of their files."""
_ANOTHERS = "its key ({}) is another's too; import each batch by itself"


class _Waiting(NamedTuple):
    record: Record
    file: str
    line: int
    size: int


class Pairing:
    """The halves that wait for their other half, over all files of an import."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._bytes = 0
        self._ambiguous: set[str] = set()
        self._refused: list[tuple[str, int, str]] = []

    def add(self, half: Half, file: str, line: int, size: int) -> Record | None:
        """The whole record, if the other half has come; else None, and the half waits.

        size: the bytes that it takes. Raises BadCall if too many wait, or the same half waits already: no half with
        this key is taken from then on, since none can be told from that of another batch.
        """
        if half.key in self._ambiguous:
            raise BadCall(f"{_ANOTHERS.format(half.key[:80])}.")
        other = self._waiting.get(half.key)
        if other is None:
            if self._bytes + size > MOST_HELD_BYTES:
                raise BadCall("too many requests without their answers come before it; import each batch by itself.")
            self._bytes += size
            self._waiting[half.key] = _Waiting(half.record, file, line, size)
            return None
        del self._waiting[half.key]
        self._bytes -= other.size
        if ("messages" in other.record) is ("messages" in half.record):
            self._ambiguous.add(half.key)
            reason = _ANOTHERS.format(half.key[:80])
            self._refused.append((other.file, other.line, reason))
            raise BadCall(f"{reason}.")
        asked, answer = (other.record, half.record) if "messages" in other.record else (half.record, other.record)
        return {**asked, **answer}

    def left(self) -> list[tuple[str, int, str]]:
        """File, line and reason of each half that was left alone."""
        return self._refused + [(each.file, each.line, _alone(each.record)) for each in self._waiting.values()]


def _alone(record: Record) -> str:
    if "messages" in record:
        return "a request whose answer is in none of these files; give the output file too"
    return "an answer whose request is in none of these files; give the input file too"
