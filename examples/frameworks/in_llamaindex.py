"""The desk in LlamaIndex: a workflow of two steps, the second of them an agent with a tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from desk import REPLY, TRIAGE, answer, look_up_order
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.workflow import Event, StartEvent, StopEvent, Workflow, step
from protege_llamaindex import ProtegeLLM
from protege_llamaindex.testing import ScriptedLLM


class Sorted(Event):
    ticket: str
    team: str


class Desk(Workflow):
    """Sorts a ticket, then answers it."""

    def __init__(self, llm: Any) -> None:
        super().__init__()
        self.llm = llm
        self.replier = FunctionAgent(name="reply", tools=[look_up_order], llm=llm, system_prompt=REPLY)

    @step
    async def triage(self, event: StartEvent) -> Sorted:
        ticket = str(event.get("ticket"))
        said = await self.llm.achat([ChatMessage(TRIAGE, role="system"), ChatMessage(f"Ticket: {ticket}", role="user")])
        return Sorted(ticket=ticket, team=str(said.message.content))

    @step
    async def reply(self, event: Sorted) -> StopEvent:
        return StopEvent(result=str(await self.replier.run(f"Ticket: {event.ticket}")))


def desk() -> Callable[[str], Awaitable[str]]:
    """Takes a ticket, gives the reply."""
    workflow = Desk(ProtegeLLM(ScriptedLLM(answer)))  # yours: ProtegeLLM(OpenAI(model="…"))

    async def handle(ticket: str) -> str:
        return str(await workflow.run(ticket=ticket))

    return handle
