"""What every grader is, and the plainest one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ...call import Request


class Grader(ABC):
    """Says whether two answers are the same. Answers are texts as `protege.answer.answer_text` writes them.

    name: what is measured, as reports print it. similarity: it measures likeness, which is less than agreement.
    One grader judges many calls, from several threads at once.
    """

    name: str
    similarity: bool = False

    def for_request(self, request: Request) -> Grader:
        """The grader of this call's answers: itself, unless what the request says (a schema) bears on them."""
        return self

    @abstractmethod
    def agree(self, answer: str, teacher: str) -> bool:
        """Whether the answer counts as the teacher's."""

    def score(self, answer: str, teacher: str) -> float:
        """How much of the answer is the teacher's, 0 to 1."""
        return float(self.agree(answer, teacher))


class Exact(Grader):
    """The same text, but for white space around it."""

    name = "exact match"

    def agree(self, answer: str, teacher: str) -> bool:
        return answer.strip() == teacher.strip()
