"""The desk in LangChain, led by a language model: one model decides what to do, and others are among its tools.

Language-model agency, as Figure 1 of arXiv:2506.02153 has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from desk import ORCHESTRATE, TRIAGE, answer, look_up_order
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_core.tools import tool
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher


def desk() -> Callable[[str], Awaitable[str]]:
    """Takes a ticket, gives the reply."""
    model = ChatProtege(ScriptedTeacher(answer))  # yours: ChatProtege(ChatOpenAI(model="…"))

    @tool
    async def sort_ticket(ticket: str) -> str:
        """Which team is to take a ticket."""
        return str((await model.ainvoke([SystemMessage(TRIAGE), HumanMessage(f"Ticket: {ticket}")])).content)

    agent = create_agent(model, [sort_ticket, tool(look_up_order)], system_prompt=ORCHESTRATE, name="desk")

    async def handle(ticket: str) -> str:
        done = await agent.ainvoke({"messages": [HumanMessage(f"Ticket: {ticket}")]})
        return str(done["messages"][-1].content)

    return handle
