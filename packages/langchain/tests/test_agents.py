"""Real agents over ChatProtege: create_agent with tools, graphs, sub-agents; where each call was made."""

# pyright: reportIndexIssue=false

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from protege.call import Request, text_of
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher
from pydantic import BaseModel

if TYPE_CHECKING:
    from agents import Records, Routed


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


class Report(BaseModel):
    """The report."""

    summary: str


def forecaster(request: Request) -> Mapping[str, Any] | str:
    """Asks for the weather once, then says what it heard; fills the report where one is asked for."""
    last = request.messages[-1]
    if last["role"] == "tool":
        if "Report" in request.tool_names:
            return called("Report", '{"summary": "rain"}')
        return f"I hear: {text_of(last)}"
    return called("weather", '{"city": "Graz"}') if "weather" in request.tool_names else "no tools"


def called(name: str, arguments: str) -> Mapping[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": name, "type": "function", "function": function}],
    }


@pytest.fixture
def model(tmp_path: Path, records: Records, teacher_only: Routed) -> ChatProtege:
    return ChatProtege(ScriptedTeacher(forecaster), tmp_path, recorder=records, router=teacher_only)


def asked(text: str = "And today?") -> Any:
    return {"messages": [HumanMessage(text)]}


async def _invoke(graph: Any, config: Any) -> None:
    await asyncio.to_thread(graph.invoke, asked(), config)


async def _ainvoke(graph: Any, config: Any) -> None:
    await graph.ainvoke(asked(), config)


async def _stream(graph: Any, config: Any) -> None:
    await asyncio.to_thread(lambda: list(graph.stream(asked(), config, stream_mode="messages", subgraphs=True)))


async def _astream(graph: Any, config: Any) -> None:
    async for _ in graph.astream(asked(), config, stream_mode="messages", subgraphs=True):
        pass


WAYS = [_invoke, _ainvoke, _stream, _astream]
every_way = pytest.mark.parametrize("run", WAYS, ids=lambda way: way.__name__[1:])


@every_way
async def test_an_agents_calls_know_its_node_and_name(model: ChatProtege, records: Records, run: Callable[..., Any]):
    await run(create_agent(model, [weather], name="forecaster", system_prompt="Be brief."), None)
    first, second = records.kept
    assert [first["node"], second["node"]] == [["model"], ["model"]]
    assert first["agent"] == second["agent"] == "forecaster"
    assert first["framework"] == "langgraph"
    assert first["run"] == second["run"]
    assert first["parent"] != second["parent"]
    assert first["response"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Graz"}'
    assert [m["role"] for m in second["messages"]] == ["system", "user", "assistant", "tool"]
    assert second["response"]["content"] == "I hear: It rains in Graz."


@every_way
async def test_a_sub_agents_calls_know_the_way_to_them(model: ChatProtege, records: Records, run: Callable[..., Any]):
    graph = StateGraph(MessagesState)
    graph.add_node("researcher", create_agent(model, [weather], name="researcher"))
    graph.add_node("writer", lambda state: {"messages": [model.invoke([*state["messages"], HumanMessage("Write.")])]})
    graph.add_edge(START, "researcher")
    graph.add_edge("researcher", "writer")
    graph.add_edge("writer", END)
    compiled = graph.compile(checkpointer=InMemorySaver())
    for _ in range(2):
        await run(compiled, {"configurable": {"thread_id": "the only one"}})

    nodes = [tuple(record["node"]) for record in records.kept]
    assert nodes[:3] == [("researcher", "model"), ("researcher", "model"), ("writer",)]
    runs = [record["run"] for record in records.kept]
    half = len(runs) // 2
    assert len(set(runs[:half])) == len(set(runs[half:])) == 1
    assert runs[0] != runs[-1], "a thread holds many runs"


async def test_runs_that_go_on_at_once_are_told_apart(model: ChatProtege, records: Records):
    agent = create_agent(model, [weather])
    await agent.abatch([asked(f"Question {i}") for i in range(12)])
    await asyncio.to_thread(agent.batch, [asked(f"Question {i}") for i in range(12, 24)])
    by_run: dict[str, set[str]] = {}
    for record in records.kept:
        by_run.setdefault(record["run"], set()).add(record["messages"][0]["content"])
    assert len(by_run) == 24
    assert all(len(questions) == 1 for questions in by_run.values())


def test_an_agents_structured_answer_comes_through(model: ChatProtege, records: Records):
    result = create_agent(model, [weather], response_format=Report).invoke(asked())
    assert result["structured_response"] == Report(summary="rain")
    assert [tool["function"]["name"] for tool in records.kept[0]["tools"]] == ["weather", "Report"]


def test_a_specialist_takes_over_a_step_inside_the_agent(
    tmp_path: Path, records: Records, keeping: Callable[..., Routed], teacher_only: Routed
):
    message = called("weather", '{"city": "Linz"}')

    class FirstStep:
        """Keeps the step that chooses a tool, leaves the other to the teacher."""

        def answer(self, request: Request, run: str | None = None) -> Any:
            first = request.messages[-1]["role"] == "user"
            return (keeping(message) if first else teacher_only).answer(request)

    model = ChatProtege(ScriptedTeacher(forecaster), tmp_path, recorder=records, router=FirstStep())  # type: ignore[arg-type]
    said = create_agent(model, [weather]).invoke(asked())["messages"]
    assert said[-1].content == "I hear: It rains in Linz."
    assert [r["answered_by"] for r in records.kept] == ["s1", "scripted-teacher"]


def test_a_chain_without_a_graph_has_its_own_run(model: ChatProtege, records: Records):
    chain = ChatPromptTemplate.from_messages([("human", "{x}")]) | model
    chain.batch([{"x": "a"}, {"x": "b"}])
    one, other = records.kept
    assert one["run"] != other["run"]
    assert "node" not in one
    assert one["framework"] == "langchain"
