"""graders: whether two answers are the same, by kind of output.

A task with its own idea of "the same answer" gets its own grader in a few lines:

    class SameDate(Grader):
        name = "same date"

        def agree(self, answer: str, teacher: str) -> bool:
            return parse_date(answer) == parse_date(teacher)

    protege.evaluate.register("date", SameDate())
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
