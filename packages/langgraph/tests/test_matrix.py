"""Every way to run a graph × recorded, routed, fallen back: through ChatOpenAI, to a server that keeps every byte."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, TypedDict

import openai
import pytest
from agents import INSTRUCTIONS, LiveHome
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, StateGraph
from matrix import MODES, check, in_mode
from openai_server import FAIL, SLOW, WORDS, OpenAIServer
from protege.task import Kind
from protege_langgraph import route
from pydantic import BaseModel


class State(TypedDict, total=False):
    text: str
    answer: Any


class Shape(BaseModel):
    """A shape."""

    shape: str


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


@pytest.fixture
def graph_of(live_home: LiveHome, openai_server: OpenAIServer) -> Any:
    """Makes a routed graph of one step that asks its model for this kind of answer."""
    model = ChatOpenAI(base_url=openai_server.url, api_key="none", model="large", stream_usage=True, max_retries=0)  # pyright: ignore[reportArgumentType]

    def make(kind: Kind) -> Any:
        asks: dict[Kind, Any] = {
            "label": model,
            "tool_calls": model.bind_tools([add]),
            "json": model.with_structured_output(Shape),
        }

        def messages(state: State) -> Any:
            return [SystemMessage(INSTRUCTIONS[kind]), HumanMessage(state["text"])]  # pyright: ignore[reportTypedDictNotRequiredAccess]

        def step(state: State) -> State:
            return {"answer": asks[kind].invoke(messages(state))}

        async def astep(state: State) -> State:
            return {"answer": await asks[kind].ainvoke(messages(state))}

        graph = StateGraph(State)
        graph.add_node("step", RunnableLambda(step, astep))
        graph.add_edge(START, "step")
        return route(graph.compile(), live_home.path, router=live_home.router)

    return make


async def invoke(graph: Any, text: str) -> Any:
    return (await asyncio.to_thread(graph.invoke, {"text": text}))["answer"]


async def ainvoke(graph: Any, text: str) -> Any:
    return (await graph.ainvoke({"text": text}))["answer"]


async def stream(graph: Any, text: str) -> Any:
    """With the tokens streamed out of the step, which LangGraph has the model stream for."""
    parts = await asyncio.to_thread(lambda: list(graph.stream({"text": text}, stream_mode=["messages", "values"])))
    return _answer(parts)


async def astream(graph: Any, text: str) -> Any:
    return _answer([part async for part in graph.astream({"text": text}, stream_mode=["messages", "values"])])


def _answer(parts: list[Any]) -> Any:
    answer = [value for mode, value in parts if mode == "values"][-1]["answer"]
    if not isinstance(answer, Shape) and answer.text:
        assert "".join(chunk.text for mode, (chunk, _) in _messages(parts)) == answer.text
    return answer


def _messages(parts: list[Any]) -> list[Any]:
    return [part for part in parts if part[0] == "messages"]


every_mode = pytest.mark.parametrize("mode", MODES)
every_way = pytest.mark.parametrize("run", [invoke, ainvoke, stream, astream])


@every_mode
@every_way
@pytest.mark.parametrize("kind", ["label", "tool_calls", "json"])
async def test_each_kind(
    graph_of: Any, live_home: LiveHome, openai_server: OpenAIServer, mode: str, run: Any, kind: Kind
):
    routed = mode == "routed"
    with in_mode(live_home, mode):
        answer = await run(graph_of(kind), "a fire engine, 1 and 2")
    if kind == "json":
        assert answer == Shape(shape="round" if routed else "why?")
    elif kind == "tool_calls":
        assert answer.tool_calls[0]["name"] == "add"
    else:
        assert answer.text == ("red" if routed else WORDS)
        assert answer.response_metadata["model_name"] == ("label-v1" if routed else "large")
    check(live_home, openai_server, mode, kind)
    call = live_home.only
    assert (call.node, call.framework) == (("step",), "langgraph")
    assert call.run


@every_mode
@every_way
async def test_an_error(graph_of: Any, live_home: LiveHome, openai_server: OpenAIServer, mode: str, run: Any):
    with in_mode(live_home, mode):
        if mode == "routed":
            assert (await run(graph_of("label"), FAIL)).text == "red"
            return
        with pytest.raises(openai.BadRequestError):
            await run(graph_of("label"), FAIL)
    assert "400" in str(live_home.only.error)


@every_mode
async def test_cancelling(graph_of: Any, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    live_home.engine.hold = threading.Event() if mode == "routed" else None
    with in_mode(live_home, mode):
        task = asyncio.create_task(graph_of("label").ainvoke({"text": SLOW}))
        await asyncio.sleep(0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if live_home.engine.hold:
        live_home.engine.hold.set()
    assert live_home.only.error == "CancelledError"


@every_mode
async def test_many_at_once(graph_of: Any, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    with in_mode(live_home, mode):
        await graph_of("label").abatch([{"text": f"thing {i}"} for i in range(24)])
    assert len({call.run for call in live_home.calls()}) == 24
    check(live_home, openai_server, mode, "label")
