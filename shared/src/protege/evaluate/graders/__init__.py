"""Whether two answers are the same, by kind of output.

A task whose answers are the same under other terms gets its own grader in a few lines:

    class SameDate(Grader):
        name = "same date"

        def agree(self, answer: str, teacher: str) -> bool:
            return parse_date(answer) == parse_date(teacher)

    protege.evaluate.register("date", SameDate())
"""

from .base import Exact, Grader
from .code import Code
from .json_fields import JsonFields
from .label import Label
from .llm_judge import LlmJudge, Measured, measured
from .numbers import Numbers
from .registry import grader_for, grader_names, register
from .spans import Spans
from .sql import Sql
from .text import Likeness, RougeL, TextSimilarity
from .tool_calls import ABSENT, ToolCalls
from .values import Rules

__all__ = [
    "ABSENT",
    "Code",
    "Exact",
    "Grader",
    "JsonFields",
    "Label",
    "Likeness",
    "LlmJudge",
    "Measured",
    "Numbers",
    "RougeL",
    "Rules",
    "Spans",
    "Sql",
    "TextSimilarity",
    "ToolCalls",
    "grader_for",
    "grader_names",
    "measured",
    "register",
]
