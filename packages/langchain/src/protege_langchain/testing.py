"""A teacher for tests and demonstrations: a chat model that answers from a mapping or a function, without a network.

teacher = ScriptedTeacher({"Is it spam?": "yes"})
teacher = ScriptedTeacher(lambda request: text_of(request.messages[-1]).upper())
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from protege.adapter import Request, request_from
from protege.testing import Answers, answer_to, tokens, tokens_of, words

from .place import node_of, step_metadata
from .translate import answer_to_openai, from_openai, request_fields, to_chunks, to_openai, usage


class ScriptedTeacher(BaseChatModel):
    """Answers from `answers`: by the last message's text, or by a function of the whole request.

    An answer is a text, an assistant message in OpenAI chat form, a LangChain message, or an error to raise.
    model: what it calls itself. count_tokens: from a text to its tokens; by default one token for each word or sign.
    Streams come word by word. Raises KeyError if a mapping holds no answer.
    """

    answers: Answers
    model: str = "scripted-teacher"
    count_tokens: Callable[[str], int] = tokens

    def __init__(self, answers: Answers, **options: Any) -> None:
        fields: dict[str, Any] = {"answers": answers, **options}
        super().__init__(**fields)

    @property
    def _llm_type(self) -> str:
        return "scripted-teacher"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model}

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **chosen, **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._answer(messages, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        said, end = to_chunks(self._answer(messages, kwargs))
        for index, word in enumerate(words(str(said.message.content))):
            part = {"content": word} if index else {"content": word, "tool_call_chunks": said.message.tool_call_chunks}  # pyright: ignore
            yield ChatGenerationChunk(message=type(said.message)(**part))  # pyright: ignore
        yield end

    def _answer(self, messages: list[BaseMessage], kwargs: Mapping[str, Any]) -> AIMessage:
        asked = to_openai(messages)
        request = request_from({"messages": asked, **request_fields(kwargs), "node": node_of(step_metadata())})
        answer = answer_to(request, self.answers)
        return self._signed(answer if isinstance(answer, AIMessage) else from_openai(answer), request)

    def _signed(self, message: AIMessage, request: Request) -> AIMessage:
        """The answer with the metadata that an OpenAI model's answer has."""
        used = usage(*tokens_of(request, answer_to_openai(message), self.count_tokens))
        reason = "tool_calls" if message.tool_calls else "stop"
        metadata = {"model_name": self.model, "finish_reason": reason, **message.response_metadata}
        return message.model_copy(
            update={"usage_metadata": message.usage_metadata or used, "response_metadata": metadata}
        )
