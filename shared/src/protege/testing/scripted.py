"""The parts of a teacher that answers from a script. Every adapter builds its own such teacher from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from ..call import Message, Request, text_of

ScriptedAnswer: TypeAlias = str | Message | BaseException
"""A text, an assistant message in OpenAI chat form, or an error to raise."""

Answers: TypeAlias = Mapping[str, Any] | Callable[[Request], Any]
"""From the last message's text, or from the whole request, to a `ScriptedAnswer`."""


def answer_to(request: Request, answers: Answers) -> Any:
    """The script's answer. A text becomes an assistant message, an error is raised, anything else stays as it is.

    Raises KeyError if a mapping holds no answer.
    """
    answer = answers(request) if callable(answers) else answers[text_of(request.messages[-1])]
    if isinstance(answer, BaseException):
        raise answer
    return {"role": "assistant", "content": answer} if isinstance(answer, str) else answer


def tokens(text: str) -> int:
    """The number of words and signs in a text, which stand in for tokens."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def words(text: str) -> list[str]:
    """The text in parts of one word each, with their blanks; one part if there are no words."""
    return re.findall(r"\s*+\S+(?:\s++\Z)?|\s+", text) or [""]


def tokens_of(request: Request, message: Message, count: Callable[[str], int] = tokens) -> tuple[int, int]:
    """The tokens of the request and of the answer."""
    read = "\n".join([*map(text_of, request.messages), str(list(request.tools) or "")])
    return count(read), count(f"{message.get('content')}{message.get('tool_calls', '')}")
