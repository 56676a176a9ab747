"""Surrogates for personal data: of the same kind and shape, and always the same within one conversation.

Words are replaced by words in the same case; in scripts other than Latin, letters by letters of the same script; digits
by digits in the same places. The checksums of cards and IBANs are valid again. E-mail and IP addresses are taken from
the ranges reserved for documentation (RFC 2606, 5737, 3849), so that no mail goes astray.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import hmac
import ipaddress
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence

from stdnum import luhn

from .countries import COUNTRIES
from .folding import without_accents
from .pools import ALSO_WORDS, CITIES, GIVEN, KEPT, SHORT_WORDS, STREETS, SURNAMES

WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
"""A part of a name or a place."""

SHORT_COUNTRIES = tuple(name for name in COUNTRIES if " " not in name and "-" not in name)
_COUNTRIES = frozenset(name.casefold() for name in COUNTRIES)
_RUN = re.compile(r"[^\W\d_]+|\d+")
_CAMEL = re.compile(r"[A-Z][a-z]+|[^\W\d_A-Z]+|[A-Z]+")
_USER_NAME = re.compile(r"(?=[\d._-]*[^\W\d_])(?=[^\d._-]*[\d._-])[\w.-]+")
"""Matches Ada.kim, ada_2 and Jean-Luc."""
_LATIN = re.compile(r"[\u0000-\u024f\u1e00-\u1eff'’]+")
_IBAN = re.compile(r"[A-Za-z]{2}[0-9]{2}[A-Za-z0-9 .:/-]+")
_POWER = re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d{1,6}")
_POST_CODE = re.compile(
    r"\b(?:[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2}|[A-Z][0-9][A-Z] ?[0-9][A-Z][0-9]|[0-9]{4} ?[A-Z]{2})\b"
)
"""Britain's, Canada's and the Netherlands'."""
_FEWEST_LETTERS, _FEWEST_DIGITS = 3, 3
"""Shorter words and numbers stay: initials, abbreviated states and house numbers identify nobody alone, and mean too
much else. Only a person's name of two letters is replaced too, exactly as written."""
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ß": "ss", "ø": "oe", "å": "aa"}
)
_SAME_END = 7
"""This many digits at the end identify a number, with or without its country code."""


