"""Requests and answers that stand in different lines or files come together by their key."""

from __future__ import annotations

from ..errors import BadCall
from .formats.base import Half, Record

MOST_HELD_BYTES = 1 << 30
"""Halves that wait come to at most so many bytes of their files."""


class Pairing:
    """The halves that wait for their other half, over all files of an import."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[Record, str, int]] = {}
        self._bytes = 0

    def add(self, half: Half, file: str, line: int, size: int) -> Record | None:
        """The whole record, if the other half has come; else None, and the half waits.

        size: the bytes that it takes. Raises BadCall if the same half came already, or too many wait.
        """
        other = self._waiting.get(half.key)
        if other is None:
            self._bytes += size
            if self._bytes > MOST_HELD_BYTES:
                raise BadCall("too many requests without their answers come before it; import each batch by itself.")
            self._waiting[half.key] = half.record, file, line
            return None
        if ("messages" in other[0]) is ("messages" in half.record):
            raise BadCall(f"its key ({half.key[:80]}) is another's too; import each batch by itself.")
        del self._waiting[half.key]
        asked, answer = (other[0], half.record) if "messages" in other[0] else (half.record, other[0])
        return {**asked, **answer}

    def left(self) -> list[tuple[str, int, str]]:
        """File, line and reason of each half that was left alone."""
        alone = ("an answer whose request", "input"), ("a request whose answer", "output")
        return [
            (file, line, f"{what} is in none of these files; give the {other} file too")
            for record, file, line in self._waiting.values()
            for what, other in (alone["messages" in record],)
        ]
