"""ProtegeLLM: an LLM around the teacher's. It records calls, and lets specialists answer those that they may.

The teacher is called exactly as the agent called, so its events, spans and token counts are what they were before.
Whatever goes wrong in Protégé, the teacher answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    CompletionResponseAsyncGen,
    CompletionResponseGen,
    LLMMetadata,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import LLM
from llama_index.core.llms.structured_llm import StructuredLLM
from protege.adapter import Answerer, OpenCall, Outcome, Records, Watch, home_path, opened, recorder_of, router_of
from pydantic import BaseModel, ConfigDict, model_serializer

from .answer import afollowed, followed, read_reply
from .place import follow, here, place_in
from .recording import recorded, recording
from .specialist import SpecialistLLM, shaped
from .through import form_of, through, without_span
from .translate import request_fields, to_openai

_CARRIED = tuple(LLM.model_fields)
"""The fields of every LLM. The teacher's apply, so setting one later sets it for both."""

_OWN = frozenset({"llm", "home", "recorder", "router"})


class _ClassName:
    """`class_name()` of an object is its teacher's, by which integrations know an LLM. The class has its own."""

    def __get__(self, instance: Any, owner: type[Any]) -> Callable[[], str]:
        llm = None if instance is None else instance.__dict__.get("llm")
        return (lambda: "protege_llm") if llm is None else llm.class_name


def _teachers(name: str) -> Any:
    """The teacher's own method of this name, with its calls coming back here."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(through(self.llm, self._ask), name)(*args, **kwargs)

    method.__name__ = name
    return without_span(method)


def _structured(name: str) -> Any:
    """Like `_teachers`, for methods whose first argument is the class that a specialist's answer must fit."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        ask = partial(self._ask, form=form_of(args, kwargs))
        return getattr(through(self.llm, ask), name)(*args, **kwargs)

    method.__name__ = name
    return without_span(method)


