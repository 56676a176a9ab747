"""Answers that end in a number, such as the result of a sum."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from .base import Grader

_CURRENCY = r"[$€£¥₹₽₩]|(?:USD|EUR|GBP|JPY|CHF|CNY|INR)\b"
_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff"
"""Kana and Han: no blank stands between a word and a number."""
_NUMBER = re.compile(
    rf"(?P<before>{_CURRENCY})?\s?(?:(?<![\w.,])|(?<=[{_UNSPACED}]))(?P<sign>[-−+])?\s?(?P<between>{_CURRENCY})?\s?"
    r"(?P<digits>\.?\d(?:[\d,./:'’\u00a0\u2009\u202f\-]*\d)?)(?P<power>[eE][-+]?\d+)?"
    rf"(?P<unit>\s?(?:%|per\s?cent\b|thousand\b|million\b|billion\b|trillion\b)|[A-Za-z°]+)?\s?(?P<after>{_CURRENCY})?",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"\d+|\d*\.\d+|\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_EUROPEAN = re.compile(
    r"(?P<whole>\d{1,3}(?:\.\d{3})+),(?P<part>\d+)|(?P<dots>\d{1,3}(?:\.\d{3}){2,})"
    r"|(?P<blanks>\d{1,3}(?:(?:'\d{3})+|(?:’\d{3})+|(?:[\u00a0\u2009\u202f]\d{3})+))(?:[.,](?P<rest>\d+))?"
)
"""1.234,56 and 1.234.567; 1'234.56 and 1 234,56: written so, they can be nothing else, but for `_ADDRESS`."""
_ADDRESS = re.compile(r"(?:[1-9]?\d|1\d\d|2[0-4]\d|25[0-5])(?:\.(?:1\d\d|2[0-4]\d|25[0-5])){2,}")
"""192.168.100: as likely the beginning of an address, or a version."""
_SCALES = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12}


class Numbers(Grader):
    """The same last number: "The total is 1,200.50" is "1200.5".

    Commas between thousands do not count, nor do dots, apostrophes and narrow or fixed blanks where the rest shows that
    they stand there ("1.200,50", "1'200"); digits may be full width. A sign, a percent sign and letters that stick to
    the number ("5km") do, and
    so does a currency unless `ignore_currency`. Other words do not: "5 km" is "5 miles". "Thousand" to "trillion"
    multiply. abs_tol, rel_tol: as in `math.isclose`. What is not a plain number (a date, a time, a range, or "1,5",
    which may be one and a half or two numbers) must be the same text. Answers without any number agree only if their
    text is the same.
    """

    def __init__(self, *, abs_tol: float = 0.0, rel_tol: float = 0.0, ignore_currency: bool = False) -> None:
        self.name = "last number" + (f" ± {abs_tol:g}" if abs_tol else "") + (f" ± {rel_tol:.2%}" if rel_tol else "")
        self._abs_tol = abs_tol
        self._rel_tol = rel_tol
        self._ignore_currency = ignore_currency

    def agree(self, answer: str, teacher: str) -> bool:
        mine, theirs = _last(answer), _last(teacher)
        if mine is None or theirs is None:
            return mine is theirs and answer.split() == teacher.split()
        if mine.unit != theirs.unit or not (self._ignore_currency or mine.currency == theirs.currency):
            return False
        if isinstance(mine.value, str) or isinstance(theirs.value, str):
            return mine.value == theirs.value
        if not self._abs_tol and not self._rel_tol:
            return mine.value == theirs.value
        return math.isclose(mine.value, theirs.value, rel_tol=self._rel_tol, abs_tol=self._abs_tol)


@dataclass(frozen=True, slots=True)
class _Number:
    """A number in an answer. value: text if it is not a plain number. unit, currency: as written; empty if absent."""

    value: Decimal | str
    unit: str
    currency: str


def _last(text: str) -> _Number | None:
    match = next(reversed(list(_NUMBER.finditer(text))), None)
    if match is None:
        return None
    unit = "".join((match["unit"] or "").split())
    unit = "%" if unit.lower() == "percent" else unit
    currency = (match["before"] or match["between"] or match["after"] or "").upper()
    sign = "-" if match["sign"] in ("-", "−") else ""
    plain = _plain(match["digits"])
    if plain is None or len(match["power"] or "") > 5:
        return _Number(sign + match["digits"] + (match["power"] or ""), unit, currency)
    value = Decimal(sign + plain + (match["power"] or ""))
    if (scale := _SCALES.get(unit.lower())) is not None:
        return _Number(value.scaleb(scale), "", currency)
    return _Number(value, unit, currency)


def _plain(digits: str) -> str | None:
    """The digits of a number with a point alone; None if it is not a plain number."""
    if _PLAIN.fullmatch(digits):
        return digits.replace(",", "")
    match = _EUROPEAN.fullmatch(digits)
    if match is None or _ADDRESS.fullmatch(digits):
        return None
    whole = re.sub(r"\D", "", match["whole"] or match["dots"] or match["blanks"])
    part = match["part"] or match["rest"]
    return f"{whole}.{part}" if part else whole
