"""An LLM that has its answer at once. It offers the eight ways to ask an LLM, with the callbacks and events of each."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from llama_index.core.base.llms.generic_utils import (
    chat_response_to_completion_response,
    stream_chat_response_to_completion_response,
)
from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
)
from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
from llama_index.core.llms.llm import LLM

F = TypeVar("F", bound=Callable[..., Any])


def _chat(function: F) -> F:
    return llm_chat_callback()(function)


def _completion(function: F) -> F:
    return llm_completion_callback()(function)


class SayingLLM(LLM):
    """Answers with `_whole`, or with `_parts` if it is asked for a stream.

    These two are not abstract, because LlamaIndex opens a span for every method that implements an abstract one.
    """

    def _whole(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> ChatResponse:
        """The answer to these messages."""
        raise NotImplementedError

    def _parts(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> list[ChatResponse]:
        """The answer as a stream. Each part holds all that came before it, as in LlamaIndex."""
        raise NotImplementedError

    @_chat
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._whole(messages, kwargs)

    @_chat
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._whole(messages, kwargs)

    @_chat
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return _each(self._parts(messages, kwargs))

    @_chat
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        return _aeach(self._parts(messages, kwargs))

    @_completion
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return chat_response_to_completion_response(self._whole([ChatMessage(prompt)], kwargs))

    @_completion
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        return chat_response_to_completion_response(self._whole([ChatMessage(prompt)], kwargs))

    @_completion
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        return stream_chat_response_to_completion_response(_each(self._parts([ChatMessage(prompt)], kwargs)))

    @_completion
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseAsyncGen:
        parts = _each(self._parts([ChatMessage(prompt)], kwargs))
        return _aeach(stream_chat_response_to_completion_response(parts))


def _each(parts: Sequence[ChatResponse]) -> ChatResponseGen:
    yield from parts


async def _aeach(parts: Iterable[Any]) -> AsyncGenerator[Any, None]:
    for part in parts:
        yield part
