"""What every grader is, and the plainest one."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ...call import Request


class Grader(ABC):
    """Says whether two answers are the same. Answers are texts as `protege.chat.answer.answer_text` writes them.

    One grader judges many calls, from several threads at once.
    """

    name: str
    """What is measured, as reports print it."""
    similarity: bool = False
    """Whether it measures likeness, which is less than agreement."""

    def for_request(self, request: Request) -> Grader:
        """The grader of this call's answers: itself, unless something in the request (such as a schema) matters to
        them."""
        return self

    @abstractmethod
    def agree(self, answer: str, teacher: str) -> bool:
        """Whether the answer counts as the teacher's."""

    def score(self, answer: str, teacher: str) -> float:
        """How much of the answer matches the teacher's, 0 to 1."""
        return float(self.agree(answer, teacher))


class Exact(Grader):
    """The same text, except for white space around it."""

    name = "exact match"

    def agree(self, answer: str, teacher: str) -> bool:
        return answer.strip() == teacher.strip()
