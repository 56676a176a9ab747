"""Every way to ask a model × recorded, routed, fallen back: through ChatOpenAI, to a server that keeps every byte."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import openai
import pytest
from agents import INSTRUCTIONS, LiveHome, assert_same_as_sent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from matrix import MODES, check, in_mode
from openai_server import CUT, FAIL, SLOW, WORDS, OpenAIServer
from protege.task import Kind
from protege_langchain import ChatProtege, ProtegeCallbackHandler
from pydantic import BaseModel

every_mode = pytest.mark.parametrize("mode", MODES)


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class Shape(BaseModel):
    """A shape."""

    shape: str


@pytest.fixture
def teacher(openai_server: OpenAIServer) -> ChatOpenAI:
    return ChatOpenAI(base_url=openai_server.url, api_key="none", model="large", stream_usage=True, max_retries=0)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def model(teacher: ChatOpenAI, live_home: LiveHome) -> ChatProtege:
    return ChatProtege(teacher, live_home.path, router=live_home.router)


def asked(kind: Kind, text: str = "a fire engine, 1 and 2") -> list[Any]:
    return [SystemMessage(INSTRUCTIONS[kind]), HumanMessage(text)]


async def plain(model: Any, messages: Any) -> Any:
    return model.invoke(messages)


async def plain_async(model: Any, messages: Any) -> Any:
    return await model.ainvoke(messages)


async def stream(model: Any, messages: Any) -> Any:
    return _added(list(model.stream(messages)))


async def stream_async(model: Any, messages: Any) -> Any:
    return _added([chunk async for chunk in model.astream(messages)])


async def events(model: Any, messages: Any) -> Any:
    """What `astream_events` tells at the end of the call."""
    async for event in model.astream_events(messages, version="v2"):
        if event["event"] == "on_chat_model_end":
            return event["data"]["output"]
    return None


def _added(chunks: list[Any]) -> Any:
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


every_way = pytest.mark.parametrize("ask", [plain, stream, plain_async, stream_async, events])


@every_mode
@every_way
async def test_words(model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    with in_mode(live_home, mode):
        answer = await ask(model, asked("label"))
    routed = mode == "routed"
    assert answer.text == ("red" if routed else WORDS)
    assert answer.response_metadata["finish_reason"] == "stop"
    assert answer.response_metadata["model_name"] == ("label-v1" if routed else "large")
    assert answer.usage_metadata["input_tokens"] == (5 if routed else 11)
    assert isinstance(answer, AIMessage)
    check(live_home, openai_server, mode, "label")


@every_mode
@every_way
async def test_tools(model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    with in_mode(live_home, mode):
        answer = await ask(model.bind_tools([add]), asked("tool_calls"))
    (call,) = answer.tool_calls
    assert (call["name"], set(call["args"])) == ("add", {"a", "b"})
    assert answer.response_metadata["finish_reason"] == "tool_calls"
    check(live_home, openai_server, mode, "tool_calls")


@every_mode
@pytest.mark.parametrize("ask", [plain, plain_async])
async def test_structured(model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    with in_mode(live_home, mode):
        answer = await ask(model.with_structured_output(Shape), asked("json"))
    assert answer == Shape(shape="round" if mode == "routed" else "why?")
    check(live_home, openai_server, mode, "json")


@every_mode
@every_way
async def test_an_error(model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    with in_mode(live_home, mode):
        if mode == "routed":  # the teacher, which would have failed, is not asked
            assert (await ask(model, asked("label", FAIL))).text == "red"
            check(live_home, openai_server, mode, "label")
            return
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(model, asked("label", FAIL))
    call = live_home.only
    assert call.error and call.error.startswith(f"{type(caught.value).__name__}: Error code: 400")
    assert call.response is None
    assert call.request.messages[-1]["content"] == openai_server.only.asked["messages"][-1]["content"] == FAIL


@every_mode
@pytest.mark.parametrize("ask", [stream, stream_async])
async def test_a_stream_that_breaks_off(
    model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    with in_mode(live_home, mode):
        if mode == "routed":
            assert (await ask(model, asked("label", CUT))).text == "red"
            return
        with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
            await ask(model, asked("label", CUT))
    call = live_home.only
    assert call.error
    assert call.response and call.response["content"] == "Hello there, "


@every_mode
@pytest.mark.parametrize("ask", [plain_async, stream_async])
async def test_cancelling(model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    if mode == "routed":
        live_home.engine.hold = threading.Event()
    with in_mode(live_home, mode):
        task = asyncio.create_task(ask(model, asked("label", SLOW)))
        await asyncio.sleep(0.15 if mode == "routed" else 0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if live_home.engine.hold:
        live_home.engine.hold.set()
    call = live_home.only
    assert call.error == "CancelledError"
    assert len(openai_server.exchanges) == (0 if mode == "routed" else 1)


@every_mode
async def test_many_at_once(model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    with in_mode(live_home, mode):
        answers = await model.abatch([asked("label", f"thing {i}") for i in range(24)])
    assert {answer.text for answer in answers} == {"red" if mode == "routed" else WORDS}
    assert len(live_home.calls()) == 24
    check(live_home, openai_server, mode, "label")


@every_way
@pytest.mark.parametrize("kind", ["label", "tool_calls"])
async def test_the_callback_records_what_was_sent(
    teacher: ChatOpenAI, live_home: LiveHome, openai_server: OpenAIServer, kind: Kind, ask: Any
):
    model = teacher.bind_tools([add]) if kind == "tool_calls" else teacher
    await ask(model.with_config(callbacks=[ProtegeCallbackHandler(live_home.path)]), asked(kind))
    assert len(openai_server.exchanges) == 1
    assert_same_as_sent(live_home.only, openai_server.only)


async def test_a_history_is_recorded_as_it_is_sent(
    model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer
):
    calls: Any = [{"name": "add", "args": {"a": 1, "b": 2, "note": "Grüße", "at": None}, "id": "c1"}]
    history = [*asked("label"), AIMessage("", tool_calls=calls)]
    with in_mode(live_home, "recorded"):
        await model.ainvoke([*history, ToolMessage("3", tool_call_id="c1"), HumanMessage("And now?")])
    check(live_home, openai_server, "recorded", "label")


async def test_masking_takes_secrets_from_what_is_recorded_and_from_nothing_else(
    model: ChatProtege, live_home: LiveHome, openai_server: OpenAIServer
):
    key = "sk-" + "a1B2c3D4" * 6
    with in_mode(live_home, "recorded"):
        await model.ainvoke(asked("label", f"my key is {key}"))
    assert key in openai_server.only.asked["messages"][-1]["content"]
    assert live_home.only.request.messages[-1]["content"] == "my key is [masked:openai_key]"
