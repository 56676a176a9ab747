"""Graphs as they run: every way of running, fan-out, many at once, interrupts and what is replayed after them."""

# pyright: reportArgumentType=false, reportIndexIssue=false, reportTypedDictNotRequiredAccess=false

from __future__ import annotations

import asyncio
import operator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, RetryPolicy, Send, interrupt
from protege import Workspace
from protege.call import text_of
from protege.collect import drain
from protege_langchain import ProtegeCallbackHandler
from protege_langchain.testing import ScriptedTeacher
from protege_langgraph import ProtegeMiddleware, route

if TYPE_CHECKING:
    from agents import LiveHome, Records


class State(TypedDict, total=False):
    topic: str
    said: Annotated[list[str], operator.add]


def echo() -> ScriptedTeacher:
    return ScriptedTeacher(lambda request: f"echo {text_of(request.messages[-1])}")


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


def fan_out() -> Any:
    """plan, then a `work` for each of three parts at once, then `join` in a nested graph."""
    model = echo()
    inner = StateGraph(State)
    inner.add_node("write", lambda state: {"said": [model.invoke(f"join {state['topic']}").text]})
    inner.add_edge(START, "write")

    def plan(state: State) -> State:
        return {"said": [model.invoke(f"plan {state['topic']}").text]}

    async def work(state: State) -> State:
        return {"said": [(await model.ainvoke(f"work {state['topic']}")).text]}

    graph = StateGraph(State)
    graph.add_node("plan", plan)
    graph.add_node("work", work)
    graph.add_node("join", inner.compile())
    graph.add_edge(START, "plan")
    graph.add_conditional_edges("plan", lambda s: [Send("work", {"topic": f"{s['topic']}.{i}"}) for i in range(3)])
    graph.add_edge("work", "join")
    return graph


async def test_many_runs_at_once_keep_their_nodes_and_runs_apart(tmp_path: Path, records: Records):
    graph = route(fan_out().compile(), tmp_path, recorder=records)
    await graph.abatch([{"topic": f"t{i}"} for i in range(24)])
    by_run: dict[str, set[tuple[tuple[str, ...], str]]] = {}
    for record in records.kept:
        said = str(record["messages"][0]["content"])
        by_run.setdefault(record["run"], set()).add((tuple(record["node"]), said))
    assert len(by_run) == 24
    for calls in by_run.values():
        (topic,) = {said.split()[1].split(".")[0] for _, said in calls}
        work = {(("work",), f"work {topic}.{i}") for i in range(3)}
        assert calls == {(("plan",), f"plan {topic}"), (("join", "write"), f"join {topic}"), *work}


@pytest.mark.parametrize("way", ["astream", "astream_events"])
async def test_a_stream_of_the_graph_shows_what_the_models_say(tmp_path: Path, records: Records, way: str):
    graph = route(fan_out().compile(), tmp_path, recorder=records)
    said: list[str] = []
    if way == "astream":
        async for _, (chunk, _) in graph.astream({"topic": "t"}, stream_mode="messages", subgraphs=True):
            said.append(chunk.text)
    else:
        async for event in graph.astream_events({"topic": "t"}, version="v2"):
            if event["event"] == "on_chat_model_stream":
                said.append(event["data"]["chunk"].text)
    assert sorted("".join(said).replace("echo", "").split()) == sorted(
        ["plan", "t", "work", "t.0", "work", "t.1", "work", "t.2", "join", "t"]
    )
    assert len(records.kept) == 5


def asking(home: Path, **options: Any) -> Any:
    """A graph whose step calls its model, asks a person, and calls it again."""
    model = echo()

    def step(state: State) -> State:
        first = model.invoke(f"draft {state['topic']}").text
        answer = interrupt("fine?")
        return {"said": [first, model.invoke(f"final {answer}").text]}

    graph = StateGraph(State)
    graph.add_node("step", step)
    graph.add_edge(START, "step")
    return route(graph.compile(checkpointer=InMemorySaver()), home, **options)


def thread(name: str) -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


def test_a_step_that_is_replayed_after_an_interrupt_is_recorded_once(live_home: LiveHome):
    graph = asking(live_home.path)
    assert graph.invoke({"topic": "t"}, thread("1"))["__interrupt__"]
    assert graph.invoke(Command(resume="yes"), thread("1"))["said"] == ["echo draft t", "echo final yes"]
    assert [text_of(call.request.messages[0]) for call in live_home.calls()] == ["draft t", "final yes"]
    graph.invoke({"topic": "t"}, thread("2"))
    assert len(live_home.calls()) == 3, "another thread's step is another call"
    assert not any("protege" in name for name in graph.get_state(thread("1")).metadata), "checkpoints are as they were"


def test_a_replayed_step_is_recorded_once_by_the_callback_too(tmp_path: Path):
    graph = asking(tmp_path / "other", nodes={"step": "leave"})
    config: Any = {**thread("1"), "callbacks": [ProtegeCallbackHandler(tmp_path)]}
    graph.invoke({"topic": "t"}, config)
    graph.invoke(Command(resume="yes"), config)
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 2
    workspace.close()


