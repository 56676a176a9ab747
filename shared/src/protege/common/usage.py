"""What a call used, from any provider's or framework's usage: the one table of the names of its counts.

OpenAI, Gemini, OpenTelemetry and LangChain count the tokens that came from a cache, or went into one, within the input;
Anthropic, Bedrock and Langfuse beside it. Gemini and Langfuse count reasoning beside the output. Here the input holds
all that was read, and the output all that was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from . import checks


class Tokens(NamedTuple):
    """The tokens of a call; None where nothing is said."""

    input: int | None = None
    """Tokens of the request, cached ones included."""
    output: int | None = None
    """Tokens of the answer, reasoning included."""
    cache_read: int | None = None
    """Those of the input that came from the provider's cache."""
    cache_write: int | None = None
    """Those of the input that were written into the cache."""
    reasoning: int | None = None
    """Those of the output that were reasoning."""


_INPUT = (
    "input_tokens prompt_tokens promptTokenCount prompt_token_count inputTokens promptTokens prompt_eval_count input "
    "request_tokens gen_ai.usage.input_tokens"
)
_OUTPUT = (
    "output_tokens completion_tokens candidatesTokenCount candidates_token_count outputTokens completionTokens "
    "eval_count output response_tokens gen_ai.usage.output_tokens"
)
_CACHE_READ = (
    "cache_read_tokens prompt_tokens_details.cached_tokens input_tokens_details.cached_tokens "
    "input_token_details.cache_read cache_read.input_tokens cache_read_input_tokens cachedContentTokenCount "
    "cached_content_token_count cacheReadInputTokens prompt_cache_hit_tokens cached_tokens cachedInputTokens "
    "input_cached_tokens input_cache_read prompt_details.cache_read inputTokenDetails.cacheReadTokens "
    "inputTokens.cacheRead cachedPromptTokens num_cached_tokens details.cached_tokens details.cache_read_tokens"
)
_CACHE_WRITE = (
    "cache_write_tokens prompt_tokens_details.cache_creation_tokens prompt_tokens_details.cache_write_tokens "
    "input_token_details.cache_creation cache_creation.input_tokens cache_creation_input_tokens cacheWriteInputTokens "
    "input_cache_creation prompt_details.cache_write inputTokenDetails.cacheWriteTokens inputTokens.cacheWrite "
    "details.cache_write_tokens"
)
_REASONING = (
    "reasoning_tokens completion_tokens_details.reasoning_tokens output_tokens_details.reasoning_tokens "
    "output_token_details.reasoning thoughtsTokenCount thoughts_token_count reasoningTokens output_reasoning_tokens "
    "output_reasoning completion_details.reasoning reasoning.output_tokens outputTokenDetails.reasoningTokens "
    "outputTokens.reasoning details.reasoning_tokens"
)
_INPUT_NAMES, _OUTPUT_NAMES = tuple(_INPUT.split()), tuple(_OUTPUT.split())
USAGE_NAMES = (*_INPUT_NAMES, *_OUTPUT_NAMES)
"""What the counts of input and output may be called."""
_DETAILS = tuple(
    tuple(tuple(path.split(".")) for path in paths.split()) for paths in (_CACHE_READ, _CACHE_WRITE, _REASONING)
)
_WITH_DETAILS = frozenset(path[0] for paths in _DETAILS for path in paths)
_CACHE_BESIDE = {
    "input_tokens": ("cache_read_input_tokens", "cache_creation_input_tokens"),
    "inputTokens": ("cacheReadInputTokens", "cacheWriteInputTokens"),
    "input": ("input_cached_tokens", "input_cache_read", "input_cache_creation", "cache_read_input_tokens"),
}
"""By the name of the input's count: the counts of cached tokens that are not part of it."""
_TOOLS_BESIDE = {
    "promptTokenCount": "toolUsePromptTokenCount",
    "prompt_token_count": "tool_use_prompt_token_count",
}
"""Gemini counts the results of its own tools beside the input."""
_REASONING_BESIDE = {
    "candidatesTokenCount": ("thoughtsTokenCount",),
    "candidates_token_count": ("thoughts_token_count",),
    "output": ("output_reasoning_tokens", "output_reasoning"),
}


def tokens_used(usage: Mapping[str, Any]) -> Tokens:
    """The tokens that a usage in any known form tells. Raises BadCall if the input or the output is no count; details
    that are none are left out."""
    if isinstance(counted := usage.get("tokens"), Mapping) and "billed_units" in usage:  # Cohere's
        usage = cast(Mapping[str, Any], counted)
    read_name, read = _count(usage, _INPUT_NAMES)
    write_name, written = _count(usage, _OUTPUT_NAMES)
    if read is not None and (tools := _TOOLS_BESIDE.get(read_name)) and checks.is_figure(usage.get(tools), "tokens"):
        read = _within(read + int(usage[tools]))
    if _WITH_DETAILS.isdisjoint(usage):
        return Tokens(read, written)
    cache_read, cache_write, reasoning = (_detail(usage, paths) for paths in _DETAILS)
    cached = (cache_read or 0) + (cache_write or 0)
    # Cached tokens beyond the input cannot be a part of it, whatever the names.
    if read is not None and cached and (cached > read or not usage.keys().isdisjoint(_CACHE_BESIDE.get(read_name, ()))):
        read = _within(read + cached)
    if written is not None and reasoning and not usage.keys().isdisjoint(_REASONING_BESIDE.get(write_name, ())):
        written = _within(written + reasoning)
    return Tokens(read, written, cache_read, cache_write, reasoning)


def _within(count: int) -> int:
    """A sum of counts that may be, so that a call which holds it can be read again."""
    return min(count, int(checks.RANGES["tokens"][1]))


def _count(usage: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, int | None]:
    for name in names:
        if isinstance(held := usage.get(name), Mapping):  # Vercel's SDK
            usage = {**usage, name: cast(Mapping[str, Any], held).get("total")}
        if (value := checks.number(usage, name, "tokens")) is not None:
            return name, int(value)
    return "", None


def _detail(usage: Mapping[str, Any], paths: tuple[tuple[str, ...], ...]) -> int | None:
    for path in paths:
        value: Any = usage
        for name in path:
            value = cast(Mapping[str, Any], value).get(name) if isinstance(value, Mapping) else None
        if value is not None and checks.is_figure(value, "tokens"):
            return int(value)
    return None
