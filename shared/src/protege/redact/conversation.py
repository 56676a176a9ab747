"""One conversation's texts, redacted together: whoever is named in one is the same other person in all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import TooLong
from . import patterns
from .detect import find
from .leaves import pieces, readable, rewritten
from .policy import Policy
from .surrogates import WORD, Surrogates

MAX_CHARS = 200_000
"""Of one text: a longer one would take the model minutes, and no small model could be taught on it."""

_LETTER = r"[^\W\d_]"
_BEFORE = r"(?<!\w)|(?<=\\[nrt])"
_BEFORE_WORD = rf"(?<!{_LETTER})|(?<=\\[nrt])|(?<=%[0-9A-Fa-f]{{2}})"  # a word may be a part of a_name, or of a%20path
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
"""Thai, Lao, Burmese, Khmer, Kana, Han, Hangul: words stand there without spaces between them."""
_NO_WORD = re.compile(r"[\d@]")


@dataclass(frozen=True, slots=True)
class Redacted:
    """texts: in the order given. found: how many spans of each type were replaced."""

    texts: list[str]
    found: Counter[str]


class Redactor:
    """Redacts the texts of one conversation, call by call.

    conversation: its id; the same conversation and key give the same surrogates. keep: words that stay, case-folded:
    what the agent's author wrote into every prompt, the labels to choose from, names of tools. read: what was found in
    texts so far, by text; conversations of one policy may have it in common.
    """

    def __init__(
        self,
        policy: Policy,
        conversation: str,
        keep: frozenset[str] = frozenset(),
        read: dict[str, list[tuple[str, str]]] | None = None,
    ) -> None:
        self._policy = policy
        self._read = {} if read is None else read  # each call of a conversation brings its history again
        self._surrogates = Surrogates(f"{policy.key} {conversation}", keep)
        self._written: set[str] = set()
        self._originals: tuple[int, re.Pattern[str] | None] = (0, None)

    def redact(self, texts: Sequence[str]) -> Redacted:
        """The texts with surrogates in the place of personal data; what is found in one goes from all of them.

        Raises TooLong where a text is longer than `MAX_CHARS`.
        """
        found = self.learn(texts)
        return Redacted(self.replaced(texts), found)

    def learn(self, texts: Sequence[str]) -> Counter[str]:
        """Find what is personal in these texts, so that it goes from all texts that are replaced from now on.

        Raises TooLong where one is longer than `MAX_CHARS`; of those before it, it has learnt.
        """
        found: Counter[str] = Counter()
        for text in texts:
            if len(text) > MAX_CHARS:
                raise TooLong(
                    f"A text of {len(text):,} characters is too long to be looked through.",
                    f"Give it in parts of at most {MAX_CHARS:,}.",
                )
            if text not in self._read:
                said = readable(text)
                self._read[text] = [(said[start:end], type_) for start, end, type_ in find(said, self._policy)]
            for value, type_ in self._read[text]:
                found[type_] += 1
                self._surrogates.add(value, type_)
        return found

    def replaced(self, texts: Sequence[str]) -> list[str]:
        """The texts with surrogates for what was learnt. Keys of JSON stay, save those that are a number or an e-mail
        address that was found."""
        return [rewritten(text, self._in_prose, self._whole) for text in texts]

    def left(self, texts: Sequence[str]) -> list[str]:
        """Types of what is personal in redacted texts still: what has a form, or was found in this conversation.

        Of the keys of JSON, where names stay, those tell that are a name of several words and no more.
        """
        surrogates = self._surrogates
        made = {*surrogates.exact.values(), *surrogates.words.values(), *self._written, *self._policy.allow}
        said = {is_key: list[str]() for is_key in (False, True)}
        for text in texts:
            for piece, is_key in pieces(text):
                said[is_key].append(piece)
        whole = "\n".join([*said[False], *said[True]])  # no form goes over a line's end
        forms = ((whole[start:end], type_) for start, end, type_ in patterns.spans(whole, self._policy.types))
        left = [type_ for value, type_ in forms if value not in made and not surrogates.stays(value)]
        keys = [key for key in set(said[True]) if self._is_name(key)]
        there = set(self._found_in("\n".join([*said[False], *keys])))
        if any(not surrogates.stands(original) for original in there - made):
            left.append("a name that was found")
        return left

    def _whole(self, value: str, is_key: bool) -> str | None:
        """What a string of JSON becomes as a whole, if that is not by its parts."""
        if not is_key:
            return self._surrogates.alone.get(value)
        return self._surrogates.exact.get(value) if _NO_WORD.search(value) else None

    def _found_in(self, text: str) -> list[str]:
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
            made = f"{host}{self._in_prose(made[len(host) :])}"  # who is named elsewhere may be named in a path
            self._written.add(made)
        return made

    def _any_original(self) -> re.Pattern[str] | None:
        """What was found, as one pattern, made again where there is more of it."""
        exact, words = self._surrogates.exact, self._surrogates.words
        if len(exact) + len(words) != self._originals[0]:
            self._originals = (len(exact) + len(words), _any_of(exact, words))
        return self._originals[1]


def redacted_text(text: str, policy: Policy | None = None) -> str:
    """One text by itself, redacted: for what is shown to people."""
    return Redactor(policy or Policy(), "").redact([text]).texts[0]


def _any_of(exact: Iterable[str], words: Iterable[str]) -> re.Pattern[str]:
    """Any of these, the longest first: the exact ones first, as wholes; words between letters nowhere."""
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
