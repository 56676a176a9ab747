"""What stands for a piece of personal data: the same kind and shape, always the same within one conversation.

Words stand for words, with their case; digits for digits where they stood; a card's and an IBAN's checksum holds again.
E-mail and IP addresses are ones that were set aside for documentation (RFC 2606, 5737, 3849), so that no mail goes
astray.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import ipaddress
import re
import string
from collections.abc import Callable, Sequence

from .places import COUNTRIES
from .pools import ALSO_WORDS, CITIES, GIVEN, KEPT, STREETS, SURNAMES

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
"""A part of a name or a place."""

SHORT_COUNTRIES = tuple(name for name in COUNTRIES if " " not in name and "-" not in name)
_COUNTRIES = frozenset(name.casefold() for name in COUNTRIES)
_RUN = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-Z][a-z]+|[^\W\d_A-Z]+|[A-Z]+")
_FEWEST_LETTERS, _FEWEST_DIGITS = 3, 3
"""Initials, abbreviated states and the numbers of small houses stay: alone they name nobody, and they stand for too
much else."""
_SAME_END = 7
"""Digits at a number's end by which it is known with and without its country's code."""


class Surrogates:
    """The surrogates of one conversation. words, exact: what stands for what, so far."""

    def __init__(self, key: str, keep: frozenset[str] = frozenset()) -> None:
        self._key = key.encode()
        self._keep = keep
        self._taken: set[str] = set()
        self._known: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.exact: dict[str, str] = {}

    def add(self, text: str, type_: str) -> None:
        """Find surrogates for what was found in a text as personal data of this type."""
        if all(word[0].casefold() in self._keep for word in WORD.finditer(text)) and WORD.search(text):
            return
        if text.casefold() in _COUNTRIES:
            self.exact[text] = _like(text, self._drawn(text.casefold(), SHORT_COUNTRIES))
        elif type_ in ("PERSON", "LOCATION", "ADDRESS"):
            self._add_words(text, type_)
        elif text not in self.exact:
            self.exact[text] = self._whole(text, type_)
            if type_ in ("PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "BANK_ACCOUNT", "NATIONAL_ID"):
                bare = re.sub(r"[\W_]", "", text)
                self.exact.setdefault(bare, re.sub(r"[\W_]", "", self.exact[text]))

    # Words

    def _add_words(self, text: str, type_: str) -> None:
        capitals = any(word[0][0].isupper() for word in WORD.finditer(text))
        for n, run in enumerate(_words_and_numbers(text)):
            if run.isdigit():
                if len(run) >= _FEWEST_DIGITS:
                    self.exact[run] = self._shaped(run)
            elif not (capitals and run.islower()):  # "Anna asked": a word that the model took along
                self._word(run, _pool(type_, n))

    def _word(self, word: str, pool: Sequence[str]) -> str:
        """What stands for a word of a name; the word itself where it stays."""
        low = word.casefold()
        if len(word) < _FEWEST_LETTERS or low in KEPT or low in self._keep:
            return word
        if word in self.words:
            return self.words[word]
        if low in ALSO_WORDS:
            if not word.islower():
                self.words[word] = _like(word, self._drawn(low, pool))
            return self.words.get(word, word)
        drawn = self._drawn(low, pool)
        for form in {word, low, word.upper(), word.capitalize()}:
            self.words[form] = _like(form, drawn)
        return self.words[word]

    def _drawn(self, low: str, pool: Sequence[str]) -> str:
        """A word of the pool: the same for the same word, another for another, as long as there are any."""
        if low not in self._known:
            start = self._number(f"word {low}")
            options = (pool[(start + i) % len(pool)] for i in range(len(pool)))
            free = (o for o in options if o.casefold() not in self._taken and o.casefold() != low)
            self._known[low] = next(free, pool[start % len(pool)])
            self._taken.add(self._known[low].casefold())
        return self._known[low]

    # Whole values

    def _whole(self, text: str, type_: str) -> str:
        make: dict[str, Callable[[str], str]] = {
            "EMAIL_ADDRESS": self._email,
            "URL": self._url,
            "IP_ADDRESS": self._ip,
            "DATE_TIME": self._date,
            "PHONE_NUMBER": self._phone,
            "CREDIT_CARD": self._card,
            "IBAN_CODE": self._iban,
        }
        return make.get(type_, self._shaped)(text)

    def _email(self, text: str) -> str:
        local, _, domain = text.rpartition("@")
        end = ("example.com", "example.org", "example.net")[self._number(f"domain {domain.lower()}") % 3]
        return f"{_RUN.sub(lambda run: self._of_address(run[0]), local)}@{end}"

    def _of_address(self, run: str) -> str:
        if run.isdigit():
            return self._shaped(run)
        return _CAMEL.sub(lambda part: _like(part[0], self._drawn(part[0].casefold(), GIVEN)), run)

    def _url(self, text: str) -> str:
        match = re.match(r"(?i)((?:[a-z]+://)?(?:[^/@\s]*@)?)(www\.)?([^/:?#]+)(.*)", text, re.DOTALL)
        if match is None:
            return self._shaped(text)
        scheme, www, host, rest = match.groups()
        site = self._drawn(f"host {host.lower()}", STREETS).lower()
        own = re.sub(r"\d{3,}", lambda run: self._shaped(run[0]), rest)
        return f"{scheme.split('//')[0]}{'//' if '//' in scheme else ''}{www or ''}{site}.example.com{own}"

    def _ip(self, text: str) -> str:
        number = self._number(f"ip {text}")
        if ipaddress.ip_address(text).version == 4:
            return f"{('192.0.2', '198.51.100', '203.0.113')[number % 3]}.{number // 3 % 254 + 1}"
        return f"2001:db8::{number % 0xFFFF:x}:{number // 0xFFFF % 0xFFFF:x}"

    def _date(self, text: str) -> str:
        """An ISO date some months earlier, as many for all of a conversation; of other dates the year changes."""
        days = 30 + self._number("days") % 900
        match = re.match(r"(\d{4})-(\d\d?)-(\d\d?)(.*)", text, re.DOTALL)
        if match is None:
            years = days // 365 + 1
            return re.sub(r"(?:19|20)\d\d", lambda year: str(int(year[0]) - years), text)
        try:
            moved = datetime.date(*map(int, match.groups()[:3])) - datetime.timedelta(days=days)
        except OverflowError:  # the zero date of some languages
            return text
        return f"{moved.isoformat()}{match[4]}"

    def _phone(self, text: str) -> str:
        kept = re.match(r"\+\d{1,2}|\(?0?", text)
        return self._shaped(text, kept=kept.end() if kept else 0)

    def _card(self, text: str) -> str:
        from stdnum import luhn

        shaped = self._shaped(text, kept=1)
        digits = re.sub(r"\D", "", shaped)
        return shaped[:-1] + luhn.calc_check_digit(digits[:-1])

    def _iban(self, text: str) -> str:
        shaped = self._shaped(text, kept=4)
        bare = re.sub(r"\W", "", shaped)
        value = int("".join(str(int(c, 36)) for c in f"{bare[4:]}{bare[:2]}00"))
        return f"{shaped[:2]}{98 - value % 97:02}{shaped[4:]}"

    def _shaped(self, text: str, kept: int = 0) -> str:
        """Another digit for each digit, another letter for each letter, from the end on; `kept` characters stay."""
        bare = re.sub(r"[\W_]", "", text)
        stream = self._digest(f"shape {bare[-_SAME_END:].casefold()}")
        written: list[str] = []
        place = 0
        for i in range(len(text) - 1, -1, -1):
            character = text[i]
            turn = stream[place % len(stream)]
            if i < kept or not character.isalnum():
                written.append(character)
            else:
                written.append(_turned(character, turn, first=i == 0))
            place += character.isalnum()
        return "".join(reversed(written))

    def _number(self, said: str) -> int:
        return int.from_bytes(self._digest(said)[:6], "big")

    def _digest(self, said: str) -> bytes:
        return hmac.new(self._key, said.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def _words_and_numbers(text: str) -> list[str]:
    return [match[0] for match in re.finditer(rf"{WORD.pattern}|\d+", text)]


def _pool(type_: str, place: int) -> Sequence[str]:
    if type_ == "PERSON":
        return SURNAMES if place else GIVEN
    return CITIES if type_ == "LOCATION" else STREETS


def _like(form: str, word: str) -> str:
    """The word in the other's case."""
    if form.isupper() and len(form) > 1:
        return word.upper()
    return word.lower() if form.islower() else word


def _turned(character: str, turn: int, *, first: bool) -> str:
    if character in string.digits:
        if first and character == "0":
            return character
        turned = (int(character) + 1 + turn % 9) % 10
        return str(turned or 1 + turn % 9) if first else str(turned)
    for letters in (string.ascii_lowercase, string.ascii_uppercase):
        if character in letters:
            return letters[(letters.index(character) + 1 + turn % 25) % 26]
    return character
