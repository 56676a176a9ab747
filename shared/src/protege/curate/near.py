"""Near-duplicates: texts that share most of their content, not counting what all texts share. Found in linear time.

The similarity of two texts is that of their sets of 4-character pieces (Jaccard). Pieces consist of characters rather
than words, because a slot is often five words long, so that one word is a fifth of it, and because not every script has
spaces between words. A piece that more than 30% of the texts contain is wording that stayed in the slots, and does not
count: otherwise all prompts of one wording would be near-duplicates of each other.

The similarity is estimated from 125 minima per text (MinHash; Broder 1997; standard deviation .041 at .7), and only for
texts that share one of 25 bands of 5 minima (Leskovec et al., Mining of Massive Datasets, 3.4). This finds a pair of
similarity .7 with probability .990, and of .8 with .99995. In a bucket each text is compared with the first and with
the one before it, never all with all, so a million equal texts cost no more than a million different ones.

It is written with NumPy, which hashes texts in batches, without an object per piece. On two cores and texts of 283
characters it hashes 66,000 texts/s on one of them; rensa 0.5.0 (Rust, MIT) hashes 11,500 and datasketch 2.0.0 (MIT)
3,100, both given pieces that Python cut, which alone takes twice as long as all of this. It adds no dependency.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ALIKE = 0.7
"""From this similarity on, one of two texts reveals the other: with five to ten words, one word more or less."""

CLOSE = 0.9
"""From this similarity on, texts differ only in a detail: a letter or two in a sentence, a word in a paragraph."""

COMPARED_CHARS = 40_000
"""Only the two ends of a longer text are compared."""

_PIECE = 4
_BANDS, _ROWS = 25, 5
_HASHES = _BANDS * _ROWS
_BATCH_CHARS = 300_000  # the arrays of a batch stay in the processor's cache
_PAIRS = 50_000  # compared at once: 50 MB
_SAMPLE, _SAMPLE_CHARS = 2_000, 1_600_000  # at least 40 texts of the largest size
_WORDING = 0.3
_FEWEST_TEXTS = 20  # fewer say nothing about what is wording
_FEWEST_PIECES = 8  # about one word


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of similar texts: not all pairs, but enough to link all groups."""

    left: np.ndarray
    """The position of one text of each pair."""
    right: np.ndarray
    """The position of the other."""
    similarity: np.ndarray
    """Their similarity, 0 to 1."""

    def above(self, least: float) -> tuple[np.ndarray, np.ndarray]:
        """`left` and `right` of the pairs with at least this similarity."""
        chosen = self.similarity >= least
        return self.left[chosen], self.right[chosen]


def near_pairs(texts: Sequence[str]) -> Pairs:
    """Pairs of texts whose similarity is `ALIKE` or more; equal texts are linked to the first of them."""
    first: dict[str, int] = {}
    leaders = np.fromiter((first.setdefault(text, i) for i, text in enumerate(texts)), np.int64, len(texts))
    distinct = np.fromiter(first.values(), np.int64, len(first))
    repeats = np.flatnonzero(leaders != np.arange(len(texts)))
    left, right, similarity = _alike(_signatures(list(first)))
    return Pairs(
        left=np.concatenate([leaders[repeats], distinct[left]]),
        right=np.concatenate([repeats, distinct[right]]),
        similarity=np.concatenate([np.ones(len(repeats), np.float32), similarity]),
    )


def components(count: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A label for each of `count` things; things that are linked, directly or through others, have the same label."""
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(count, count))
    return connected_components(graph, directed=False)[1]


def ends(text: str) -> str:
    """The part of a text that is compared."""
    if len(text) <= COMPARED_CHARS:
        return text
    return text[: COMPARED_CHARS // 2] + text[-COMPARED_CHARS // 2 :]


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """The minima of each text: an array (texts, hashes) of uint32."""
    # Multiplying and adding modulo 2³² is enough, because the pieces' own hashes are mixed well. The factors come from
    # a hash and not from a generator, whose stream may change: the same calls must give the same data set for years.
    drawn = np.frombuffer(hashlib.shake_256(b"protege near-duplicates").digest(8 * _HASHES), "<u4")
    factors, summands = drawn[:_HASHES] | np.uint32(1), drawn[_HASHES:]
    wording = _wording(texts)
    minima = np.empty((len(texts), _HASHES), np.uint32)
    for start, stop in _batches(texts):
        pieces, lengths = _pieces(texts[start:stop])
        if wording is not None:
            pieces, lengths = _without(wording, pieces, lengths)
        starts = np.cumsum(lengths) - lengths
        hashed = np.empty_like(pieces)
        for column in range(_HASHES):
            np.multiply(pieces, factors[column], out=hashed)
            np.add(hashed, summands[column], out=hashed)
            minima[start:stop, column] = np.minimum.reduceat(hashed, starts)
    return minima


def _batches(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    start = chars = 0
    for stop, text in enumerate(texts):
        if chars >= _BATCH_CHARS:
            yield start, stop
            start, chars = stop, 0
        chars += min(len(text), COMPARED_CHARS)
    if start < len(texts):
        yield start, len(texts)


def _pieces(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes (uint32) of all texts' pieces, one text after the other, and the number of pieces of each text.

    Texts are padded with blanks, so that the shortest has pieces too, and first and last letters weigh as much as
    others.
    """
    blanks = " " * (_PIECE - 1)
    cut = [ends(text) for text in texts]
    whole = blanks + "".join(f"{text}{blanks}" for text in cut)
    codes = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), "<u4")
    lengths = np.fromiter(map(len, cut), np.int64, len(cut)) + len(blanks)
    hashes = np.zeros(len(codes) - _PIECE + 1, np.uint32)
    for offset in range(_PIECE):
        hashes = hashes * np.uint32(0x9E3779B1) + codes[offset : offset + len(hashes)]
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # MurmurHash3's finaliser
        hashes ^= hashes >> np.uint32(shift)
        hashes *= np.uint32(factor)
    return hashes, lengths


