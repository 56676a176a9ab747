"""The texts of one conversation, redacted together: a person has the same surrogate in all of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from ..errors import TooLong
from .detect import finds
from .leaves import Leaf, leaves
from .matching import Finder, Match
from .policy import RedactionPolicy
from .surrogates import WORD, Surrogates
from .writing import edited, written

MAX_CHARS = 200_000
"""The longest text: a longer one would take the model minutes, and no small model could learn from it."""

_ID_WORD = re.compile(r"(?<![^\W_])[^\W\d_]+(?![^\W_])")
_NO_WORD = re.compile(r"[\d@]")
_RUN = re.compile(r"[^\W\d_]+|\d+")
_FEW_DIGITS = 3
"""So many digits beside a surrogate are no find: a country's code, an extension."""


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
        self._originals, self._made = _Known(), _Known()

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
        originals = self._finder()
        return [edited(text, self._edits(text, originals)) for text in texts]

    def pseudonym(self, text: str) -> str:
        """An id as it is; one that names somebody, or holds personal data with a form, as a digest."""
        words = [word for word in _ID_WORD.findall(text) if len(word) > 2]
        read = self._found(" ".join(words).title()) if len(words) > 1 else []
        personal = any(type_ == "PERSON" for _, type_ in read) or finds(leaves(text), self._policy, forms=True)
        return self._surrogates.pseudonym(text) if personal or self.replaced([text]) != [text] else text

    def left(self, texts: Sequence[str]) -> list[str]:
        """The types of personal data that redacted texts still contain: what has a form, or was found before.

        The texts are taken apart as they were when they were first read. What a surrogate makes up is no find. In keys
        of JSON, where names stay, only a key that is nothing but a name of several words counts.
        """
        originals, made = self._finder(), self._made.finder(self._surrogates.made())
        left: list[str] = []
        for piece in (piece for text in texts for piece in leaves(text)):
            covered = list(made.matches(piece.text))
            named = piece.kind != "key" or self._is_name(piece.text, originals)
            if named and not all(self._excused(match, covered) for match in originals.matches(piece.text)):
                left.append("a name that was found")
            for found in finds([piece], self._policy, forms=True):
                if not self._surrogates.stays(found.text) and _uncovered(found.text, found.start, covered):
                    left.append(found.type)
        return left

    def _excused(self, match: Match, covered: Sequence[Match]) -> bool:
        """Whether what looks like an original is a surrogate or a part of one."""
        inside = any(other.start <= match.start and match.end <= other.end for other in covered)
        return inside or self._surrogates.is_surrogate(match.text)

    def _found(self, text: str) -> list[tuple[str, str]]:
        if text not in self._read:
            self._read[text] = [(found.text, found.type) for found in finds(leaves(text), self._policy)]
        return self._read[text]

    def _finder(self) -> Finder:
        """Finds everything that was found."""
        return self._originals.finder(self._surrogates.originals())

    def _edits(self, text: str, originals: Finder) -> Iterator[tuple[int, int, str]]:
        """Start, end and new text of all that changes."""
        for leaf in leaves(text):
            whole = self._whole(leaf)
            if whole is not None:
                yield (*leaf.view.place(0, len(leaf.text)), written(whole, leaf, 0, len(leaf.text), text))
            elif leaf.kind != "key":
                for match in originals.matches(leaf.text):
                    made = written(self._surrogate(match.text), leaf, match.start, match.end, text)
                    yield (*leaf.view.place(match.start, match.end), made)

    def _whole(self, leaf: Leaf) -> str | None:
        """The surrogate for a whole string of JSON; None if it is replaced part by part."""
        if leaf.kind == "key":
            return self._surrogates.exact.get(leaf.text) if _NO_WORD.search(leaf.text) else None
        return self._surrogates.alone.get(leaf.text) if leaf.kind == "value" else None

    def _surrogate(self, original: str) -> str:
        surrogates = self._surrogates
        made = surrogates.exact.get(original) or surrogates.words[original]
        if host := surrogates.hosts.get(original):
            path = made[len(host) :]  # a person named elsewhere may be named in the path
            for match in reversed(list(self._finder().matches(path))):
                path = f"{path[: match.start]}{self._surrogate(match.text)}{path[match.end :]}"
            made = f"{host}{path}"
            surrogates.paths[made] = None
        return made

    @staticmethod
    def _is_name(key: str, originals: Finder) -> bool:
        if len(WORD.findall(key)) < 2:
            return False
        rest, done = "", 0
        for match in originals.matches(key):
            rest, done = rest + key[done : match.start], match.end
        return done > 0 and WORD.search(rest + key[done:]) is None


class _Known:
    """A finder that grows with what is known."""

    def __init__(self) -> None:
        self._finder = Finder()
        self._seen: Counter[int] = Counter()

    def finder(self, known: Iterable[tuple[Collection[str], bool]]) -> Finder:
        """known: texts, and whether each may be a part of a name; more may have come since the last time."""
        for number, (texts, word) in enumerate(known):
            for text in islice(texts, self._seen[number], None):
                self._finder.add(text, word=word)
            self._seen[number] = len(texts)
        return self._finder


def _uncovered(text: str, start: int, covered: Sequence[Match]) -> bool:
    """Whether a find holds a word, or more digits than a few, that stand in no surrogate."""
    runs = [(run[0], start + run.start(), start + run.end()) for run in _RUN.finditer(text)]
    bare = [run for run, begin, end in runs if not any(m.start < end and begin < m.end for m in covered)]
    return any(not run.isdigit() for run in bare) or sum(map(len, bare)) > _FEW_DIGITS


def redacted_text(text: str, policy: RedactionPolicy | None = None) -> str:
    """One text by itself, redacted, to be shown to people."""
    return Redactor(policy or RedactionPolicy(), "").redact([text]).texts[0]
