"""A teacher for tests and demonstrations: an LLM that answers from a mapping or a function, without a network.

llm = ScriptedLLM({"Is it spam?": "yes"})
llm = ScriptedLLM(lambda request: text_of(request.messages[-1]).upper())
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from protege.adapter import Message, arguments_of, request_from
from protege.testing import Answers, answer_to, tokens_of, words

from .place import here, place_in
from .saying import SayingLLM
from .translate import request_fields, to_openai


class ScriptedLLM(SayingLLM, FunctionCallingLLM):
    """Answers from `answers`: by the last message's text, or by a function of the whole `protege.Request`.

    An answer is a text, an assistant message in OpenAI chat form, or an error to raise. Streams come word by word.
    Raises KeyError if a mapping holds no answer.
    """

    answers: Any
    model: str = "scripted-teacher"

    def __init__(self, answers: Answers, **options: Any) -> None:
        fields: dict[str, Any] = {"answers": answers, **options}
        super().__init__(**fields)

    @classmethod
    def class_name(cls) -> str:
        return "scripted_llm"

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name=self.model, is_chat_model=True, is_function_calling_model=True)

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        asked = ChatMessage(role=MessageRole.USER, content=user_msg) if isinstance(user_msg, str) else user_msg
        messages = [*(chat_history or ()), *([asked] if asked else ())]
        offered = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
        choice = {"tool_choice": "required" if tool_required else "auto"} if offered else {}
        return {"messages": messages, "tools": offered, **choice, **kwargs}

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if not calls and error_on_no_tool_call:
            raise ValueError("The answer calls no tool.")
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "",
                tool_name=call.tool_name,
                tool_kwargs=arguments_of({"arguments": call.tool_kwargs}),
            )
            for call in calls
        ]

    def _parts(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> list[ChatResponse]:
        return list(_streamed(self._whole(messages, options)))

    def _whole(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> ChatResponse:
        node = list(place_in(here()).node)
        request = request_from({"messages": to_openai(messages), **request_fields(self, options), "node": node})
        message: Message = answer_to(request, self.answers)
        read, written = tokens_of(request, message)
        used = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        raw = {"model": self.model, "choices": [{"message": dict(message), "finish_reason": reason}], "usage": used}
        return ChatResponse(message=_said(message), raw=raw, additional_kwargs=used)


def _said(message: Message) -> ChatMessage:
    text = message.get("content")
    blocks: list[Any] = [TextBlock(text=text)] if text else []
    for call in message.get("tool_calls") or ():
        function = call["function"]
        kwargs = {"tool_call_id": call.get("id"), "tool_name": function["name"], "tool_kwargs": function["arguments"]}
        blocks.append(ToolCallBlock(**kwargs))
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def _streamed(answer: ChatResponse) -> Iterator[ChatResponse]:
    """The answer as a stream. It is cumulative like LlamaIndex's: each part holds all before it; the last has the
    usage."""
    text = answer.message.content or ""
    calls = [block for block in answer.message.blocks if isinstance(block, ToolCallBlock)]
    raw: Any = answer.raw
    said = ""
    for word in words(text):
        said += word
        message = ChatMessage(role=MessageRole.ASSISTANT, blocks=[TextBlock(text=said), *calls])
        yield ChatResponse(message=message, delta=word, raw={"model": raw["model"]})
    yield ChatResponse(message=answer.message, delta="", raw=answer.raw, additional_kwargs=answer.additional_kwargs)
