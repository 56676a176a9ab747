"""A prompt as numbers: how often which words and which pieces of words stand in it.

Every n-gram is a 32-bit hash, so no text of a call is kept. Words and pieces are counted apart, and the last message
apart from what comes before it: the same word means something else there.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..specialist import Base

VERSION = 1
"""Of the features. What was learnt from those of another version is worth nothing."""
MOST_CHARACTERS = 1 << 16
"""A longer prompt is not read; one as long as this takes some 20 ms."""
TURN, ROLE = "\x1e", "\x1f"
"""What begins a message in a prompt, and what parts its role from its text: ASCII's record and unit separators."""
LONGEST_PIECE = 5
"""Pieces are 2 to this many characters long, across the borders of words."""

Hashes: TypeAlias = NDArray[np.uint32]
Floats: TypeAlias = NDArray[np.float32]

NGRAMS = Base(
    name="n-grams",
    path="",
    sha256=hashlib.sha256(b"n-grams %d" % VERSION).hexdigest(),
    format="features",
    architecture="linear",
    licence="none needed",
    context=0,
    chat_template="".join(
        ("{% for message in messages %}", TURN, "{{ message.role }}", ROLE, "{{ message.content }}{% endfor %}")
    ),
    control_tokens=(TURN, ROLE),
)
"""What a head is made from: no model, but these features. Its template parts the messages of a prompt."""

_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
_PRIME = np.uint32(0x01000193)


@dataclass(frozen=True, slots=True)
class Group:
    """The features of one sort that a prompt has."""

    hashes: Hashes
    """Distinct, ascending."""
    counts: Floats
    """1 + ln(how often), for each of `hashes`."""


@dataclass(frozen=True, slots=True)
class Features:
    """What is counted in one prompt."""

    groups: tuple[Group, ...]
    """Words of the last message, its pieces, words of what comes before, its pieces. A head weighs each group by
    itself, so that a long text has no more weight than a short one."""
    words: int
    """How many words and signs the prompt has."""


GROUPS = 4


def features_of(prompt: str) -> Features:
    """The features of a prompt that was rendered by the template of `NGRAMS`."""
    turns = [turn.partition(ROLE)[2] for turn in prompt.split(TURN)[1:]] or [prompt]
    last, before = _words_in(turns[-1]), _words_in("\n".join(turns[:-1]))
    sorts = (_words(last), _pieces(last), _words(before), _pieces(before))
    groups = tuple(_group(hashes, number) for number, hashes in enumerate(sorts))
    return Features(groups, len(last) + len(before))


def hashed(mark: str) -> int:
    """A feature that is named in words as a number, so that no text of a call is kept."""
    return zlib.crc32(mark.encode("utf-8", "surrogatepass"))


def _words_in(text: str) -> list[str]:
    """Words and single signs, case folded."""
    return _WORD.findall(text.casefold())


def _words(words: list[str]) -> Hashes:
    """Words, and pairs of neighbours."""
    ones = np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], np.uint32)
    return np.concatenate([ones, ones[:-1] * _PRIME ^ ones[1:]])


def _pieces(words: list[str]) -> Hashes:
    """Pieces of the text that has one space between words."""
    if not words:
        return np.empty(0, np.uint32)
    spaced = f" {' '.join(words)} ".encode("utf-32-le", "surrogatepass")
    rolling = characters = np.frombuffer(spaced, np.dtype("<u4")).astype(np.uint32)
    found: list[Hashes] = []
    for length in range(2, min(LONGEST_PIECE, len(characters)) + 1):
        rolling = rolling[:-1] * _PRIME + characters[length - 1 :]
        found.append(rolling + np.uint32(length))
    return np.concatenate(found)


def _group(hashes: Hashes, number: int) -> Group:
    mixed = _mixed(hashes + np.uint32(number * 0x85EBCA6B & 0xFFFFFFFF))
    distinct, counts = np.unique(mixed, return_counts=True)
    return Group(distinct, (1 + np.log(counts)).astype(np.float32))


def _mixed(hashes: Hashes) -> Hashes:
    """The bits stirred (the finaliser of MurmurHash3 by Austin Appleby), so that sums of characters do not meet."""
    mixed = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return mixed ^ (mixed >> np.uint32(16))
