"""The texts of one conversation, redacted together: a person has the same surrogate in all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import TooLong
from . import patterns
from .detect import find
from .leaves import pieces, readable, rewritten
from .policy import RedactionPolicy
from .surrogates import WORD, Surrogates

MAX_CHARS = 200_000
"""The longest text: a longer one would take the model minutes, and no small model could learn from it."""

_LETTER = r"[^\W\d_]"
_BEFORE = r"(?<!\w)|(?<=\\[nrt])"
_BEFORE_WORD = rf"(?<!{_LETTER})|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{{2}})"  # a word may be a part of a_name, or of a%20path
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Thai, Lao, Burmese, Khmer, Kana, Han, Hangul: words are written without spaces between them."""
_ID_WORD = re.compile(r"(?<![^\W_])[^\W\d_]+(?![^\W_])")
_NO_WORD = re.compile(r"[\d@]")


@dataclass(frozen=True, slots=True)
class Redacted:
    """The redacted texts of one call."""

    texts: list[str]
    """In the order given."""
    found: Counter[str]
    """The number of spans found, by type."""


class Redactor:
    """Redacts the texts of one conversation, call by call.

    conversation: its id; the same conversation and the same key of the policy give the same surrogates.
    keep: words that stay, case-folded: what the agent's author wrote into every prompt, the labels to choose from,
    names of tools.
    read: a cache of what was found, by text; conversations with the same policy may share it.
    """

    def __init__(
        self,
        policy: RedactionPolicy,
        conversation: str,
        keep: frozenset[str] = frozenset(),
        read: dict[str, list[tuple[str, str]]] | None = None,
    ) -> None:
        self._policy = policy
        self._read = {} if read is None else read  # each call of a conversation repeats its history
        self._surrogates = Surrogates(f"{policy.key} {conversation}", keep)
        self._written: set[str] = set()
        self._originals: tuple[int, re.Pattern[str] | None] = (0, None)

    def redact(self, texts: Sequence[str]) -> Redacted:
        """The texts with surrogates for personal data. What is found in one text is replaced in all of them.

        Raises TooLong if a text is longer than `MAX_CHARS`.
        """
        found = self.learn(texts)
        return Redacted(self.replaced(texts), found)

    def learn(self, texts: Sequence[str]) -> Counter[str]:
        """Find personal data in these texts, so that `replaced` replaces it in all texts from now on.

        Returns the number of spans found, by type. Raises TooLong if a text is longer than `MAX_CHARS`; the texts
        before it have been learnt by then.
        """
        found: Counter[str] = Counter()
        for text in texts:
            if len(text) > MAX_CHARS:
                raise TooLong(
                    f"A text of {len(text):,} characters is too long to search for personal data.",
                    f"Give it in parts of at most {MAX_CHARS:,}.",
                )
            for value, type_ in self._found(text):
                found[type_] += 1
                self._surrogates.add(value, type_)
        return found

    def replaced(self, texts: Sequence[str]) -> list[str]:
        """The texts with surrogates for what was learnt.

        Keys of JSON stay, except those that are a number or an e-mail address that was found.
        """
        return [rewritten(text, self._in_prose, self._whole) for text in texts]

    def pseudonym(self, text: str) -> str:
        """An id as it is; one that names somebody, or holds personal data with a form, as a digest."""
        words = [word for word in _ID_WORD.findall(text) if len(word) > 2]
        read = self._found(" ".join(words).title()) if len(words) > 1 else []
        personal = any(type_ == "PERSON" for _, type_ in read) or any(patterns.spans(text, self._policy.types))
        return self._surrogates.pseudonym(text) if personal or self.replaced([text]) != [text] else text

    def left(self, texts: Sequence[str]) -> list[str]:
        """The types of personal data that redacted texts still contain: what matches a pattern, or was found before.

        In keys of JSON, where names stay, only a key that is nothing but a name of several words counts.
        """
        surrogates = self._surrogates
        made = {*surrogates.exact.values(), *surrogates.words.values(), *self._written, *self._policy.allow}
        values, all_keys = list[str](), list[str]()
        for text in texts:
            for piece, is_key in pieces(text):
                (all_keys if is_key else values).append(piece)
        whole = "\n".join([*values, *all_keys])  # no pattern matches across lines
        matches = ((whole[start:end], type_) for start, end, type_ in patterns.spans(whole, self._policy.types))
        left = [type_ for value, type_ in matches if value not in made and not surrogates.stays(value)]
        keys = [key for key in set(all_keys) if self._is_name(key)]
        originals = set(self._originals_in("\n".join([*values, *keys])))
        if any(not surrogates.is_surrogate(original) for original in originals - made):
            left.append("a name that was found")
        return left

    def _found(self, text: str) -> list[tuple[str, str]]:
        if text not in self._read:
            plain = readable(text)
            self._read[text] = [(plain[start:end], type_) for start, end, type_ in find(plain, self._policy)]
        return self._read[text]

    def _whole(self, value: str, is_key: bool) -> str | None:
        """The surrogate for a whole string of JSON; None if it is replaced part by part."""
        if not is_key:
            return self._surrogates.alone.get(value)
        return self._surrogates.exact.get(value) if _NO_WORD.search(value) else None

    def _originals_in(self, text: str) -> list[str]:
        anything = self._any_original()
        return anything.findall(text) if anything else []

    def _is_name(self, key: str) -> bool:
        anything = self._any_original()
        if anything is None or len(WORD.findall(key)) < 2:
            return False
        return WORD.search(anything.sub("", key)) is None

    def _in_prose(self, text: str) -> str:
        anything = self._any_original()
        return anything.sub(self._surrogate, text) if anything else text

    def _surrogate(self, match: re.Match[str]) -> str:
        original, surrogates = match[0], self._surrogates
        made = surrogates.exact.get(original) or surrogates.words[original]
        if host := surrogates.hosts.get(original):
            made = f"{host}{self._in_prose(made[len(host) :])}"  # a person named elsewhere may be named in the path
            self._written.add(made)
        return made

    def _any_original(self) -> re.Pattern[str] | None:
        """One pattern for everything that was found, compiled anew when there is more; None if nothing was found."""
        exact, words = self._surrogates.exact, self._surrogates.words
        if len(exact) + len(words) != self._originals[0]:
            self._originals = (len(exact) + len(words), _any_of(exact, words))
        return self._originals[1]


def redacted_text(text: str, policy: RedactionPolicy | None = None) -> str:
    """One text by itself, redacted, to be shown to people."""
    return Redactor(policy or RedactionPolicy(), "").redact([text]).texts[0]


def _any_of(exact: Iterable[str], words: Iterable[str]) -> re.Pattern[str]:
    """A pattern for any of these texts, longest first; exact ones match before words, and words never inside a word."""
    unspaced = [text for text in (*exact, *words) if _UNSPACED.search(text)]
    kinds = (
        (rf"(?:{_BEFORE})(?:", exact, r")(?!\w)"),
        (rf"(?:{_BEFORE_WORD})(?:", words, rf")(?!{_LETTER})"),
        ("(?:", unspaced, ")"),
    )
    parts = [f"{before}{_alternatives(texts)}{after}" for before, texts, after in kinds if texts]
    return re.compile("|".join(parts))


def _alternatives(texts: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(texts, key=lambda text: (-len(text), text))))