class Surrogates:
    """The surrogates of one conversation so far.

    exact: surrogate by whole text. words: surrogate by a word of a name. alone: surrogate by a word of an address that
    is an ordinary word too, used only for a value that consists of this word. hosts: by URL, the beginning of its
    surrogate up to the path. paths: URLs that were written with a surrogate in their path.
    """

    def __init__(self, key: str, keep: frozenset[str] = frozenset()) -> None:
        self._key = key.encode()
        self._keep = keep
        self._taken: set[str] = set()
        self._drawn_words: set[str] = set()
        self._known: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.exact: dict[str, str] = {}
        self.alone: dict[str, str] = {}
        self.hosts: dict[str, str] = {}
        self.paths: dict[str, None] = {}

    def add(self, text: str, type_: str) -> None:
        """Choose surrogates for a piece of personal data of this type."""
        if self.stays(text):
            return
        if text.casefold() in _COUNTRIES:
            self.exact[text] = _like(text, self._drawn(text.casefold(), SHORT_COUNTRIES))
        elif type_ in ("PERSON", "LOCATION", "ADDRESS"):
            if type_ == "PERSON" and _USER_NAME.fullmatch(text):
                self.exact[text] = _RUN.sub(lambda run: self._of_user_name(run[0]), text)
            else:
                self._add_numbers(text)
            self._add_words(text, type_)
        elif text not in self.exact:
            self.exact[text] = self._whole(text, type_)
            if type_ in ("PHONE_NUMBER", "CREDIT_CARD", "IBAN_CODE", "BANK_ACCOUNT", "NATIONAL_ID"):
                bare = re.sub(r"[\W_]", "", text)
                self.exact.setdefault(bare, re.sub(r"[\W_]", "", self.exact[text]))

    def originals(self) -> tuple[tuple[Collection[str], bool], ...]:
        """All that is replaced, and whether it may be a part of a name such as a_name2."""
        return (self.exact, False), (self.words, True)

    def made(self) -> tuple[tuple[Collection[str], bool], ...]:
        """All surrogates, and whether each may be a part of a name."""
        exact = (self.exact.values(), self.alone.values(), self.paths)
        return *((texts, False) for texts in exact), (self.words.values(), True)

    def is_surrogate(self, word: str) -> bool:
        """Whether a word is a surrogate."""
        return word.casefold() in self._drawn_words

    def stays(self, text: str) -> bool:
        """Whether all words of a text are to be kept."""
        words = [match[0].casefold() for match in WORD.finditer(text)]
        return bool(words) and self._keep.issuperset(words)

    def pseudonym(self, text: str) -> str:
        """A digest that stands for an id."""
        return self._digest(f"id {text}")[:12].hex()

    # Words

    def _add_numbers(self, text: str) -> None:
        for code in _POST_CODE.findall(text):  # of few letters and digits each, but of a street's houses together
            self.exact[code] = self._shaped(code)
        for run in re.findall(r"\d+", text):
            if len(run) >= _FEWEST_DIGITS:
                self.exact[run] = self._shaped(run)

    def _add_words(self, text: str, type_: str) -> None:
        """Add each word by itself. Ordinary words are replaced only as written, and within the whole name of a
        place."""
        words = list(WORD.finditer(text))
        capitals = any(word[0][0].isupper() for word in words)
        named = [word for word in words if self._names(word[0], type_)]
        if capitals:  # "Anna asked": a word that the model took along
            named = [word for word in named if not word[0].islower()]
        self._taken |= {word[0].casefold() for word in named}  # no word of a name may replace another of its words
        drawn = {w[0].casefold(): self._drawn(w[0].casefold(), _pool(type_, w.start())) for w in named}
        for word in named:
            self._add_word(word[0], drawn[word[0].casefold()], type_, single=len(words) == 1)
        common = drawn.keys() & (SHORT_WORDS if type_ == "PERSON" else ALSO_WORDS)
        if common or (type_ == "LOCATION" and len(named) > 1):
            self._add_name(_without_edges(text, words, named), drawn, safe=len(common) < len(drawn))

    def _names(self, word: str, type_: str) -> bool:
        low = word.casefold()
        if low in KEPT or low in self._keep:
            return False
        of_two = len(word) == 2 and word == word.capitalize() and (type_ == "PERSON" or not _LATIN.fullmatch(word))
        return of_two or len(word) >= _FEWEST_LETTERS

    def _add_word(self, word: str, drawn: str, type_: str, *, single: bool) -> None:
        low = word.casefold()
        if len(word) < _FEWEST_LETTERS:
            forms = {word} if low not in SHORT_WORDS else set[str]()
        elif low not in ALSO_WORDS:
            forms = {word, low, word.upper(), word.capitalize()}
        elif type_ == "PERSON" or single:
            forms = {word} - {low}
        else:
            forms = set[str]()
            if type_ == "ADDRESS":
                self.alone[word] = _like(word, drawn)
        for form in forms:
            for spelled in _spellings(form):
                self.words[spelled] = _like(form, drawn)

    def _add_name(self, name: str, drawn: Mapping[str, str], *, safe: bool) -> None:
        """Add a whole name of several words; in other cases too if it cannot be an ordinary phrase (`safe`)."""
        if len(WORD.findall(name)) == 1:
            return
        for form in {name, name.upper(), name.lower(), name.title()} if safe else {name}:
            self.exact[form] = WORD.sub(lambda word: _like(word[0], drawn.get(word[0].casefold(), word[0])), form)

    def _drawn(self, low: str, pool: Sequence[str]) -> str:
        """The surrogate of a word: from the pool, or, in scripts other than Latin, other letters of the same script.

        Different words get different surrogates as long as the pool lasts; spellings of one word get one.
        """
        spelled = _spelled(low)
        if spelled not in self._known:
            self._known[spelled] = self._free(low, pool) if _LATIN.match(low) else self._shaped(low).capitalize()
            self._drawn_words.add(self._known[spelled].casefold())
            self._taken |= {low, self._known[spelled].casefold()}
        return self._known[spelled]

    def _free(self, low: str, pool: Sequence[str]) -> str:
        start = self._number(f"word {low}")
        options = (pool[(start + i) % len(pool)] for i in range(len(pool)))
        free = (o for o in options if o.casefold() not in self._taken and o.casefold() != low)
        return next(free, pool[start % len(pool)])

    def _of_user_name(self, run: str) -> str:
        return self._shaped(run) if run.isdigit() else _like(run, self._drawn(run.casefold(), GIVEN))

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
        begin = f"{scheme.split('//')[0]}{'//' if '//' in scheme else ''}{www or ''}{site}.example.com"
        self.hosts[text] = begin
        return f"{begin}{own}"

    def _ip(self, text: str) -> str:
        number = self._number(f"ip {text}")
        try:
            version = ipaddress.ip_address(text).version
        except ValueError:  # joined with what stands beside it
            return self._shaped(text)
        if version == 4:
            return f"{('192.0.2', '198.51.100', '203.0.113')[number % 3]}.{number // 3 % 254 + 1}"
        return f"2001:db8::{number % 0xFFFF:x}:{number // 0xFFFF % 0xFFFF:x}"

    def _date(self, text: str) -> str:
        """An ISO date moved back by a number of days that is fixed for the conversation; in other dates, the year."""
        days = 30 + self._number("days") % 900
        match = re.match(r"(\d{4})-(\d\d?)-(\d\d?)(.*)", text, re.DOTALL)
        if match is None:
            years = days // 365 + 1
            return re.sub(r"(?:19|20)\d\d", lambda year: str(int(year[0]) - years), text)
        try:
            moved = datetime.date(*map(int, match.groups()[:3])) - datetime.timedelta(days=days)
        except OverflowError:  # the zero date of some languages
            return text
        except ValueError:  # no day of the calendar
            return self._shaped(text)
        return f"{moved.isoformat()}{match[4]}"

    def _phone(self, text: str) -> str:
        prefix = re.match(r"\+\d{1,2}|\(?0?", text)
        return self._shaped(text, kept=prefix.end() if prefix else 0)

    def _card(self, text: str) -> str:
        shaped = self._shaped(text, kept=1)
        digits = re.sub(r"[^0-9]", "", shaped)
        if not digits or not shaped[-1:].isdecimal():  # joined with what stands beside it
            return shaped
        return shaped[:-1] + luhn.calc_check_digit(digits[:-1])

    def _iban(self, text: str) -> str:
        if _IBAN.fullmatch(text) is None:  # joined with what stands beside it
            return self._shaped(text)
        shaped = self._shaped(text, kept=4)
        bare = re.sub(r"\W", "", shaped)
        value = int("".join(str(int(c, 36)) for c in f"{bare[4:]}{bare[:2]}00"))
        return f"{shaped[:2]}{98 - value % 97:02}{shaped[4:]}"

    def _shaped(self, text: str, kept: int = 0) -> str:
        """The text with each digit and letter replaced by another, from the end on; the first `kept` characters
        stay, and so does the exponent of a number, whose JSON would be broken."""
        if _POWER.fullmatch(text):
            mantissa, mark, power = text.partition("e" if "e" in text else "E")
            return f"{self._shaped(mantissa, kept)}{mark}{power}"
        bare = re.sub(r"[\W_]", "", text)
        first = next((i for i, character in enumerate(text) if character.isalnum()), 0)
        stream = self._digest(f"shape {bare[-_SAME_END:].casefold()}")
        written: list[str] = []
        position = 0
        for i in range(len(text) - 1, -1, -1):
            character = text[i]
            turn = stream[position % len(stream)]
            if i < kept or not character.isalnum():
                written.append(character)
            else:
                written.append(_turned(character, turn, first=i == first))
            position += character.isalnum()
        return "".join(reversed(written))

    def _number(self, subject: str) -> int:
        return int.from_bytes(self._digest(subject)[:6], "big")

    def _digest(self, subject: str) -> bytes:
        return hmac.new(self._key, subject.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()


def _spelled(low: str) -> str:
    """A word in the letters that all its spellings share: without accents and apostrophes."""
    return without_accents(low).replace("'", "").replace("’", "") or low


def _spellings(form: str) -> set[str]:
    """A word as it is written, without its accents, with its umlauts as two letters, and without its apostrophe."""
    plain = {form, without_accents(form), _like(form, form.translate(_UMLAUTS))}
    bare = form.replace("'", "")
    return plain | {_like(form, bare.capitalize()), bare} if bare != form else plain


def _pool(type_: str, start: int) -> Sequence[str]:
    """The pool for a word that begins at character `start` of a name."""
    if type_ == "PERSON":
        return SURNAMES if start else GIVEN
    return CITIES if type_ == "LOCATION" else STREETS


def _like(form: str, word: str) -> str:
    """The word in the case of `form`."""
    if form.isupper() and len(form) > 1:
        return word.upper()
    return word.lower() if form.islower() else word


def _turned(character: str, turn: int, *, first: bool) -> str:
    """Another digit, or another letter of the same script and case. A first digit stays 0, or stays other than 0."""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        if first and digit == 0:
            return character
        turned = (digit + 1 + turn % 9) % 10
        return chr(ord(character) - digit + (turned or (1 + turn % 9 if first else 0)))
    letters = _letters(character)
    if len(letters) < 2:
        return character
    return letters[(letters.index(character) + 1 + turn % (len(letters) - 1)) % len(letters)]


@functools.lru_cache(maxsize=1024)
def _letters(character: str) -> str:
    """The letters of the same script and case in the character's block of 64 in Unicode; for ASCII, the alphabet."""
    script, kind = _script(character), unicodedata.category(character)
    start = ord(character) // 64 * 64
    near = map(chr, range(start, start + 64))
    return "".join(c for c in near if c.isalpha() and unicodedata.category(c) == kind and _script(c) == script)


def _script(character: str) -> str:
    return unicodedata.name(character, "").partition(" ")[0]


def _without_edges(text: str, words: Sequence[re.Match[str]], named: Sequence[re.Match[str]]) -> str:
    """A name from its first word to its last, including the kind of street after it."""
    end = named[-1].end()
    behind = next((word for word in words if word.start() >= end), None)
    if behind and behind[0].casefold() in KEPT:
        end = behind.end()
    return text[named[0].start() : end]
