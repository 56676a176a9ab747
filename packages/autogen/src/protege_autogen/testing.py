"""A teacher for tests and demonstrations: a model client that answers from a mapping or a function, without a network.

client = ScriptedClient({"Is it spam?": "yes"})
client = ScriptedClient(lambda request: text_of(request.messages[-1]).upper())
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from autogen_core import CancellationToken
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,  # pyright: ignore[reportDeprecated]
    ModelFamily,
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from protege.adapter import request_from
from protege.testing import Answers, answer_to, tokens, tokens_of, words

from .place import place_of
from .translate import from_openai, read_request


class ScriptedClient(ChatCompletionClient):
    """Answers from `answers`: by the last message's text, or by a function of the whole `protege.Request`.

    An answer is a text, an assistant message in OpenAI chat form, AutoGen's `CreateResult`, or an error to raise.
    model: what it calls itself. count: from a text to its tokens; by default one token for each word or sign. Streams
    come word by word. Raises KeyError if a mapping holds no answer, CancelledError if the token is cancelled.
    """

    def __init__(
        self, answers: Answers, model: str = "scripted-teacher", *, count: Callable[[str], int] = tokens
    ) -> None:
        self.model = model
        self._answers = answers
        self._count = count
        self._used = RequestUsage(0, 0)

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        token = options.get("cancellation_token")
        if isinstance(token, CancellationToken) and token.is_cancelled():
            raise asyncio.CancelledError
        said, fields = read_request(self, messages, options)
        request = request_from({"messages": said, **fields, "node": place_of(token).node})
        answer = answer_to(request, self._answers)
        if not isinstance(answer, CreateResult):
            answer = from_openai(answer, *tokens_of(request, answer, self._count))
        read, written = answer.usage.prompt_tokens, answer.usage.completion_tokens
        self._used = RequestUsage(self._used.prompt_tokens + read, self._used.completion_tokens + written)
        return answer

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        result = await self.create(messages, **options)
        if isinstance(result.content, str) and result.content:
            for word in words(result.content):
                yield word
        yield result

    async def close(self) -> None:
        pass

    def actual_usage(self) -> RequestUsage:
        return self._used

    def total_usage(self) -> RequestUsage:
        return self._used

    def count_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        said, fields = read_request(self, messages, {"tools": tools})
        return tokens_of(request_from({"messages": said, **fields}), {}, self._count)[0]

    def remaining_tokens(self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = ()) -> int:
        return 128_000 - self.count_tokens(messages, tools=tools)

    @property
    def capabilities(self) -> ModelCapabilities:  # pyright: ignore[reportDeprecated]
        return ModelCapabilities(vision=True, function_calling=True, json_output=True)  # pyright: ignore

    @property
    def model_info(self) -> ModelInfo:
        known: Mapping[str, Any] = {"vision": True, "function_calling": True, "json_output": True}
        return ModelInfo(family=ModelFamily.UNKNOWN, structured_output=True, **known)
