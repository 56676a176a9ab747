"""Which of the model's findings are believed.

The model was taught sentences. In JSON, logs and code it mistakes words and numbers for names and addresses, so its
findings must meet more conditions there.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .span import Span


class Read(NamedTuple):
    """A finding of the model."""

    start: int
    end: int
    type: str
    sure: float
    """The highest probability, over the span's tokens, of being personal data at all."""


SURE = 0.8
"""The least certainty for lower-case words in a text with capitals: below it, 10 of 27 labelled words are names."""
_NEAR = 40
"""Within this many characters an address names its street or town, or an id says what it is."""

_LITERAL = re.compile(r"(?i)(?:true|false|null|none|nan|yes|no|ok|undefined)\Z")
_IS_KEY = re.compile(r"[\"']\s*:")
_NOT_A_NAME = re.compile(r"[_=<>{}\[\]\\/@#$|]")
_DATE = re.compile(r"\d\d?([-/.])\d\d?\1(?:19|20)\d\d\Z|(?:19|20)\d\d([-/.])\d\d?\2\d\d?\Z")
_IDENTIFIER = re.compile(r"[a-z][A-Z]\w*[a-z][A-Z]")  # SearchOneWay, and not McDonald
_IDENTITY = re.compile(
    r"(?i)licen[cs]e|passport|driv|social|ssn|\btax|\btin\b|national|identity|insurance|permit|\bvisa\b|citizen"
    r"|personal|resident|patient|medical|\bid (?:card|number|no)|\bcard|credit|\bcc\b|account|bank|routing|iban"
)
_STREET_NAME = re.compile(r"[^\W\d_a-z][^\W\d_]{2,}")
_DECIMAL = re.compile(r"[.=]|.?\d+\.\d")
_TELEPHONE = re.compile(r"(?i)\btel|phone|\bfax|\bcall|mobile|\bcell|\bdesk|office|\bsms\b|text me|whatsapp")
_PLACE = re.compile(
    r"(?i)\bzip|post(?:al)?[ _]?code|street|\bst\.|address|\bapt|suite|\broad|avenue|\bp\.?o\.? ?box|\blives?\b"
)


def plausible(text: str, reads: Sequence[Read]) -> list[Span]:
    """The findings that are believed, in order."""
    lower_case = text.islower()
    return [Span(*read[:3]) for read in reads if _believed(text, read, reads, lower_case)]


def _believed(text: str, read: Read, reads: Sequence[Read], lower_case: bool) -> bool:
    value = text[read.start : read.end]
    digits = sum(c.isdigit() for c in value)
    if _LITERAL.match(value) or _IS_KEY.match(text, read.end):
        return False
    if read.type == "PHONE_NUMBER":
        return digits >= 6 and not _DATE.match(value)
    before = text[max(0, read.start - _NEAR) : read.start]
    if read.type in ("NATIONAL_ID", "BANK_ACCOUNT"):
        return digits >= 4 and bool(_IDENTITY.search(before) or (digits >= 6 and _TELEPHONE.search(before)))
    if _NOT_A_NAME.search(value) or _IDENTIFIER.search(value):
        return False
    if read.type == "ADDRESS" and digits:
        return not _DECIMAL.match(text, max(0, read.start - 1), read.end) and _in_address(text, read, reads)
    if value.islower() and before[-1:] in ('"', "'") and text[read.end : read.end + 1] == before[-1:]:
        return False  # a value in JSON or code
    return lower_case or not value.islower() or read.sure >= SURE


def _in_address(text: str, read: Read, reads: Sequence[Read]) -> bool:
    """Whether a number has a street, a town, or a word for one beside it."""
    if read.sure >= SURE and _STREET_NAME.search(text[read.start : read.end]):
        return True
    low, high = read.start - _NEAR, read.end + _NEAR
    if any(
        other is not read
        and other.type in ("ADDRESS", "LOCATION")
        and low < other.end
        and other.start < high
        and (other.type == "LOCATION" or _STREET_NAME.search(text, other.start, other.end) or text.islower())
        and any(c.isalpha() for c in text[other.start : other.end])
        for other in reads
    ):
        return True
    return _PLACE.search(text, max(0, low), high) is not None
