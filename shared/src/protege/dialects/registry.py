"""Which dialect a path speaks."""

from __future__ import annotations

from typing import NamedTuple

from .anthropic import Anthropic
from .base import Dialect
from .gemini import Gemini
from .ollama import OllamaChat, OllamaGenerate
from .openai_chat import OpenAIChat
from .openai_completions import OpenAICompletions
from .openai_responses import OpenAIResponses
from .paths import place_of

_OPENAI = {"chat": OpenAIChat(), "responses": OpenAIResponses(), "completions": OpenAICompletions()}
_GEMINI = Gemini()
DIALECTS: dict[tuple[str, str], Dialect] = {
    **{(front, what): dialect for front in ("openai", "azure", "gemini") for what, dialect in _OPENAI.items()},
    ("anthropic", "messages"): Anthropic(),
    ("gemini", "generateContent"): _GEMINI,
    ("gemini", "streamGenerateContent"): _GEMINI,
    ("ollama", "chat"): OllamaChat(),
    ("ollama", "generate"): OllamaGenerate(),
}
"""By front and operation."""


class Operation(NamedTuple):
    """What a request is of a provider's API."""

    dialect: Dialect | None
    """How it is read; None if it only passes through."""
    front: str
    """Whose API it is: see `paths.Place`."""
    name: str
    """What it does: see `paths.Place`."""


def dialect_at(method: str, path: str) -> Operation:
    """What a request with this method and path is. path: decoded, without its query."""
    front, what = place_of(path)
    return Operation(DIALECTS.get((front, what)) if method.upper() == "POST" else None, front, what)
