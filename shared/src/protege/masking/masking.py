"""Masks keys, tokens, passwords and private keys before anything is written. Personal data is masked in curation.

`mask` takes a call as JSON bytes. Nearly all calls hold no secret, so that case must be fast: Hyperscan searches the
bytes once (1 µs for 100 B, 4 µs for 8 KB; Python's `re` took 1,300 µs). If it finds something, RE2 searches them again.
If RE2 does too, the JSON is read, each of its texts is masked by itself, and it is written again, so the result is JSON
whatever the texts held. Both engines are linear in the length of the text: no text can make them slow. A text with
many look-alikes is searched often, so each search sees WINDOW bytes at most.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from .patterns import IS_NAME, KINDS, NAMES, PASSWORDS, SECRET, SUSPECT, SUSPECTS
from .prefilter import prefilter

WINDOW, OVERLAP, LOOK_BACK = 1 << 15, 1 << 12, 64
"""Bytes that one search sees, bytes that two windows share, and bytes before a secret that its pattern may look at."""


def mask(payload: bytes) -> bytes:
    """The JSON text with `[masked:<kind>]` in place of each secret; the very same object if there is none.

    Bytes that are not JSON are masked as plain text.
    """
    if _holds_none(payload) or SUSPECT.search(payload) is None:
        return payload
    try:
        return orjson.dumps(_masked(orjson.loads(payload)))
    except (ValueError, RecursionError):
        return _masked_plain(payload)


def mask_text(text: str) -> str:
    """The text with `[masked:<kind>]` in place of each secret. A text that is JSON stays JSON."""
    raw = text.encode("utf-8", "surrogatepass")
    if SUSPECT.search(raw) is None:
        return text
    if text.lstrip()[:1] in ("{", "[", '"'):
        try:
            value = json.loads(text)
            masked = _masked(value)
        except (ValueError, RecursionError):
            pass  # not JSON after all
        else:
            indent = 2 if "\n" in text.strip() else None
            return text if masked == value else json.dumps(masked, ensure_ascii=False, indent=indent)
    return _masked_plain(raw).decode("utf-8", "surrogatepass")


def _masked(value: Any) -> Any:
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return _masked_object(value)
    return value


def _masked_object(value: dict[str, Any]) -> dict[str, Any]:
    # {"name": "DB_PASSWORD", "value": …}: the name stands beside the value.
    beside = {held: value[names] for names, held in _PAIRS if held in value and isinstance(value.get(names), str)}
    if not _OF_TEXT.isdisjoint(value) or len(_PLACES.intersection(value)) > 1:  # {"token": …, "logprob": …}: of a text
        beside["token"] = ""
    return {mask_text(name): _masked_entry(beside.get(name, name), item) for name, item in value.items()}


def _masked_entry(name: str, value: Any) -> Any:
    """The value under a name. Under the name of secrets, each text of a list is one."""
    if IS_NAME.search(name) is None:
        return _masked(value)
    return [_masked_value(name, item) for item in value] if isinstance(value, list) else _masked_value(name, value)


def _masked_value(name: str, value: Any) -> Any:
    """Under the name of a secret, a text or a number is masked whole, with its quotes and backslashes."""
    masked = _masked(value)
    text = str(value) if type(value) is int else value
    secret = isinstance(text, str) and masked == value and _is_secret(text, name, quoted=True)
    return _mark(name) if secret else masked


def _masked_plain(raw: bytes) -> bytes:
    written: list[bytes] = []
    done = at = 0
    while match := _next_look_alike(raw, at):
        kind = next(kind for kind, group in KINDS.items() if match.group(group) is not None)
        start, end = match.span(KINDS[kind])
        secret, mark = _judged(kind, match)
        if secret:
            written += (raw[done:start], mark)
            done = at = start + len(secret)
        else:
            # What looked like a password may hold a key further on. A long one is not searched again, so that the time
            # stays linear in the length of the text.
            at = start + 1 if end - start < 256 else end
    return b"".join((*written, raw[done:]))


def _next_look_alike(raw: bytes, at: int) -> Any:
    """The first match of SECRET after `at`. The search sees a window only, since a look-alike that is given up at the
    end of the text would otherwise cost the whole rest of it, again and again."""
    while at < len(raw):
        end = at + WINDOW
        while (match := SECRET.search(raw, at, end)) is not None:
            if match.end() < end or end >= len(raw):
                return match
            end = match.start() + 2 * (end - match.start())  # it was cut off, so it is searched in full
            at = max(at, match.start() - LOOK_BACK)
        if end >= len(raw):
            return None
        at = end - OVERLAP
    return None


def _judged(kind: str, match: Any) -> tuple[bytes, bytes]:
    """The secret, empty if it is none after all, and the mark that replaces it."""
    value: bytes = match.group(kind)
    text = value.decode("utf-8", "replace")
    if kind in NAMES:
        return _judged_by_name(kind, match, text)
    if kind == "url_password":
        certain = not _PLACEHOLDER.match(text)
    else:
        certain = kind == "private_key" or _DIGIT.search(text) is not None
    return value if certain else b"", f"[masked:{kind}]".encode()


def _judged_by_name(kind: str, match: Any, value: str) -> tuple[bytes, bytes]:
    raw: bytes = match.string
    name_start, name_end = match.span(NAMES[kind])
    # The words before the name count too: `next_page_token` is not a secret.
    before = _LAST_WORD.search(raw[max(0, name_start - 40) : name_start].decode("utf-8", "replace"))
    name = (before[0] if before else "") + raw[name_start:name_end].decode()
    start = match.start(KINDS[kind])
    quoted = kind == "tagged" or raw[start - 1 : start] in (b'"', b"'")
    if not quoted and (bare := _UNQUOTED.match(value)):
        value = bare[0].rstrip(".,;:!?")
    return (value.encode() if _is_secret(value, name, quoted=quoted) else b""), _mark(name).encode()


def _is_secret(value: str, name: str, *, quoted: bool) -> bool:
    """Whether a value under the name of a secret is one, rather than a placeholder, code or an ordinary word."""
    if len(value) < 4 or _PLACEHOLDER.match(value) or _names_no_secret(name) or "[masked:" in value:
        return False
    if _PASSWORD_NAME.search(name):
        # In quotes, "letmein" is a password. In a sentence ("password: required") it takes more to tell.
        return " " not in value if quoted else len(value) >= 6 and _UNLIKE_WORDS.search(value) is not None
    if _NAME_OF_TOKEN.search(name) and not _NAME_OF_ACCESS.search(name) and _reads_as_words(value):
        return False
    return len(value) >= 8 and " " not in value and bool(_DIGIT.search(value)) and bool(_LETTER.search(value))


def _reads_as_words(value: str) -> bool:
    """Whether a value is made of words and short numbers, as parts of texts are: iPhone15Pro, Covid19-Ward.

    Of made-up tokens of 16 letters and digits .2% do (lower case: .5%), of 24 one in 10,000.
    """
    if len(value) > 40 or not _WORDS_ONLY.fullmatch(value):
        return False
    chunks = _CHUNK.findall(value)
    numbers = [chunk for chunk in chunks if chunk.isdigit()]
    words = [chunk for chunk in chunks if _PRONOUNCED.fullmatch(chunk)]
    others = len(chunks) - len(numbers) - len(words)
    plain = len(chunks) <= 2 or value != value.lower() or "-" in value
    few = len(numbers) <= (2 if "-" in value else 1) and all(len(number) < 5 for number in numbers)
    short = all(len(chunk) < 3 for chunk in chunks if chunk not in words and chunk not in numbers)
    return plain and few and short and others <= 1 and any(len(word) > 3 for word in words)


def _names_no_secret(name: str) -> bool:
    """Whether the last word of a name tells that its value is none: `next_page_token`, `forgot-password.url`."""
    backwards = _WORD.match(name.removesuffix("\n")[::-1])
    return backwards is not None and _NO_SECRET.search(backwards[0][::-1]) is not None


def _mark(name: str) -> str:
    return "[masked:password]" if _PASSWORD_NAME.search(name) else "[masked:secret]"


_holds_none = prefilter(SUSPECTS)
_PAIRS = (("name", "value"), ("key", "value"), ("Name", "Value"), ("Key", "Value"))
_DIGIT = re.compile(r"[0-9]")
_LETTER = re.compile(r"[A-Za-z]")
_LAST_WORD = re.compile(r"[\w.-]*$")
_UNQUOTED = re.compile(r"[^,;&<>(){}\[\]]*")
_UNLIKE_WORDS = re.compile(r"[0-9!@#$%^&*+=~]|[a-z][A-Z]")
_PASSWORD_NAME = re.compile(rf"(?i)passw|{PASSWORDS}")
_WORD = re.compile(r"[\w.-]*")
_NO_SECRET = re.compile(r"(?i)forgot|reset|change|page|next|prev|continuation|cursor|sync|max|min")
_NAME_OF_TOKEN = re.compile(r"(?i)token$")
_NAME_OF_ACCESS = re.compile(r"(?i)access|api|auth|refresh|bearer|secret|session|bot|user")
_OF_TEXT = frozenset({"logprob", "lemma", "pos_tag", "ner", "start_char"})
"""Names that stand beside a text's part."""
_PLACES = frozenset({"pos", "bytes", "offset", "start", "end", "dep", "tag"})
"""Names of which two or more do; one alone may stand beside a secret."""
_WORDS_ONLY = re.compile(r"[A-Za-z0-9.'/-]*")
_CHUNK = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+")
_PRONOUNCED = re.compile(r"(?i)(?!.*[^aeiouy]{4})(?=.*[aeiouy])[a-z]{3,}")
_PLACEHOLDER = re.compile(
    r"(?i)[<$%*{]|x{3,}|\.{3}|https?://|[0-9]{4}-[0-9]{2}-[0-9]{2}|"
    r"(?:your|my|the|some|example|placeholder|change[_-]?me|redacted|masked|hidden)(?:[\W_]|$)|"
    r"(?:none|null|nil|true|false|undefined|str(?:ing)?|password|passwd|secret|token|required|optional)$"
)