def _wording(texts: Sequence[str]) -> np.ndarray | None:
    """Which pieces are wording: a table by the upper 24 bits of their hash; None if there are too few texts to tell."""
    chars = sum(min(len(text), COMPARED_CHARS) for text in texts)
    one_in = max(1, len(texts) // _SAMPLE, chars // _SAMPLE_CHARS)
    # Sampled by a hash and not every n-th, because an agent's loop has a period too.
    sample = [text for text in texts if one_in == 1 or zlib.crc32(ends(text).encode("utf-8", "replace")) % one_in == 0]
    if len(sample) < _FEWEST_TEXTS:
        return None
    held: list[np.ndarray] = []
    for start, stop in _batches(sample):
        pieces, lengths = _pieces(sample[start:stop])
        owner = np.repeat(np.arange(stop - start, dtype=np.uint64), lengths)
        held.append((np.unique((owner << np.uint64(32)) | pieces) & np.uint64(0xFFFFFFFF)).astype(np.uint32))
    known, counts = np.unique(np.concatenate(held), return_counts=True)
    table = np.zeros(1 << 24, np.bool_)
    table[known[counts > _WORDING * len(sample)] >> np.uint32(8)] = True
    return table


def _without(wording: np.ndarray, pieces: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pieces without the wording, and their number per text; a text with little left becomes one piece of its own.

    Comparing such a text whole would make all texts of one wording near-duplicates of each other, and what is left of
    "yes" is too little to compare. So it is similar only to itself.
    """
    starts = np.cumsum(lengths) - lengths
    counted = ~wording[pieces >> np.uint32(8)]
    little = np.add.reduceat(counted, starts, dtype=np.int64) < _FEWEST_PIECES
    counted &= ~np.repeat(little, lengths)
    counted[starts[little]] = True
    pieces = pieces.copy()
    pieces[starts[little]] = np.add.reduceat(pieces * (pieces | np.uint32(1)), starts)[little]
    return pieces[counted], np.add.reduceat(counted, starts, dtype=np.int64)


def _alike(signatures: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`left`, `right` and `similarity` of the pairs in the buckets of all bands."""
    by_band = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    close = np.arange(len(signatures))
    for band in range(_BANDS if len(signatures) > 1 else 0):
        left, right = _bucketed(signatures[:, band * _ROWS : (band + 1) * _ROWS])
        new = close[left] != close[right]  # texts that are known to be close need no comparison in every band
        left, right = left[new], right[new]
        similarity = _similarity(signatures, left, right)
        alike = similarity >= ALIKE
        by_band.append((left[alike], right[alike], similarity[alike]))
        if band % _ROWS == 0:
            pairs = Pairs(*(np.concatenate(column) for column in zip(*by_band, strict=True)))
            close = components(len(signatures), *pairs.above(CLOSE))
    left, right, similarity = (np.concatenate(column) for column in zip(*by_band, strict=True))
    return left, right, similarity


def _bucketed(band: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In each bucket of a band, the pairs of every text but the first with the first, and with the one before it."""
    keys = np.zeros(len(band), np.uint64)
    for column in range(band.shape[1]):
        keys = (keys ^ band[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        keys ^= keys >> np.uint64(29)
    order = np.argsort(keys, kind="stable")
    same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1
    head = np.arange(len(order))
    head[same] = 0
    head = np.maximum.accumulate(head)
    later = same[head[same] != same - 1]
    return (
        np.concatenate([order[head[same]], order[later - 1]]),
        np.concatenate([order[same], order[later]]),
    )


def _similarity(signatures: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The share of minima that the two texts of each pair have in common."""
    shares = np.empty(len(left), np.float32)
    for start in range(0, len(left), _PAIRS):
        part = slice(start, start + _PAIRS)
        shares[part] = (signatures[left[part]] == signatures[right[part]]).mean(axis=1, dtype=np.float32)
    return shares
