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
GUIDED = "asks for a form that is no JSON schema"
PREFILLED = "begins the answer itself"
CITED = "asks for citations"
ODD = "has a `stream` or a limit of tokens that is none"
SIGNED = "offers tools to a model that signs its calls"

_MEDIA_TYPES = (
    "image image_url input_image image_file input_audio audio file input_file document video video_url media "
    "container_upload"
)
_MEDIA = frozenset(_MEDIA_TYPES.split())
_MEDIA_FIELDS = ("inlineData", "inline_data", "fileData", "file_data", "images", "audio")
_DEEPER = ("content", "parts", "output", "functionResponse", "function_response")
_DEEPEST = 6
_CODE = ("executableCode", "executable_code", "codeExecutionResult", "code_execution_result")
_GUIDES = (
    "guided_json guided_regex guided_choice guided_grammar structured_outputs structural_tag regex ebnf grammar "
    "json_schema"
)
_GUIDING = tuple(_GUIDES.split())
"""What servers of open models call the form that they force an answer into."""
_SEARCHING = re.compile(r"-search-(?:preview|api)|:online$|(?:^|/)sonar")
_NOT_ONLY_TEXT = re.compile(r"-audio|-image|-tts")
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


def named(value: Mapping[str, Any], *names: str) -> Any:
    """The value of the first of these fields that is there."""
    return next((value[name] for name in names if value.get(name) is not None), None)


def thinks(config: Mapping[str, Any]) -> bool:
    """Whether thinking is asked for in Gemini's form; a budget of 0 turns it off."""
    level, budget = named(config, "thinkingLevel", "thinking_level"), named(config, "thinkingBudget", "thinking_budget")
    return bool(level or budget or named(config, "includeThoughts", "include_thoughts"))


def searches(model: str) -> bool:
    """Whether this is a model that looks its answers up."""
    return _SEARCHING.search(model.lower()) is not None


def gives_more_than_text(model: str) -> bool:
    """Whether this is a model whose answers are sounds or images."""
    return _NOT_ONLY_TEXT.search(model.lower()) is not None


def is_on(option: Any) -> bool:
    """Whether an option such as `thinking` is turned on: true, or an object whose type is not "disabled"."""
    if isinstance(option, Mapping):
        return cast(Mapping[str, Any], option).get("type", "enabled") != "disabled"
    return bool(option)


def guides(body: Mapping[str, Any]) -> bool:
    """Whether a request forces its answer into a form in a way of the server's own."""
    return any(body.get(name) for name in _GUIDING)


def prefills(turns: Any) -> bool:
    """Whether the last message is the beginning of the answer."""
    last = cast(Sequence[Any], turns)[-1] if isinstance(turns, list) and turns else None
    return isinstance(last, Mapping) and cast(Any, last).get("role") == "assistant"


def cites(turns: Any, depth: int = 0) -> bool:
    """Whether messages in Anthropic's form hold results of a search, or ask that answers cite them."""
    if isinstance(turns, Mapping):
        part = cast(Mapping[str, Any], turns)
        asked = part.get("citations")
        if isinstance(asked, Mapping) and cast(Any, asked).get("enabled"):
            return True
        return (
            depth < _DEEPEST and not isinstance(part.get("content"), str | None) and cites(part["content"], depth + 1)
        )
    return isinstance(turns, list) and any(cites(turn, depth) for turn in cast(list[Any], turns))


def ran_code(turns: Any) -> bool:
    """Whether turns in Gemini's form hold code that Gemini ran itself."""
    held = [turns] if isinstance(turns, Mapping) else turns if isinstance(turns, list) else []
    parts = [part for turn in cast(list[Any], held) if isinstance(turn, Mapping) for part in _parts(cast(Any, turn))]
    return any(part.get(name) for part in parts if isinstance(part, Mapping) for name in _CODE)


def _parts(turn: Mapping[str, Any]) -> Sequence[Any]:
    parts = turn.get("parts") or ()
    return [parts] if isinstance(parts, Mapping) else parts
