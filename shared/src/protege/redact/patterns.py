"""Personal data with a fixed form: matched by a pattern, and verified by its checksum or number plan where it has one.

The patterns are bounded, so that each takes linear time on any text.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers
from stdnum import iban, luhn
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.exceptions import InvalidComponent, ValidationError
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.pl import nip, pesel
from stdnum.us import ssn

from .scripts import UNSPACED
from .span import Span

MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)"
)
_DAY = r"[0-3]?\d(?:st|nd|rd|th)?"
_DATES = (
    r"\d{4}-[01]?\d-[0-3]?\d(?:[ T][0-2]\d:[0-5]\d(?::[0-5]\d)?)?",
    r"[0-3]?\d([/.-])[0-3]?\d\1(?:\d{4}|\d{2})",
    rf"{MONTH}\.? {_DAY}(?:,? \d{{4}})?",
    rf"{_DAY} (?:of )?{MONTH}\.?(?:,? \d{{4}})?",
    rf"{MONTH}\.? \d{{4}}",
    r"(?:19|20)\d\d",
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days?",
)


@dataclass(frozen=True, slots=True)
class Pattern:
    """The form of one type of personal data."""

    type: str
    regex: re.Pattern[str]
    valid: Callable[[str], bool] = lambda match: True
    """Whether a match is what it looks like."""
    group: int = 0
    """The group of the regular expression that is personal; 0 for all of it."""


def spans(text: str, types: frozenset[str]) -> Iterator[Span]:
    """The verified matches of the patterns of these types; they may overlap."""
    unspaced = text if text.isascii() else UNSPACED.sub(" ", text)  # no blank parts a number from words of theirs
    patterns = PATTERNS if unspaced == text else (*PATTERNS, _CHINESE_MOBILE)
    text = unspaced
    for pattern in patterns:
        if pattern.type in types:
            for match in pattern.regex.finditer(text):
                if pattern.valid(match[pattern.group]):
                    yield Span(*match.span(pattern.group), pattern.type)
    if "PHONE_NUMBER" in types and "+" in text:
        yield from _international(text)


def _international(text: str) -> Iterator[Span]:
    """Phone numbers with a country code, verified by the number plans of Google's libphonenumber."""
    for match in _PLUS.finditer(text):
        number = match[0].rstrip(" .-(")
        try:
            possible = phonenumbers.is_possible_number(phonenumbers.parse(number))
        except phonenumbers.NumberParseException:
            continue
        if possible:
            yield Span(match.start(), match.start() + len(number), "PHONE_NUMBER")


def _card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return bool(_CARD_GROUPS.fullmatch(text)) and len(set(digits)) > 1 and luhn.is_valid(digits)


def _iban(text: str) -> bool:
    try:
        iban.validate(text)
    except InvalidComponent:
        return True  # the checksum is right; only a bank or a branch inside is wrong
    except ValidationError:
        return False
    return True


def _ssn(text: str) -> bool:
    return ssn.is_valid(text)


def _national(text: str) -> bool:
    """A number with the check digits of Spain, Italy, France, Brazil, India or China, or with Britain's form."""
    return any(kind.is_valid(text) for kind in (dni, nie, codicefiscale, nir, cpf, aadhaar, ric)) or bool(
        _NINO.fullmatch(text)
    )


