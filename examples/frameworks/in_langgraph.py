"""The desk in LangGraph, led by code: the graph says what comes next, and models work in its steps.

Code agency, as Figure 1 of arXiv:2506.02153 has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Required, TypedDict

from desk import REPLY, TRIAGE, answer, look_up_order
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from protege_langchain.testing import ScriptedTeacher
from protege_langgraph import route


class State(TypedDict, total=False):
    ticket: Required[str]
    team: str
    reply: str


def desk() -> Callable[[str], Awaitable[str]]:
    """Takes a ticket, gives the reply."""
    model = ScriptedTeacher(answer)  # yours: ChatOpenAI(model="…")
    replier = create_agent(model, [tool(look_up_order)], system_prompt=REPLY)

    async def triage(state: State) -> dict[str, str]:
        asked = [SystemMessage(TRIAGE), HumanMessage(f"Ticket: {state['ticket']}")]
        return {"team": str((await model.ainvoke(asked)).content)}

    async def reply(state: State) -> dict[str, str]:
        done = await replier.ainvoke({"messages": [HumanMessage(f"Ticket: {state['ticket']}")]})
        return {"reply": str(done["messages"][-1].content)}

    graph = StateGraph(State)
    graph.add_node("triage", triage)
    graph.add_node("reply", reply)
    graph.add_edge(START, "triage")
    graph.add_edge("triage", "reply")
    compiled = route(graph.compile())

    async def handle(ticket: str) -> str:
        return (await compiled.ainvoke({"ticket": ticket}))["reply"]

    return handle
