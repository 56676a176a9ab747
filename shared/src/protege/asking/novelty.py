"""How much of a text stands in no training prompt: what a specialist has never seen, it may be wrong about and sure.

A Bloom filter (Bloom, CACM 13(7), 1970) over the words of the training prompts: a word that was there is always found;
one that was not is taken for known in a few cases in a hundred. It holds no text, and fits a route's record.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..call import Message, request_from, text_of
from ..chat.prompt import messages_for
from ..errors import CannotRender
from ..specialist import PromptForm
from ..task import Task

BITS_A_WORD = 10
MOST_BITS = 1 << 19
"""64 KiB. With 52,000 words, more than any task here has, one new word in 30 is taken for known."""

_WORD = re.compile(r"[^\W_\u2e80-\u9fff]+|[\u2e80-\u9fff]")


@dataclass(frozen=True, slots=True)
class Novelty:
    """The words of a specialist's training prompts. bits: a Bloom filter, a power of two of bytes; empty knows none."""

    bits: bytes

    def share(self, text: str) -> float:
        """The share of the text's words that stand in no training prompt, 0 to 1; 0 where it has no words."""
        bits, mask = self.bits, len(self.bits) * 8 - 1
        words = words_of(text)
        if not words:
            return 0.0
        if not bits:
            return 1.0
        unknown = 0
        for word in words:
            code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
            first, second = code & mask, (code * _ODD >> 13) & mask
            if not (bits[first >> 3] >> (first & 7) & bits[second >> 3] >> (second & 7) & 1):
                unknown += 1
        return unknown / len(words)

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"bits": base64.b64encode(self.bits).decode()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Novelty:
        return cls(base64.b64decode(record["bits"]))


_ODD = 0x9E3779B1  # Knuth's multiplicative hash: a second place out of one checksum


def words_of(text: str) -> list[str]:
    """The text's words, case folded; an ideograph or a kana is a word of its own."""
    return _WORD.findall(text.casefold())


def novelty_from(task: Task, form: PromptForm, rows: Iterable[Mapping[str, Any]]) -> Novelty:
    """What is known after training on these rows (column `request`, a record as JSON), shown as `form` says.

    Rows that a specialist cannot be shown are passed over, as tuning does.
    """
    known: set[str] = set()
    for row in rows:
        try:
            known.update(words_of(shown_text(messages_for(task, request_from(orjson.loads(row["request"])), form))))
        except CannotRender:
            continue
    return _filter(known)


def shown_text(messages: Sequence[Message]) -> str:
    """All that a specialist is shown, as one text."""
    return "\n".join(map(text_of, messages))


def _filter(words: set[str]) -> Novelty:
    size = min(MOST_BITS, 1 << max(6, (BITS_A_WORD * len(words) - 1).bit_length()))
    bits, mask = bytearray(size // 8), size - 1
    for word in words:
        code = zlib.crc32(word.encode("utf-8", "surrogatepass"))
        for place in (code & mask, (code * _ODD >> 13) & mask):
            bits[place >> 3] |= 1 << (place & 7)
    return Novelty(bytes(bits))
