"""The desk in AutoGen: two agents, of which the second has a tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.messages import BaseChatMessage
from desk import REPLY, TRIAGE, answer, look_up_order
from protege_autogen import ProtegeChatCompletionClient
from protege_autogen.testing import ScriptedClient


def desk() -> Callable[[str], Awaitable[str]]:
    """Takes a ticket, gives the reply."""
    client = ProtegeChatCompletionClient(ScriptedClient(answer))  # yours: (OpenAIChatCompletionClient(model="…"))

    async def look_up(order: str) -> str:
        return look_up_order(order)

    look_up.__name__, look_up.__doc__ = look_up_order.__name__, look_up_order.__doc__

    async def handle(ticket: str) -> str:
        triage = AssistantAgent("triage", client, system_message=TRIAGE)
        reply = AssistantAgent("reply", client, tools=[look_up], system_message=REPLY, reflect_on_tool_use=True)
        await triage.run(task=f"Ticket: {ticket}")
        last = (await reply.run(task=f"Ticket: {ticket}")).messages[-1]
        return last.to_text() if isinstance(last, BaseChatMessage) else ""

    return handle
