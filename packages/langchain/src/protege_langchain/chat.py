"""ChatProtege: a chat model around the teacher's. It records calls, and lets specialists answer those that they may.

The teacher is called through its private methods, so that one call stays one run: tracers, token counters and streams
see what they saw before. Whatever goes wrong in Protégé, the teacher answers.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.load.serializable import SerializedConstructor, SerializedNotImplemented
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from protege.adapter import (
    Answerer,
    OpenCall,
    Outcome,
    Records,
    Watch,
    home_path,
    log_once,
    opened,
    recorder_of,
    router_of,
)
from pydantic import ConfigDict, Field

from .asking import Parts, asking
from .graft import graft
from .handler import RECORDED
from .place import inside, place_of
from .routing import answers_in_blocks, shaped
from .translate import (
    is_neutral,
    neutral_tool,
    read_reply,
    request_fields,
    structured_fields,
    to_chunks,
    to_openai,
)

_CARRIED = ("cache", "callbacks", "custom_get_token_ids", "disable_streaming", "metadata", "output_version", "tags")
"""What a model applies around its private methods. Here it must be applied as the teacher would."""

RunManager = CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun


class ChatProtege(BaseChatModel):
    """The teacher's chat model, whose repeated calls are answered by specialists if a route allows it.

        agent = create_agent(ChatProtege(ChatOpenAI(model="…")), tools)

    teacher: any chat model; it gets messages, tools and options as they were given. home: the workspace's folder; by
    default PROTEGE_HOME, else `.protege`. Every call is recorded, and its error too; no callback is needed. A
    specialist's answer has the specialist's name in `response_metadata["model_name"]`. All other attributes are the
    teacher's.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    teacher: BaseChatModel
    home: Path
    # Fields, not private attributes: pydantic looks those up in 1 to 2 µs each, and a call reads them all.
    recorder: Any = Field(default=None, exclude=True, repr=False)
    router: Any = Field(default=None, exclude=True, repr=False)
    offered: Any = Field(default_factory=dict, exclude=True, repr=False)

    def __init__(
        self,
        teacher: BaseChatModel,
        home: str | os.PathLike[str] | None = None,
        *,
        recorder: Records | None = None,
        router: Answerer | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(teacher, BaseChatModel):
            raise TypeError(
                f"ChatProtege wraps a chat model, not a {type(teacher).__name__}. "
                "Wrap the model itself and build on the result: ChatProtege(model).with_retry()."
            )
        carried: dict[str, Any] = {name: getattr(teacher, name) for name in _CARRIED}
        own = {"teacher": teacher, "home": home_path(home), "recorder": recorder, "router": router}
        fields: dict[str, Any] = {**carried, **own, **options}
        super().__init__(**fields)

    def bind_tools(
        self, tools: Sequence[Any], *, tool_choice: Any = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Like the teacher's own, which brings the tools into its provider's form."""
        chosen = {} if tool_choice is None else {"tool_choice": tool_choice}
        return self._in_place(self.teacher.bind_tools(tools, **chosen, **kwargs), {**chosen, "tools": tools})

    def with_structured_output(self, schema: Any = None, **kwargs: Any) -> Runnable[LanguageModelInput, Any]:
        """Like the teacher's own, which knows how its provider gives structured answers."""
        return self._in_place(self.teacher.with_structured_output(schema, **kwargs), {})

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._watch(messages, stop, kwargs, run_manager) as watch:
            if (routed := watch.routed(self._router, self._shape(kwargs))) is not None:
                return routed
            if self._limited() and self.teacher.rate_limiter:
                self.teacher.rate_limiter.acquire(blocking=True)
            managed = _managed(self.teacher._generate, run_manager)
            with asking(self.teacher):
                result = self.teacher._generate(messages, stop=stop, **managed, **kwargs)
            watch.answered(result)
            return result

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        with self._watch(messages, stop, kwargs, run_manager) as watch:
            if (routed := await watch.arouted(self._router, self._shape(kwargs))) is not None:
                return routed
            if self._limited() and self.teacher.rate_limiter:
                await self.teacher.rate_limiter.aacquire(blocking=True)
            managed = _managed(self.teacher._agenerate, run_manager)
            with asking(self.teacher):
                result = await self.teacher._agenerate(messages, stop=stop, **managed, **kwargs)
            watch.answered(result)
            return result

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        with self._watch(messages, stop, kwargs, run_manager) as watch:
            if (routed := watch.routed(self._router, self._shape(kwargs))) is not None:
                yield from to_chunks(routed.generations[0].message)
                return
            if self._limited() and self.teacher.rate_limiter:
                self.teacher.rate_limiter.acquire(blocking=True)
            managed = _managed(self.teacher._stream, run_manager)
            with asking(self.teacher):
                parts = iter(self.teacher._stream(messages, stop=stop, **managed, **kwargs))
            with closing(Parts(self.teacher, parts)) as chunks:
                for chunk in chunks:
                    watch.part(chunk)
                    yield chunk
            watch.ended()

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        with self._watch(messages, stop, kwargs, run_manager) as watch:
            if (routed := await watch.arouted(self._router, self._shape(kwargs))) is not None:
                for chunk in to_chunks(routed.generations[0].message):
                    yield chunk
                return
            if self._limited() and self.teacher.rate_limiter:
                await self.teacher.rate_limiter.aacquire(blocking=True)
            managed = _managed(self.teacher._astream, run_manager)
            with asking(self.teacher):
                parts = aiter(self.teacher._astream(messages, stop=stop, **managed, **kwargs))
            async with aclosing(Parts(self.teacher, parts)) as chunks:
                async for chunk in chunks:
                    watch.part(chunk)
                    yield chunk
            watch.ended()

    def _generate_with_cache(
        self, *args: Any, run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Any:
        with inside(run_manager):
            return super()._generate_with_cache(*args, run_manager=run_manager, **kwargs)

    async def _agenerate_with_cache(
        self, *args: Any, run_manager: AsyncCallbackManagerForLLMRun | None = None, **kwargs: Any
    ) -> Any:
        with inside(run_manager):
            return await super()._agenerate_with_cache(*args, run_manager=run_manager, **kwargs)

    # Recording and routing

    def _watch(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None,
        kwargs: dict[str, Any],
        run_manager: RunManager | None,
    ) -> Watch:
        def read() -> OpenCall:
            bound = {**self.teacher._identifying_params, **kwargs, **self.offered}
            fields = request_fields({**bound, "stop": stop} if stop else bound)
            metadata = run_manager.metadata if run_manager else None
            asked = metadata or self.teacher._get_ls_params(stop=stop, **kwargs)
            if model := asked.get("ls_model_name"):
                fields["model"] = model
            said = to_openai(messages)
            ids = (run_manager.parent_run_id, run_manager.run_id) if run_manager else (None, None)
            recorder = recorder_of(self.home) if self.recorder is None else self.recorder
            return OpenCall(recorder, said, fields, place_of(said, metadata, *ids))

        return Watch(opened(read), read_reply)

    def _limited(self) -> bool:
        """Whether to keep the teacher's rate limit here. A specialist's answer does not count against it."""
        return True

    def _router(self) -> Answerer:
        return router_of(self.home) if self.router is None else self.router

    def _shape(self, kwargs: Mapping[str, Any]) -> Callable[[Outcome], ChatResult | None]:
        def shape(outcome: Outcome) -> ChatResult | None:
            provider = self.teacher._get_ls_params().get("ls_provider")
            return shaped(outcome, kwargs, provider, in_blocks=answers_in_blocks(self.teacher, kwargs))

        return shape

    def _in_place(self, built: Runnable[Any, Any], asked: Mapping[str, Any]) -> Runnable[Any, Any]:
        """What the teacher built, with this model in the teacher's place."""

        def replace(model: BaseChatModel, bound: Mapping[str, Any]) -> ChatProtege:
            offered = {} if is_neutral(bound) else self._neutral(asked, bound)
            if model is self.teacher and not offered:
                return self
            return self.model_copy(update={"teacher": model, "offered": {**self.offered, **offered}})

        grafted = graft(built, replace)
        if grafted is None:
            log_once("Taking the place of the teacher in what it bound")
        return built if grafted is None else grafted

    def _neutral(self, asked: Mapping[str, Any], bound: Mapping[str, Any]) -> dict[str, Any]:
        """What was bound, in OpenAI form, for a teacher whose provider has a form of its own."""
        if tools := asked.get("tools"):
            return {**asked, "tools": [neutral_tool(tool) for tool in tools]}
        return structured_fields(bound)

    # `langchain_core.load.dumps` writes this model around its teacher, without the teacher's secrets.

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    @classmethod
    def get_lc_namespace(cls) -> list[str]:
        return ["protege_langchain"]

    def to_json(self) -> SerializedConstructor | SerializedNotImplemented:
        written: Any = super().to_json()
        if "kwargs" in written:  # absent for a subclass that is not serializable
            own = {name: value for name, value in written["kwargs"].items() if name not in _CARRIED}
            written["kwargs"] = {**own, "home": str(self.home)}
        return written

    # The teacher answers whatever else a model is asked

    @property
    def _llm_type(self) -> str:
        return self.teacher._llm_type

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return self.teacher._identifying_params

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return self.teacher._get_ls_params(stop=stop, **kwargs)

    def _get_ls_params_with_defaults(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        return {**self.teacher._get_ls_params_with_defaults(stop=stop, **kwargs), RECORDED: True}  # pyright: ignore[reportReturnType]

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return self.teacher._get_invocation_params(stop=stop, **kwargs)

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """Differs from the teacher's own, so that LangChain's cache never gives a specialist's answer to a bare
        teacher."""
        return f"protege:{self.teacher._get_llm_string(stop=stop, **kwargs)}"

    def _combine_llm_outputs(self, outputs: list[dict[str, Any] | None], /) -> dict[str, Any]:
        return self.teacher._combine_llm_outputs(outputs)

    def _should_stream(self, **kwargs: Any) -> bool:
        return self.teacher._should_stream(**kwargs)

    def _should_use_protocol_streaming(self, **kwargs: Any) -> bool:
        return self.teacher._should_use_protocol_streaming(**kwargs)

    def _resolve_model_profile(self) -> ModelProfile | None:
        return self.teacher.profile

    def get_token_ids(self, text: str) -> list[int]:
        return self.teacher.get_token_ids(text)

    def get_num_tokens_from_messages(self, messages: list[BaseMessage], tools: Sequence[Any] | None = None) -> int:
        return self.teacher.get_num_tokens_from_messages(messages, tools)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)  # pyright: ignore[reportAttributeAccessIssue]
        except AttributeError:
            if name.startswith("_") or name == "teacher":
                raise
            return getattr(self.teacher, name)


def _managed(method: Callable[..., Any], run_manager: RunManager | None) -> dict[str, Any]:
    """The run manager, for a teacher's method that takes one. LangChain itself checks this in the same way."""
    return {"run_manager": run_manager} if run_manager and _takes_manager(getattr(method, "__func__", method)) else {}


@functools.lru_cache(maxsize=256)
def _takes_manager(function: Callable[..., Any]) -> bool:
    return "run_manager" in inspect.signature(function).parameters