def _ip(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _iso_date(text: str) -> bool:
    """Whether a date that looks like an ISO date exists; other dates are not checked."""
    match = re.match(r"(\d{4})-(\d\d?)-(\d\d?)", text)
    if match is None:
        return True
    try:
        datetime.date(*map(int, match.groups()))
    except ValueError:
        return False
    return True


def _personal_home(user: str) -> bool:
    """Whether a home folder belongs to a person."""
    return user.lower() not in _SYSTEM_USERS.split()


_SYSTEM_USERS = """
admin agent airflow ansible app azureuser build centos ci circleci codespace coder data debian default deploy dev
developer docker ec2-user fedora git gitpod guest hadoop jenkins jovyan mysql nginx node nobody opc oracle pi postgres
project projects public root runner sandbox server service shared spark test tmp travis ubuntu user users vagrant
vscode work workspace www
"""
_CARD_GROUPS = re.compile(r"\d{12,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5}")
_PLUS = re.compile(r"(?<![\w+])\+[1-9](?:[ ().-]{0,2}\d){6,14}(?!\d)")
_NINO = re.compile(r"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]")
_CHINESE_MOBILE = Pattern("PHONE_NUMBER", re.compile(r"(?<![\w+.-])1[3-9]\d{9}(?![\w-]|\.\d)"))
"""Looked for in texts of these scripts alone: elsewhere eleven digits may be anything."""

PATTERNS = (
    Pattern(
        "EMAIL_ADDRESS", re.compile(r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?!\w|-[^\W\d_])")
    ),
    Pattern("URL", re.compile(r"(?i)(?<![a-z0-9])(?:https?://|www\.)[^\s\"'<>(){}\[\]\\`|]{3,2000}(?<![.,;:!?])")),
    Pattern(
        "IP_ADDRESS",
        re.compile(
            r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)|(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){3,7}[0-9A-Fa-f]{1,4}(?![\w:])"
        ),
        _ip,
    ),
    Pattern("CREDIT_CARD", re.compile(r"(?<![\w.-])[2-6](?:[ -]?\d){11,18}(?![\w-]|\.\d)"), _card),
    Pattern("IBAN_CODE", re.compile(r"(?i)(?<!\w)[A-Z]{2}\d\d(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"), _iban),
    Pattern("NATIONAL_ID", re.compile(r"(?<![\w-])\d{3}-\d\d-\d{4}(?![\w-])"), _ssn),
    Pattern(
        "NATIONAL_ID",
        re.compile(
            r"(?<![\w-])(?:[XYZ]\d{7}[A-Z]|\d{8}[A-Z]|[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]|[12]\d{12}(?: ?\d\d)"
            r"|[12] \d\d \d\d \d[\dAB] \d{3} \d{3} \d\d|[1-8]\d{16}[\dX]"
            r"|\d{3}\.\d{3}\.\d{3}-\d\d|[2-9]\d{3} \d{4} \d{4}|[A-Z]{2} ?\d\d ?\d\d ?\d\d ?[A-D])(?![\w-])"
        ),
        _national,
    ),
    Pattern("NATIONAL_ID", re.compile(r"(?<![\w.+-])\d{11}(?![\w-]|\.\d)"), pesel.is_valid),
    Pattern("NATIONAL_ID", re.compile(r"(?<![\w-])\d{3}-(?:\d{3}-\d\d|\d\d-\d\d)-\d\d(?:\d)?(?![\w-])"), nip.is_valid),
    Pattern("NATIONAL_ID", re.compile(r"(?i)(?<!\w)NIP(?: firmy)?:? ?(?:PL)?(\d{10})(?!\w)"), nip.is_valid, 1),
    Pattern("PHONE_NUMBER", re.compile(r"(?<![\w+.-])(?:1[ .-])?\(\d{3}\) ?\d{3}[ .-]\d{4}(?![\w-])")),
    Pattern("PHONE_NUMBER", re.compile(r"(?<![\w+.-])(?:1[ .-])?[2-9]\d{2}([ .-])[2-9]\d{2}\1\d{4}(?![\w-])")),
    Pattern("PHONE_NUMBER", re.compile(r"(?<![\w+./-])555-\d{4}(?![\w-])")),
    Pattern(
        "PERSON",
        re.compile(r"(?:(?<![\w.-])/home/|(?<![\w.-])/Users/|\\Users\\{1,2})([^\W\d_][\w.-]{1,31})(?=[/\\])"),
        _personal_home,
        1,
    ),
    Pattern("DATE_TIME", re.compile(rf"(?i)(?<![\w.-])(?:{'|'.join(_DATES)})(?![\w-])"), _iso_date),
)
