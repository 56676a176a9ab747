"""How much of a text never occurred in a training prompt.

A specialist may be sure and wrong about what it has never seen.

The words of the training prompts are held in a Bloom filter (Bloom, CACM 13(7), 1970): a word that was there is always
found, and a few in a hundred of the others are taken for known. It holds no text, and fits into a route's record.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..call import Message, text_of
from ..chat.prompt import messages_for
from ..errors import CannotRender
from ..specialist import PromptForm
from ..task import Example, Task

BITS_A_WORD = 10
MOST_BITS = 1 << 19
"""64 KiB. With 52,000 words, more than any task has had, one new word in 30 is taken for known."""

_WORD = re.compile(r"[^\W_\u2e80-\u9fff]+|[\u2e80-\u9fff]")


@dataclass(frozen=True, slots=True)
class Novelty:
    """The words of a specialist's training prompts."""

    bits: bytes
    """A Bloom filter; its length is a power of two. Empty bytes hold no word."""

    def share(self, text: str) -> float:
        """The share of the text's words that no training prompt had, 0 to 1; 0 if it has no words."""
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
        """The novelty as a JSON object."""
        return {"bits": base64.b64encode(self.bits).decode()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Novelty:
        """Read what `to_record` wrote."""
        return cls(base64.b64decode(record["bits"]))


_ODD = 0x9E3779B1  # Knuth's multiplicative hash: a second position from one checksum


def words_of(text: str) -> list[str]:
    """The words of a text, case folded. Each ideograph or kana is a word of its own."""
    return _WORD.findall(text.casefold())


def novelty_from(task: Task, form: PromptForm, examples: Iterable[Example]) -> Novelty:
    """What is known after training on these examples, shown as `form` says.

    Examples that a specialist cannot be shown are skipped, as in tuning.
    """
    known: set[str] = set()
    for example in examples:
        try:
            known.update(words_of(shown_text(messages_for(task, example.request, form))))
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
