"""Labels: one of a few texts."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

from ...common.wrappers import bare
from .base import Grader


class Label(Grader):
    """The same label, except for white space around it.

    aliases: maps another name of a label to that label, such as {"cancelled": "canceled"}. ignore_case: "Refund" is
    "refund", in aliases too; full width and composed accents (Unicode's NFKC) make no difference either.
    """

    def __init__(self, aliases: Mapping[str, str] | None = None, *, ignore_case: bool = False) -> None:
        self.name = "label, any case" if ignore_case else "label"
        self._ignore_case = ignore_case
        self._aliases = {self._folded(other): self._folded(label) for other, label in (aliases or {}).items()}

    def agree(self, answer: str, teacher: str) -> bool:
        return self._label(answer) == self._label(teacher)

    def _label(self, text: str) -> str:
        label = self._folded(text)
        return self._aliases.get(label, label)

    def _folded(self, text: str) -> str:
        return unicodedata.normalize("NFKC", bare(text)).casefold() if self._ignore_case else bare(text)