class ProtegeLLM(LLM):
    """The teacher's LLM, whose repeated calls are answered by specialists if a route allows it.

        Settings.llm = ProtegeLLM(OpenAI(model="…"))

    llm: the teacher, any LLM; it gets messages, tools and options as they were given. home: the workspace's folder; by
    default PROTEGE_HOME, else `.protege`. Every call is recorded, and its error too; no handler is needed. A
    specialist's answer has the specialist's name in `raw.model`. All other attributes are the teacher's, to read and to
    set. It is a `FunctionCallingLLM` if the teacher is one, because agents choose by that. Raises TypeError if `llm` is
    not an LLM, or is one that answers in a class.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, ignored_types=(_ClassName,))

    llm: Any
    home: Path
    # Fields, not private attributes: pydantic looks those up in 1 to 2 µs each, and a call reads them all.
    recorder: Any = None
    router: Any = None

    def __new__(cls, *args: Any, **kwargs: Any) -> ProtegeLLM:
        llm = args[0] if args else kwargs.get("llm")
        made: Any = ProtegeFunctionCallingLLM if cls is ProtegeLLM and isinstance(llm, FunctionCallingLLM) else cls
        return object.__new__(made)

    def __init__(
        self,
        llm: LLM,
        home: str | os.PathLike[str] | None = None,
        *,
        recorder: Records | None = None,
        router: Answerer | None = None,
    ) -> None:
        if not isinstance(llm, LLM):
            raise TypeError(f"ProtegeLLM wraps an LLM of LlamaIndex, not a {type(llm).__name__}.")
        if isinstance(llm, StructuredLLM):
            raise TypeError("ProtegeLLM goes inside: ProtegeLLM(llm).as_structured_llm(output_cls).")
        own = {"llm": llm, "home": home_path(home), "recorder": recorder, "router": router}
        super().__init__(**own, **{name: getattr(llm, name) for name in _CARRIED})
        for name in _CARRIED:  # from here on, __getattr__ gives the teacher's
            cast(dict[str, Any], self.__dict__).pop(name, None)
        follow()

    # The eight ways to ask; all others lead here

    @without_span
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return self._ask("chat", (messages,), kwargs)

    @without_span
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        return await self._ask("achat", (messages,), kwargs)

    @without_span
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseGen:
        return self._ask("stream_chat", (messages,), kwargs)

    @without_span
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponseAsyncGen:
        return await self._ask("astream_chat", (messages,), kwargs)

    @without_span
    def complete(self, *args: Any, **kwargs: Any) -> CompletionResponse:
        return self._ask("complete", args, kwargs)

    @without_span
    async def acomplete(self, *args: Any, **kwargs: Any) -> CompletionResponse:
        return await self._ask("acomplete", args, kwargs)

    @without_span
    def stream_complete(self, *args: Any, **kwargs: Any) -> CompletionResponseGen:
        return self._ask("stream_complete", args, kwargs)

    @without_span
    async def astream_complete(self, *args: Any, **kwargs: Any) -> CompletionResponseAsyncGen:
        return await self._ask("astream_complete", args, kwargs)

    # Recording and routing

    def _ask(
        self, method: str, args: Sequence[Any], kwargs: dict[str, Any], form: Any = None, offered: Sequence[Any] = ()
    ) -> Any:
        watch = self._watch(args, kwargs, offered)
        if method.startswith("a"):
            return self._aasked(watch, method, args, kwargs, form)
        with watch:
            routed = watch.routed(self._answerer, self._shape(method, form))
            with recorded():
                answer = getattr(routed or self.llm, method)(*args, **kwargs)
            if routed is not None or watch.call is None:
                return answer
            if method.startswith("stream"):
                return followed(watch, answer)
            watch.answered(answer)
            return answer

    async def _aasked(self, watch: Watch, method: str, args: Sequence[Any], kwargs: dict[str, Any], form: Any) -> Any:
        with watch:
            routed = await watch.arouted(self._answerer, self._shape(method, form))
            with recorded():
                answer = await getattr(routed or self.llm, method)(*args, **kwargs)
            if routed is not None or watch.call is None:
                return answer
            if method.startswith("astream"):
                return afollowed(watch, answer)
            watch.answered(answer)
            return answer

    def _watch(self, args: Sequence[Any], kwargs: Mapping[str, Any], offered: Sequence[Any]) -> Watch:
        def read() -> OpenCall:
            asked = args[0] if args else kwargs["messages"] if "messages" in kwargs else kwargs["prompt"]
            said = [{"role": "user", "content": asked}] if isinstance(asked, str) else to_openai(asked, self.llm)
            options = {name: value for name, value in kwargs.items() if name not in ("messages", "prompt", "formatted")}
            recorder = recorder_of(self.home) if self.recorder is None else self.recorder
            return OpenCall(recorder, said, request_fields(self.llm, options, offered), place_in(here()))

        return Watch(None if recording() else opened(read), read_reply)

    def _answerer(self) -> Answerer:
        return router_of(self.home) if self.router is None else self.router

    def _shape(self, method: str, form: type[BaseModel] | None) -> Callable[[Outcome], SpecialistLLM | None]:
        return lambda outcome: shaped(outcome, self.llm, form, streams="stream" in method)

    # The teacher does whatever else an LLM does, in its own way

    predict_and_call = _teachers("predict_and_call")
    apredict_and_call = _teachers("apredict_and_call")
    predict = _teachers("predict")
    apredict = _teachers("apredict")
    stream = _teachers("stream")
    astream = _teachers("astream")
    structured_predict = _structured("structured_predict")
    astructured_predict = _structured("astructured_predict")
    stream_structured_predict = _structured("stream_structured_predict")
    astream_structured_predict = _structured("astream_structured_predict")
    _structured_stream_call = _structured("_structured_stream_call")
    _structured_astream_call = _structured("_structured_astream_call")
    _log_template_data = _teachers("_log_template_data")
    _get_prompt = _teachers("_get_prompt")
    _get_messages = _teachers("_get_messages")
    _parse_output = _teachers("_parse_output")
    _extend_prompt = _teachers("_extend_prompt")
    _extend_messages = _teachers("_extend_messages")
    convert_chat_messages = _teachers("convert_chat_messages")
    to_payload = _teachers("to_payload")
    class_name = _ClassName()  # pyright: ignore[reportAssignmentType] - a method of the class or of the object

    @property
    def metadata(self) -> LLMMetadata:
        return self.llm.metadata

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)  # pyright: ignore
        except AttributeError:
            if name.startswith("__") or name in _OWN or "llm" not in self.__dict__:
                raise
            return getattr(self.llm, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN or "llm" not in self.__dict__:
            super().__setattr__(name, value)
        else:
            setattr(self.llm, name, value)

    # Copies and serialised forms

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.llm, self.home)

    def __copy__(self) -> ProtegeLLM:
        return self._with(self.llm)

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ProtegeLLM:
        return self._with(self.llm.__deepcopy__(memo))

    def _with(self, llm: LLM) -> ProtegeLLM:
        return type(self)(llm, self.home, recorder=self.recorder, router=self.router)

    @model_serializer(mode="plain")
    def custom_model_dump(self) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Tells which model this is, without the teacher's key, headers and options."""
        return {"llm": self.llm.to_payload(), "home": str(self.home), "class_name": "protege_llm"}

    def __repr_name__(self) -> str:
        return "ProtegeLLM"

    def __repr_args__(self) -> Any:
        """Without the teacher's own repr, which shows its key."""
        yield "llm", type(self.llm).__name__
        yield "model", self.llm.metadata.model_name
        yield "home", str(self.home)


class ProtegeFunctionCallingLLM(ProtegeLLM, FunctionCallingLLM):  # pyright: ignore[reportIncompatibleMethodOverride]
    """What `ProtegeLLM(llm)` returns for an LLM that calls tools."""

    chat_with_tools = _teachers("chat_with_tools")
    achat_with_tools = _teachers("achat_with_tools")
    stream_chat_with_tools = _teachers("stream_chat_with_tools")
    astream_chat_with_tools = _teachers("astream_chat_with_tools")
    _prepare_chat_with_tools = _teachers("_prepare_chat_with_tools")
    _prepare_chat_with_tools_compat = _teachers("_prepare_chat_with_tools_compat")
    _validate_chat_with_tools_response = _teachers("_validate_chat_with_tools_response")
    get_tool_calls_from_response = _teachers("get_tool_calls_from_response")
