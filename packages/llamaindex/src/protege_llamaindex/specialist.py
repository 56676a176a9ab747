"""A specialist's answer in the form of the wrapped LLM's answers, with the events that tracers expect."""

# pyright: reportPrivateImportUsage=false, reportUntypedFunctionDecorator=false
# LlamaIndex passes names on without exporting them, and its decorators have no types.
from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    LLMMetadata,
    MessageRole,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.llm import LLM
from llama_index.core.output_parsers.utils import extract_json_str
from protege.adapter import Message, Outcome, arguments_of
from pydantic import BaseModel

from .saying import SayingLLM
from .translate import is_openai


def shaped(outcome: Outcome, llm: LLM, form: type[BaseModel] | None, *, streams: bool) -> SpecialistLLM | None:
    """The specialist's answer as an LLM to be asked once, as `llm` would be; None if the answer breaks the form.

    form: the class that the agent asked for, which may demand more than its schema tells. streams: whether it will be
    asked for a stream. Raises ValueError if the answer has no form in LlamaIndex.
    """
    assert outcome.message is not None
    if form is not None and not _fits(outcome.message, form):
        return None
    answer = ChosenAnswer(outcome, is_openai(llm))
    said = answer.parts() if streams else [answer.whole()]
    metadata = llm.metadata.model_copy(update={"model_name": outcome.specialist or "specialist"})
    return SpecialistLLM(callback_manager=llm.callback_manager, said=said, described=metadata)


class ChosenAnswer:
    """An accepted answer as LlamaIndex's responses.

    openai: whether raw answers have the types of OpenAI's client, rather than plain objects. Raises ValueError if a
    tool's arguments are not JSON.
    """

    def __init__(self, outcome: Outcome, openai: bool) -> None:
        assert outcome.message is not None
        self._said: Message = outcome.message
        self._openai = openai
        self._model = outcome.specialist
        self._calls = [dict(call) for call in outcome.message.get("tool_calls") or ()]
        read, written = outcome.input_tokens or 0, outcome.output_tokens or 0
        self._usage = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        self._head = {"id": f"protege-{uuid.uuid4()}", "created": int(time.time()), "model": self._model}
        for call in self._calls:
            arguments_of(call["function"])

    def whole(self) -> ChatResponse:
        """The answer as one response."""
        message = {**self._said, "role": "assistant", "content": self._said.get("content")}
        choice = {"index": 0, "message": message, "finish_reason": self._reason, "logprobs": None}
        raw = self._typed({**self._head, "object": "chat.completion", "choices": [choice], "usage": self._usage})
        calls = raw.choices[0].message.tool_calls if self._openai else None
        blocks = self._blocks(keep_empty=False)
        return ChatResponse(message=_message(blocks, calls), raw=raw, additional_kwargs=dict(self._usage))

    def parts(self) -> list[ChatResponse]:
        """The answer as a stream: one part with the answer, then an empty one with the finish reason and the usage."""
        text = self._said.get("content") or ""
        indexed = [{**call, "index": index} for index, call in enumerate(self._calls)]
        delta = {"role": "assistant", "content": text, **({"tool_calls": indexed} if indexed else {})}
        said = self._chunk(delta, None, None)
        end = self._chunk({}, self._reason, self._usage)
        calls = said.choices[0].delta.tool_calls if self._openai else None
        blocks = self._blocks(keep_empty=True)
        return [
            ChatResponse(message=_message(blocks, calls), delta=text, raw=said),
            ChatResponse(message=_message(blocks, calls), delta="", raw=end, additional_kwargs=dict(self._usage)),
        ]

    @property
    def _reason(self) -> str:
        return "tool_calls" if self._calls else "stop"

    def _blocks(self, keep_empty: bool) -> list[TextBlock | ToolCallBlock]:
        text = self._said.get("content") or ""
        said: list[TextBlock | ToolCallBlock] = [TextBlock(text=text)] if text or keep_empty else []
        return said + [self._call_block(call) for call in self._calls]

    def _call_block(self, call: dict[str, Any]) -> ToolCallBlock:
        """A tool call. OpenAI's client leaves the arguments as text, which not all other clients can read."""
        function = call["function"]
        arguments = function["arguments"] if self._openai else arguments_of(function)
        return ToolCallBlock(tool_call_id=call.get("id"), tool_name=function["name"], tool_kwargs=arguments)

    def _chunk(self, delta: dict[str, Any], reason: str | None, usage: dict[str, int] | None) -> Any:
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}
        return self._typed({**self._head, "object": "chat.completion.chunk", "choices": [choice], "usage": usage})

    def _typed(self, raw: dict[str, Any]) -> Any:
        if not self._openai:
            return raw
        # Here, since only users of OpenAI's client have this package.
        from openai.types.chat import ChatCompletion, ChatCompletionChunk

        return (ChatCompletion if raw["object"] == "chat.completion" else ChatCompletionChunk).model_validate(raw)


class SpecialistLLM(SayingLLM):
    """Gives one answer, already accepted, to whatever it is asked. Callbacks and spans see an LLM that answers."""

    said: Any
    """The answer, or its parts."""
    described: LLMMetadata
    """The teacher's metadata with the specialist's name."""

    @classmethod
    def class_name(cls) -> str:
        return "protege_specialist"

    @property
    def metadata(self) -> LLMMetadata:
        return self.described

    def _whole(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> ChatResponse:
        return self.said[0]

    def _parts(self, messages: Sequence[ChatMessage], options: Mapping[str, Any]) -> list[ChatResponse]:
        return self.said


def _message(blocks: Sequence[Any], calls: Any) -> ChatMessage:
    extra = {"tool_calls": list(calls)} if calls else {}
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=list(blocks), additional_kwargs=extra)


def _fits(message: Message, form: type[BaseModel]) -> bool:
    try:
        calls = message.get("tool_calls")
        if calls:
            form.model_validate(arguments_of(calls[0]["function"]))
        else:
            form.model_validate_json(extract_json_str(str(message.get("content"))))
    except ValueError:  # pydantic's ValidationError is one
        return False
    return True
