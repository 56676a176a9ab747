"""What only a teacher can answer: reasons that several dialects share."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

ANSWERS = "asks for several answers"
LOGPROBS = "asks for log-probabilities"
MEDIA = "holds images, audio or files"
OUTPUT = "asks for more than text"
STORED = "is about what the provider stores"
REASONING = "asks for reasoning"
OWN_TOOLS = "offers tools of the provider"
BACKGROUND = "runs in the background"
OLDER = "is in a form that is no longer used"
SOME_TOOLS = "may call some of its tools only"
SIGNED = "offers tools to a model that signs its calls"

_MEDIA_TYPES = (
    "image image_url input_image image_file input_audio audio file input_file document video video_url media "
    "container_upload"
)
_MEDIA = frozenset(_MEDIA_TYPES.split())
_MEDIA_FIELDS = ("inlineData", "inline_data", "fileData", "file_data", "images", "audio")
_DEEPER = ("content", "parts", "output", "functionResponse", "function_response")
_DEEPEST = 6
_CHOICES = ("function", "tool", "auto", "any", "none", "required")
_SIGNING = re.compile(r"gemini-(?:[3-9]|[1-9]\d|[a-z-]{1,30}latest)")


def holds_media(turns: Any, depth: int = 0) -> bool:
    """Whether messages of any form hold images, audio or files, or have them in a tool's result."""
    if isinstance(turns, Mapping):
        part = cast(Mapping[str, Any], turns)
        if part.get("type") in _MEDIA or any(part.get(name) for name in _MEDIA_FIELDS):
            return True
        return depth < _DEEPEST and any(
            holds_media(part[name], depth + 1) for name in _DEEPER if not isinstance(part.get(name), str | None)
        )
    if isinstance(turns, Sequence) and not isinstance(turns, str | bytes):
        return any(holds_media(turn, depth) for turn in cast(Sequence[Any], turns))
    return False


def offers_own_tools(tools: Sequence[Any]) -> bool:
    """Whether one of these tools, as `tools_of` gives them, is another than a function of the agent's."""
    return any(not isinstance(tool.get("function"), Mapping) for tool in tools)


def restricts_tools(choice: Any) -> bool:
    """Whether a choice of tools in the forms of OpenAI or Anthropic says more than which one, or whether one, must be
    called."""
    return isinstance(choice, Mapping) and cast(Any, choice).get("type") not in _CHOICES


def signs_calls(model: str, tools: Any) -> bool:
    """Whether this is a model whose tool calls are refused later without the signature that only it can give
    (https://ai.google.dev/gemini-api/docs/thought-signatures)."""
    return bool(tools) and _SIGNING.search(model.lower()) is not None