def test_what_failed_before_is_recorded_beside_what_came_of_the_replay(live_home: LiveHome):
    broken = [True]

    def answer(request: Any) -> Any:
        return RuntimeError("overloaded") if broken and broken.pop() else "fine"

    model = ScriptedTeacher(answer)
    graph = StateGraph(State)
    graph.add_node("step", lambda state: {"said": [model.invoke("a").text]})
    graph.add_edge(START, "step")
    compiled = route(graph.compile(checkpointer=InMemorySaver()), live_home.path)
    with pytest.raises(RuntimeError):
        compiled.invoke({"topic": "t"}, thread("1"))
    assert compiled.invoke(None, thread("1"))["said"] == ["fine"]
    assert [(call.error, call.response and call.response["content"]) for call in live_home.calls()] == [
        ("RuntimeError: overloaded", None),
        (None, "fine"),
    ]


def test_the_same_question_twice_in_a_step_is_two_calls(live_home: LiveHome):
    model = echo()
    attempts = [0]

    def step(state: State) -> State:
        said = [model.invoke("again").text, model.invoke("again").text]
        attempts[0] += 1
        if attempts[0] == 1:
            raise ValueError("once more")
        return {"said": said}  # pyright: ignore[reportReturnType]

    graph = StateGraph(State)
    graph.add_node("step", step, retry_policy=RetryPolicy(initial_interval=0, jitter=False, retry_on=ValueError))
    graph.add_edge(START, "step")
    route(graph.compile(checkpointer=InMemorySaver()), live_home.path).invoke({"topic": "t"}, thread("1"))
    assert len(live_home.calls()) == 4, "two of the first try and two of the second: all were made"


def forecaster(request: Any) -> Any:
    last = request.messages[-1]
    if last["role"] == "tool":
        return f"I hear: {text_of(last)}"
    call = {"name": "weather", "arguments": '{"city": "Graz"}'}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c", "type": "function", "function": call}],
    }


async def test_the_middleware_records_an_agents_calls(tmp_path: Path, records: Records):
    model = ScriptedTeacher(forecaster)
    agent = create_agent(model, [weather], middleware=[ProtegeMiddleware(tmp_path, recorder=records)], name="f")
    question: Any = {"messages": [("user", "And today?")]}
    said = agent.invoke(question)["messages"][-1].content
    said_too = (await agent.ainvoke(question))["messages"][-1].content
    streamed = [chunk.text async for chunk, _ in agent.astream(question, stream_mode="messages")]  # pyright: ignore[reportAttributeAccessIssue]
    assert said == said_too == "I hear: It rains in Graz."
    assert said in "".join(streamed)
    assert [record["node"] for record in records.kept] == [["model"]] * 6
    assert len({record["run"] for record in records.kept}) == 3


async def test_the_middleware_lets_a_specialist_answer(tmp_path: Path, records: Records, keeping: Any):
    router = keeping({"role": "assistant", "content": "as the specialist says"})
    middleware = ProtegeMiddleware(tmp_path, recorder=records, router=router)
    agent = create_agent(ScriptedTeacher({}), [], middleware=[middleware])
    answer = (await agent.ainvoke({"messages": [("user", "x")]}))["messages"][-1]
    assert answer.content == "as the specialist says"
    assert answer.response_metadata["model_name"] == "tickets-v1"
    agent.invoke({"messages": [("user", "x")]})
    assert [record["answered_by"] for record in records.kept] == ["s1", "s1"]


async def test_agents_that_run_at_once_keep_one_wrapper(tmp_path: Path, records: Records):
    middleware = ProtegeMiddleware(tmp_path, recorder=records)
    agent = create_agent(echo(), [], middleware=[middleware])
    asked: list[Any] = [{"messages": [("user", f"q{i}")]} for i in range(24)]
    answers = await asyncio.gather(*(agent.ainvoke(question) for question in asked))
    assert [a["messages"][-1].text for a in answers] == [f"echo q{i}" for i in range(24)]
    assert len({record["run"] for record in records.kept}) == 24


def test_the_middleware_leaves_a_model_that_it_cannot_wrap(tmp_path: Path, records: Records, endpoint: str):
    chosen = init_chat_model(configurable_fields=("model",), model_provider="openai", base_url=endpoint, api_key="none")
    agent = create_agent(chosen, [], middleware=[ProtegeMiddleware(tmp_path, recorder=records)])  # pyright: ignore[reportCallIssue]
    answer = agent.invoke({"messages": [("user", "hi")]}, {"configurable": {"model": "large"}})["messages"][-1]
    assert answer.text
    assert records.kept == []


def test_the_middleware_in_a_routed_agent_records_once(tmp_path: Path, records: Records):
    middleware = ProtegeMiddleware(tmp_path, recorder=records)
    agent = route(create_agent(echo(), [], middleware=[middleware]), tmp_path, recorder=records)
    agent.invoke({"messages": [("user", "hi")]})
    assert len(records.kept) == 1
    list(agent.stream({"messages": [("user", "hi")]}, stream_mode="messages"))
    assert len(records.kept) == 2


def test_equal_calls_of_one_step_are_told_apart_however_many(tmp_path: Path, records: Records):
    model = echo()
    graph = StateGraph(State)
    graph.add_node("step", lambda state: {"said": [model.invoke("again").text for _ in range(300)]})
    graph.add_edge(START, "step")
    route(graph.compile(checkpointer=InMemorySaver()), tmp_path, recorder=records).invoke({"topic": "t"}, thread("1"))
    assert len({record["id"] for record in records.kept}) == 300
