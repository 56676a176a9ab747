"""Texts as they read: escapes taken off, and one form for dashes, blanks, apostrophes, digits and accents.

`Jos\\u00e9`, `Jos&eacute;`, `Jos%C3%A9` and `José` with a combining accent all read "José". That is what is searched;
each character knows where it stands in the original, so that only what is replaced changes there.
"""

from __future__ import annotations

import html
import re
import unicodedata
from array import array
from collections.abc import Callable
from dataclasses import dataclass

DEPTH = 4
"""Escapes within escapes are taken off so many times."""


@dataclass(frozen=True, slots=True)
class View:
    """A part of an original text, as it reads."""

    text: str
    base: int = 0
    """Where the part begins in the original, if it stands there to the letter."""
    starts: array[int] | None = None
    """Where each character begins in the original, and where the last one ends; None if it stands there to the
    letter."""

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Start and end in the original of the characters from `start` to `end`."""
        if self.starts is None:
            return self.base + start, self.base + end
        return self.starts[start], self.starts[end]

    def part(self, start: int, end: int) -> View:
        """The characters from `start` to `end`."""
        if self.starts is None:
            return View(self.text[start:end], self.base + start)
        return View(self.text[start:end], 0, self.starts[start : end + 1])

    def changed(self, pattern: re.Pattern[str], change: Callable[[re.Match[str]], str | None]) -> View:
        """The view with each match changed; None leaves a match as it is."""
        pieces: list[str] = []
        starts: array[int] = array("L")
        own = self.starts
        done = 0
        for match in pattern.finditer(self.text):
            new = change(match)
            if new is None or new == match[0]:
                continue
            if own is None:
                own = array("L", range(self.base, self.base + len(self.text) + 1))
            pieces += (self.text[done : match.start()], new)
            starts.extend(own[done : match.start()])
            starts.extend([own[match.start()]] * len(new))
            done = match.end()
        if own is None or not pieces:
            return self
        starts.extend(own[done:])
        return View(f"{''.join(pieces)}{self.text[done:]}", 0, starts)


def folded(view: View) -> View:
    """The view without escapes, and with one form for what is written in several."""
    if _MAY_CHANGE.search(view.text) is None:
        return view
    for _ in range(DEPTH):
        read = view.changed(_ESCAPE, _unescaped)
        if read is view:
            break
        view = read
    if not view.text.isascii():
        view = view.changed(_COMPOSED, lambda match: unicodedata.normalize("NFKC", match[0]))
        view = view.changed(_VARIANT, _plain)
    return view


def unescaped(view: View) -> View:
    """The inside of a string of JSON without its escapes."""
    return view if "\\" not in view.text else view.changed(_JSON_ESCAPE, _json)


def without_accents(text: str) -> str:
    """The text in letters without accents: García becomes Garcia, Łódź Lodz, O'Brien stays."""
    if text.isascii():
        return text
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not "\u0300" <= c <= "\u036f")
    return unicodedata.normalize("NFC", bare.translate(_BARE))


_BARE = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ß": "ss", "æ": "ae", "œ": "oe", "ı": "i"}
)
_HEX = "[0-9A-Fa-f]"
_MAY_CHANGE = re.compile(r"[^\x00-\x7f]|[&%\\]|=[C-F]")


def _bytes_of_one(mark: str, low: str) -> str:
    """The pattern of one character's bytes in UTF-8, each written as `mark` and two hexadecimal digits."""
    more = f"{mark}[89ABab]{_HEX}"
    return f"{mark}(?:{low}[CDcd]{_HEX}{more}|[Ee]{_HEX}(?:{more}){{2}}|[Ff][0-4](?:{more}){{3}})"


_ESCAPE = re.compile(
    "|".join(
        (
            r"&(?:#\d{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});",
            _bytes_of_one("%", f"[2-7]{_HEX}|"),
            _bytes_of_one("=", ""),  # quoted-printable
            rf"%u{_HEX}{{4}}",
            # A run of backslashes is read once: each more level of escaping doubles it.
            rf"(?<!\\)\\++(?:u[dD][89abAB]{_HEX}{{2}}\\++u[dD][c-fC-F]{_HEX}{{2}}|u{_HEX}{{4}}|u\{{{_HEX}{{1,6}}\}}|U{_HEX}{{8}}|x{_HEX}{{2}}|[/\"'])",
            r"(?<!\\)(?<!\\Users)\\++[nrt]",  # a user may be called nina
        )
    )
)
_JSON_ESCAPE = re.compile(rf'\\(?:u[dD][89abAB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|u{_HEX}{{4}}|["\\/bfnrt])')
_JSON = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_COMPOSED = re.compile(
    r"[^\W\d_][\u0300-\u036f]{1,8}|[\u3040-\u30ff][\u3099\u309a]|[\uff66-\uff9d][\uff9e\uff9f]?|[\ufb00-\ufb06]"
    r"|[\u1100-\u1112][\u1161-\u1175][\u11a8-\u11c2]?"
)
_DASHES = "\u2010-\u2015\u2212\ufe58\ufe63\uff0d"
_BLANKS = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_UNSEEN = "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
_VARIANT = re.compile(
    rf"(?P<dash>[{_DASHES}])|(?P<blank>[{_BLANKS}])|(?P<unseen>[{_UNSEEN}]+)|(?P<digit>(?![0-9])\d)"
    r"|(?P<apostrophe>[\u2018\u2019\u201b\u02bc\u2032\uff07]|(?<=[^\W\d_])\u00b4(?=[^\W\d_]))|(?P<wide>[\uff01-\uff5e])"
)


def _unescaped(match: re.Match[str]) -> str | None:
    text = match[0]
    try:
        if text[0] == "&":
            return html.unescape(text)
        if text[0] == "%" and text[1] != "u":
            read = bytes.fromhex(text.replace("%", "")).decode()
            return "+" if read == " " else read  # as in a query: a blank would end the address
        if text[0] == "=":
            return bytes.fromhex(text.replace("=", "")).decode()
        bare = text.lstrip("\\%")
        if bare[0] in "nrt":
            return "\n"
        if bare[0] not in "uUx":
            return bare
        if "\\" in bare:
            return _of_pair(bare)
        return _character(int(bare[1:].strip("{}"), 16))
    except ValueError:  # no bytes of UTF-8, or no character
        return None


def _of_pair(code: str) -> str:
    """The character of two escapes: uD83D…uDE00."""
    return f"{chr(int(code[1:5], 16))}{chr(int(code[-4:], 16))}".encode("utf-16", "surrogatepass").decode("utf-16")


def _character(number: int) -> str | None:
    return None if 0xD800 <= number < 0xE000 or number < 0x20 else chr(number)


def _json(match: re.Match[str]) -> str:
    code = match[0][1:]
    if code[0] != "u":
        return _JSON.get(code, code)
    if "\\" in code:
        return _of_pair(code)
    return chr(int(code[1:], 16))


def _plain(match: re.Match[str]) -> str:
    kind = match.lastgroup
    if kind == "digit":
        return str(unicodedata.decimal(match[0]))
    if kind == "wide":
        return chr(ord(match[0]) - 0xFEE0)
    return {"dash": "-", "blank": " ", "unseen": "", "apostrophe": "'"}[kind or ""]
