"""ProtegeChatCompletionClient: a client around the teacher's. It records calls, and lets specialists answer those that
they may.

Whatever goes wrong in Protégé, the teacher answers.
"""

from __future__ import annotations

import asyncio
import copy
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from autogen_core import CancellationToken, Component
from autogen_core.models import (
    ChatCompletionClient,
    CreateResult,
    LLMMessage,
    ModelCapabilities,  # pyright: ignore[reportDeprecated]
    ModelInfo,
    RequestUsage,
)
from autogen_core.tools import Tool, ToolSchema
from protege.adapter import Answerer, OpenCall, Records, Reply, Watch, home_path, opened, recorder_of, router_of

from .config import ProtegeClientConfig, load, masked
from .events import log_call
from .place import place_of
from .translate import read_reply, read_request, shaped


class ProtegeChatCompletionClient(ChatCompletionClient, Component[ProtegeClientConfig]):
    """The teacher's model client, whose repeated calls are answered by specialists if a route allows it.

        agent = AssistantAgent("assistant", ProtegeChatCompletionClient(OpenAIChatCompletionClient(model="…")))

    client: any model client; it gets messages, tools and options as they were given. home: the workspace's folder; by
    default PROTEGE_HOME, else `.protege`. agent: the name of the agent that asks; by default it is looked for. Every
    call is recorded, and its error too. All other attributes are the client's. Raises TypeError if `client` is not a
    model client.
    """

    component_type = "model"
    component_config_schema = ProtegeClientConfig
    component_provider_override = "protege_autogen.ProtegeChatCompletionClient"

    def __init__(
        self,
        client: ChatCompletionClient,
        home: str | os.PathLike[str] | None = None,
        *,
        agent: str | None = None,
        recorder: Records | None = None,
        router: Answerer | None = None,
    ) -> None:
        if not isinstance(client, ChatCompletionClient):
            raise TypeError(f"ProtegeChatCompletionClient wraps a model client, not a {type(client).__name__}.")
        self.client = client
        self.home = home_path(home)
        self.agent = agent
        self.recorder = recorder
        self.router = router
        self._given_home = None if home is None else os.fspath(home)
        self._specialists = RequestUsage(0, 0)
        self._recorded_inside = _records(client)
        self._caches = not _replays(client)

    def for_agent(self, name: str) -> ProtegeChatCompletionClient:
        """The same client for the agent with this name, which is then not looked for. Usage is counted together."""
        view = copy.copy(self)
        view.agent = name
        return view

    async def create(self, messages: Sequence[LLMMessage], **options: Any) -> CreateResult:
        """Like the client's own `create`, with all its options. Raises what that raises."""
        if self._recorded_inside:
            return await self.client.create(messages, **options)
        with self._watch(messages, options) as watch:
            if (routed := await self._routed(watch, options, streams=False)) is not None:
                return routed
            result = await self.client.create(messages, **options)
            watch.answered(result)
            return result

    async def create_stream(
        self, messages: Sequence[LLMMessage], **options: Any
    ) -> AsyncGenerator[str | CreateResult, None]:
        """Like the client's own `create_stream`: texts, then the whole answer. Raises what that raises."""
        if self._recorded_inside:
            async with _closing(self.client.create_stream(messages, **options)) as stream:
                async for part in stream:
                    yield part
            return
        with self._watch(messages, options) as watch:
            if (routed := await self._routed(watch, options, streams=True)) is not None:
                if isinstance(text := routed.thought or routed.content, str) and text:
                    yield text
                yield routed
                return
            async with _closing(self.client.create_stream(messages, **options)) as stream:
                async for part in stream:
                    watch.part(part)
                    if isinstance(part, CreateResult):  # the last part; not every caller reads on to the end
                        watch.ended()
                    yield part
            watch.ended()

    def _watch(self, messages: Sequence[LLMMessage], options: Mapping[str, Any]) -> Watch:
        def read() -> OpenCall:
            said, fields = read_request(self.client, messages, options)
            place = place_of(options.get("cancellation_token"), self.agent)
            recorder = recorder_of(self.home) if self.recorder is None else self.recorder
            return OpenCall(recorder, said, fields, place)

        return Watch(opened(read), self._read_reply)

    async def _routed(self, watch: Watch, options: Mapping[str, Any], *, streams: bool) -> CreateResult | None:
        """The specialist's answer if it is kept. The cancellation token ends this as it ends the teacher's call."""
        if watch.call is None:
            return None
        asking = watch.arouted(self._router, lambda outcome: shaped(outcome, options, self.client))
        token = options.get("cancellation_token")
        if isinstance(token, CancellationToken):
            routed = await token.link_future(asyncio.ensure_future(asking))
        else:
            routed = await asking
        if routed is not None:
            self._specialists.prompt_tokens += routed.usage.prompt_tokens
            self._specialists.completion_tokens += routed.usage.completion_tokens
            log_call(watch.call.record, routed, streams=streams)
        return routed

    def _router(self) -> Answerer:
        return router_of(self.home) if self.router is None else self.router

    def _read_reply(self, parts: list[Any]) -> Reply | None:
        """The reply; None if a cache gave the answer, so that no request was made."""
        last = parts[-1]
        cached = self._caches and isinstance(last, CreateResult) and last.cached
        return None if cached else read_reply(parts)

    # The teacher's client answers whatever else a client is asked

    async def close(self) -> None:
        await self.client.close()

    def actual_usage(self) -> RequestUsage:
        """The usage of the client and the specialists together."""
        return self._with_specialists(self.client.actual_usage())

    def total_usage(self) -> RequestUsage:
        """The usage of the client and the specialists together."""
        return self._with_specialists(self.client.total_usage())

    def _with_specialists(self, used: RequestUsage) -> RequestUsage:
        own = self._specialists
        return RequestUsage(used.prompt_tokens + own.prompt_tokens, used.completion_tokens + own.completion_tokens)

    def count_tokens(
        self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = [], **options: Any
    ) -> int:
        return self.client.count_tokens(messages, tools=tools, **options)

    def remaining_tokens(
        self, messages: Sequence[LLMMessage], *, tools: Sequence[Tool | ToolSchema] = [], **options: Any
    ) -> int:
        return self.client.remaining_tokens(messages, tools=tools, **options)

    @property
    def capabilities(self) -> ModelCapabilities:  # pyright: ignore[reportDeprecated]
        return self.client.capabilities

    @property
    def model_info(self) -> ModelInfo:
        return self.client.model_info

    def _to_config(self) -> ProtegeClientConfig:
        return ProtegeClientConfig(client=masked(self.client.dump_component()), home=self._given_home, agent=self.agent)

    @classmethod
    def _from_config(cls, config: ProtegeClientConfig) -> ProtegeChatCompletionClient:
        return cls(load(config.client), config.home, agent=config.agent)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "client":
            raise AttributeError(f"{type(self).__name__} has no attribute {name}.")
        return getattr(self.client, name)

    def __repr__(self) -> str:
        named = f", agent={self.agent!r}" if self.agent else ""
        return f"{type(self).__name__}({type(self.client).__name__}, home={str(self.home)!r}{named})"


def _records(client: ChatCompletionClient) -> bool:
    """Whether a client inside already records: a call is recorded once, however often its client is wrapped."""
    while not isinstance(client, ProtegeChatCompletionClient):
        inner = vars(client).get("client")
        if not isinstance(inner, ChatCompletionClient):
            return False
        client = inner
    return True


def _replays(client: ChatCompletionClient) -> bool:
    """Whether it is AutoGen's own stand-in for tests, which marks all its answers as cached."""
    return any(kind.__name__ == "ReplayChatCompletionClient" for kind in type(client).__mro__)


@asynccontextmanager
async def _closing(stream: AsyncGenerator[Any, None]) -> AsyncIterator[AsyncGenerator[Any, None]]:
    """Close a stream that is left before its end, so that its connection does not stay open until it is collected."""
    try:
        yield stream
    finally:
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()
