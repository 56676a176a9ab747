"""Free text: how alike two answers are, which is less than being the same."""

from __future__ import annotations

import functools
import re
from abc import abstractmethod
from typing import Any

from ...errors import MissingDependency
from .base import Grader


class Likeness(Grader):
    """Answers with a likeness of at least `least` count as the same. Two texts may be alike and mean different
    things."""

    similarity = True
    measure = ""

    def __init__(self, least: float = 0.8) -> None:
        self.name = f"similarity: {self.measure} ≥ {least:.2f}"
        self.least = least

    def agree(self, answer: str, teacher: str) -> bool:
        return self.score(answer, teacher) >= self.least

    def score(self, answer: str, teacher: str) -> float:
        return 1.0 if answer.strip() == teacher.strip() else self.likeness(answer, teacher)

    @abstractmethod
    def likeness(self, answer: str, teacher: str) -> float:
        """The likeness of two different texts, 0 to 1."""


class TextSimilarity(Likeness):
    """chrF (Popović 2015: F-score of character n-grams up to 6, sacrebleu's defaults), as a share of 1.

    Raises MissingDependency without sacrebleu.
    """

    measure = "chrF"

    def likeness(self, answer: str, teacher: str) -> float:
        return _chrf().sentence_score(answer, [teacher]).score / 100


class RougeL(Likeness):
    """ROUGE-L (Lin 2004, section 3): F-score, β = 1, of the longest common subsequence of words in lower case.

    Raises MissingDependency without rapidfuzz, which finds the subsequence.
    """

    measure = "ROUGE-L"

    def likeness(self, answer: str, teacher: str) -> float:
        try:
            from rapidfuzz.distance import LCSseq  # extra `discover`: the other graders of text do without it
        except ImportError:
            raise MissingDependency("rapidfuzz", "discover") from None
        mine, theirs = _words(answer), _words(teacher)
        return 2 * LCSseq.similarity(mine, theirs) / (len(mine) + len(theirs)) if mine and theirs else 0.0


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@functools.cache
def _chrf() -> Any:
    try:
        from sacrebleu.metrics.chrf import CHRF  # extra `discover`: the other graders of text do without it
    except ImportError:
        raise MissingDependency("sacrebleu", "discover") from None
    return CHRF()
