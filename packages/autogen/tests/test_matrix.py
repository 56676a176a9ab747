"""Every way to ask a model × recorded, routed, fallen back: through AutoGen's OpenAI client, to a real server."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import openai
import pytest
from agents import INSTRUCTIONS, LiveHome, assert_same_as_sent
from autogen_core import CancellationToken, FunctionCall
from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    SystemMessage,
    UserMessage,
)
from autogen_core.tools import FunctionTool
from autogen_ext.models.openai import OpenAIChatCompletionClient
from matrix import MODES, check, in_mode
from openai_server import CUT, FAIL, SLOW, WORDS, OpenAIServer
from protege.task import Kind
from protege_autogen import ProtegeChatCompletionClient
from pydantic import BaseModel

every_mode = pytest.mark.parametrize("mode", MODES)


def _add(a: int, b: int) -> int:
    return a + b


ADD = FunctionTool(_add, name="add", description="Adds.")


class Shape(BaseModel):
    """A shape."""

    shape: str


@pytest.fixture
def client(endpoint: str, live_home: LiveHome) -> ProtegeChatCompletionClient:
    able: Any = dict.fromkeys(("vision", "function_calling", "json_output", "structured_output"), True)
    teacher = OpenAIChatCompletionClient(
        model="large",
        base_url=endpoint,
        api_key="none",
        max_retries=0,
        model_info={**able, "family": "unknown"},  # pyright: ignore[reportArgumentType]
    )
    return ProtegeChatCompletionClient(teacher, live_home.path, router=live_home.router)


def asked(kind: Kind, text: str = "a fire engine, 1 and 2") -> list[Any]:
    return [SystemMessage(content=INSTRUCTIONS[kind]), UserMessage(content=text, source="user")]


async def plain(client: Any, messages: Any, **options: Any) -> CreateResult:
    return await client.create(messages, **options)


async def stream(client: Any, messages: Any, **options: Any) -> CreateResult:
    """The last item, whose text is what was streamed."""
    *texts, last = [part async for part in client.create_stream(messages, include_usage=True, **options)]
    assert all(isinstance(text, str) for text in texts)
    assert isinstance(last, CreateResult)
    if isinstance(last.content, str):
        assert "".join(texts) == last.content
    return last


every_way = pytest.mark.parametrize("ask", [plain, stream])


@every_mode
@every_way
async def test_words(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    with in_mode(live_home, mode):
        result = await ask(client, asked("label"))
    routed = mode == "routed"
    assert result.content == ("red" if routed else WORDS)
    assert result.finish_reason == "stop"
    assert result.cached is False
    assert (result.usage.prompt_tokens, result.usage.completion_tokens) == ((5, 1) if routed else (11, 7))
    assert client.total_usage() == client.actual_usage() == result.usage
    check(live_home, openai_server, mode, "label")


@every_mode
@every_way
async def test_tools(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    with in_mode(live_home, mode):
        result = await ask(client, asked("tool_calls"), tools=[ADD])
    (call,) = result.content
    assert isinstance(call, FunctionCall)
    assert call.name == "add"
    assert set(json.loads(call.arguments)) == {"a", "b"}
    assert result.finish_reason == "function_calls"
    check(live_home, openai_server, mode, "tool_calls")


@every_mode
@every_way
async def test_structured(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    with in_mode(live_home, mode):
        result = await ask(client, asked("json"), json_output=Shape)
    assert Shape.model_validate_json(result.content) == Shape(shape="round" if mode == "routed" else "why?")
    check(live_home, openai_server, mode, "json")


@every_mode
@every_way
async def test_an_error(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    with in_mode(live_home, mode):
        if mode == "routed":  # the teacher, which would have failed, is not asked
            assert (await ask(client, asked("label", FAIL))).content == "red"
            check(live_home, openai_server, mode, "label")
            return
        with pytest.raises(openai.BadRequestError):
            await ask(client, asked("label", FAIL))
    call = live_home.only
    assert call.error and call.error.startswith("BadRequestError: Error code: 400")
    assert call.response is None
    assert call.request.messages[-1]["content"] == openai_server.only.asked["messages"][-1]["content"] == FAIL


@every_mode
async def test_a_stream_that_breaks_off(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer, mode: str
):
    with in_mode(live_home, mode):
        if mode == "routed":
            assert (await stream(client, asked("label", CUT))).content == "red"
            return
        with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
            await stream(client, asked("label", CUT))
    call = live_home.only
    assert call.error
    assert call.response and call.response["content"] == "Hello there, "


@every_way
@pytest.mark.parametrize(
    ("mode", "how"), [*((mode, "task") for mode in MODES), ("recorded", "token"), ("routed", "token")]
)
async def test_cancelling(
    client: ProtegeChatCompletionClient,
    live_home: LiveHome,
    openai_server: OpenAIServer,
    mode: str,
    ask: Any,
    how: str,
):
    if mode == "routed":
        live_home.engine.hold = threading.Event()
    token = CancellationToken()
    with in_mode(live_home, mode):
        task = asyncio.create_task(ask(client, asked("label", SLOW), cancellation_token=token))
        await asyncio.sleep(0.1 if mode == "routed" else 0.2)
        _ = task.cancel() if how == "task" else token.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if live_home.engine.hold:
        live_home.engine.hold.set()
    call = live_home.only
    assert call.error == "CancelledError"
    assert len(openai_server.exchanges) == (0 if mode == "routed" else 1)


@every_mode
async def test_many_at_once(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer, mode: str
):
    with in_mode(live_home, mode):
        results = await asyncio.gather(*(client.create(asked("label", f"thing {i}")) for i in range(24)))
    assert {result.content for result in results} == {"red" if mode == "routed" else WORDS}  # pyright: ignore[reportUnhashable]
    assert len(live_home.calls()) == 24
    check(live_home, openai_server, mode, "label")


async def test_a_history_is_recorded_as_it_is_sent(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer
):
    call = FunctionCall(id="c1", name="add", arguments='{"a":1,   "b": 2, "note": "Grüße"}')
    second = FunctionCall(id="c2", name="add", arguments="{}")
    history = [
        SystemMessage(content=INSTRUCTIONS["label"]),
        SystemMessage(content="Be short."),  # AutoGen merges it with the first
        UserMessage(content="add", source="planner"),
        AssistantMessage(content=[call, second], source="writer", thought="I add."),
        FunctionExecutionResultMessage(
            content=[
                FunctionExecutionResult(content="3", name="add", call_id="c1"),
                FunctionExecutionResult(content="no", name="add", call_id="c2", is_error=True),
            ]
        ),
        AssistantMessage(content="Three.", source="writer"),
        UserMessage(content="And now?", source="user"),
    ]
    with in_mode(live_home, "recorded"):
        await client.create(history)
    check(live_home, openai_server, "recorded", "label")
    assert [dict(m) for m in live_home.only.request.messages] == openai_server.only.asked["messages"]


async def test_a_choice_of_tools_and_the_options_are_recorded_as_sent(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer
):
    with in_mode(live_home, "recorded"):
        await client.create(
            asked("tool_calls"), tools=[ADD], tool_choice=ADD, extra_create_args={"temperature": 0.5, "seed": 7}
        )
        await client.create(asked("tool_calls"), tools=[ADD])
    chosen, free = live_home.calls()
    assert chosen.request.tool_choice == openai_server.exchanges[0].asked["tool_choice"]
    assert chosen.request.parameters == {"temperature": 0.5, "seed": 7}
    assert [dict(tool) for tool in chosen.request.tools] == openai_server.exchanges[0].asked["tools"]
    assert openai_server.exchanges[1].asked["tool_choice"] == "auto"
    assert free.request.tool_choice is None


async def test_the_server_gets_the_same_bytes_as_from_the_bare_client(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer
):
    with in_mode(live_home, "unsure"):
        for one in (client, client.client):
            await plain(one, asked("tool_calls"), tools=[ADD], tool_choice="required")
            await stream(one, asked("json"), json_output=Shape)
    bodies = [exchange.body for exchange in openai_server.exchanges]
    assert bodies[:2] == bodies[2:]


async def test_masking_takes_secrets_from_what_is_recorded_and_from_nothing_else(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer
):
    key = "sk-" + "a1B2c3D4" * 6
    with in_mode(live_home, "recorded"):
        await client.create(asked("label", f"my key is {key}"))
    assert key in openai_server.only.asked["messages"][-1]["content"]
    assert live_home.only.request.messages[-1]["content"] == "my key is [masked:openai_key]"


async def test_a_stream_whose_usage_was_not_asked_for_has_an_estimate(
    client: ProtegeChatCompletionClient, live_home: LiveHome, openai_server: OpenAIServer
):
    with in_mode(live_home, "recorded"):
        _ = [part async for part in client.create_stream(asked("label"))]
    assert_same_as_sent(live_home.only, openai_server.only)
    assert live_home.only.tokens_estimated and live_home.only.input_tokens
    assert live_home.only.ttft_ms is not None
