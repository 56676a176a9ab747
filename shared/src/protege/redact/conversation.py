"""One conversation's texts, redacted together: whoever is named in one is the same other person in all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from . import patterns
from .detect import find
from .policy import Policy
from .span import Span
from .surrogates import Surrogates

MAX_CHARS = 200_000
"""Of one text: a longer one would take the model minutes, and no small model could be taught on it."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """texts: in the order given. found: how many spans of each type were replaced."""

    texts: list[str]
    found: Counter[str]


class Redactor:
    """Redacts the texts of one conversation, call by call.

    conversation: its id; the same conversation and key give the same surrogates. keep: words that stay, case-folded:
    what the agent's author wrote into every prompt, the labels to choose from, names of tools.
    """

    def __init__(self, policy: Policy, conversation: str, keep: frozenset[str] = frozenset()) -> None:
        self._policy = policy
        self._read: dict[str, list[Span]] = {}  # each call of a conversation brings its history again
        self._surrogates = Surrogates(f"{policy.key} {conversation}", keep)

    def redact(self, texts: Sequence[str]) -> Redacted:
        """The texts with surrogates in the place of personal data; what is found in one goes from all of them.

        Raises ValueError where a text is longer than `MAX_CHARS`.
        """
        found = self.learn(texts)
        return Redacted([self._replaced(text) for text in texts], found)

    def learn(self, texts: Sequence[str]) -> Counter[str]:
        """Find what is personal in these texts, so that it goes from all texts that are redacted from now on."""
        found: Counter[str] = Counter()
        for text in texts:
            if len(text) > MAX_CHARS:
                raise ValueError(f"a text of {len(text):,} characters")
            if text not in self._read:
                self._read[text] = find(text, self._policy)
            for start, end, type_ in self._read[text]:
                found[type_] += 1
                self._surrogates.add(text[start:end], type_)
        return found

    def left(self, texts: Sequence[str]) -> list[str]:
        """Types of what is personal in redacted texts still: what has a form, or was found in this conversation."""
        surrogates = self._surrogates
        made = {*surrogates.exact.values(), *surrogates.words.values(), *self._policy.allow}
        originals = _any_of([*surrogates.exact, *surrogates.words])
        left: list[str] = []
        for text in texts:
            spans = patterns.spans(text, self._policy.types)
            left += [span.type for span in spans if text[span.start : span.end] not in made]
            if originals and {match[0] for match in originals.finditer(text)} - made:
                left.append("a name that was found")
        return left

    def _replaced(self, text: str) -> str:
        by = {**self._surrogates.words, **self._surrogates.exact}
        anything = _any_of(by)
        return anything.sub(lambda match: by[match[0]], text) if anything else text


def redacted_text(text: str, policy: Policy | None = None) -> str:
    """One text by itself, redacted: for what is shown to people."""
    return Redactor(policy or Policy(), "").redact([text]).texts[0]


def _any_of(texts: Sequence[str] | dict[str, str]) -> re.Pattern[str] | None:
    """Any of these, the longest first, as whole words."""
    if not texts:
        return None
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile(rf"(?:(?<!\w)|(?<=\\[nrt]))(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
