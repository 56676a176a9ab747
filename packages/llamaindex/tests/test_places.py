"""Where a call is made: the node, the agent and the run, in workflows inside workflows, threads, tools and streams."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation import get_dispatcher  # pyright: ignore[reportPrivateImportUsage]
from llama_index.core.workflow import Context, Event, StartEvent, StopEvent, Workflow, step
from protege.call import text_of
from protege_llamaindex import ProtegeLLM, attach, detach, place
from protege_llamaindex.testing import ScriptedLLM
from pydantic import BaseModel

if TYPE_CHECKING:
    from agents import Records, Routed

dispatcher = get_dispatcher(__name__)


class Note(BaseModel):
    """A note."""

    text: str


class Drafted(Event):
    text: str


def called(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def script(request: Any) -> Any:
    last = request.messages[-1]
    if "ask_again" in request.tool_names and last["role"] == "user":
        return called("ask_again", "{}")
    if "Note" in request.tool_names:
        return called("Note", '{"text": "so"}')
    return f"said: {text_of(last)}"


@pytest.fixture(params=["wrapped", "attached"])
def llm(request: pytest.FixtureRequest, tmp_path: Path, records: Records, teacher_only: Routed) -> Any:
    """Each test twice: with an LLM that is wrapped, and with the recorder attached to the process."""
    teacher = ScriptedLLM(script)
    if request.param == "wrapped":
        yield ProtegeLLM(teacher, tmp_path, recorder=records, router=teacher_only)
        return
    attach(tmp_path, recorder=records)
    yield teacher
    detach()


class Writing(Workflow):
    """A step of each kind; the second streams, the third is no coroutine."""

    def __init__(self, llm: Any) -> None:
        super().__init__(timeout=20)
        self.llm = llm

    @step
    async def draft(self, event: StartEvent) -> Drafted:
        return Drafted(text=str(await self.llm.acomplete(event.get("text"))))

    @step
    async def polish(self, event: Drafted) -> StopEvent:
        parts = await self.llm.astream_chat([ChatMessage("polish")])
        async for _ in parts:
            await asyncio.sleep(0)
        return StopEvent(result=await asyncio.to_thread(self.check))

    def check(self) -> str:
        return str(self.llm.complete("check"))


class Outer(Workflow):
    """A workflow whose step runs another, and an agent."""

    def __init__(self, llm: Any) -> None:
        super().__init__(timeout=20)
        self.llm = llm

    @step
    def begin(self, event: StartEvent) -> Drafted:
        return Drafted(text=str(self.llm.complete("begin")))

    @step
    async def delegate(self, context: Context, event: Drafted) -> StopEvent:
        await Writing(self.llm).run(text="inner")
        await FunctionAgent(name="helper", tools=[], llm=self.llm).run("help")
        return StopEvent(result="done")


async def test_each_step_is_a_node_of_the_workflows_run(llm: Any, records: Records):
    handler = Writing(llm).run(text="x")
    await handler
    assert [record["node"] for record in records.kept] == [["draft"], ["polish"], ["polish"]]
    assert {record["run"] for record in records.kept} == {handler.run_id}
    assert all(record["parent"] for record in records.kept)
    assert "agent" not in records.kept[0]


async def test_what_runs_inside_a_step_is_further_down_the_path_and_of_the_same_run(llm: Any, records: Records):
    handler = Outer(llm).run()
    await handler
    assert [record["node"] for record in records.kept] == [
        ["begin"],
        ["delegate", "draft"],
        ["delegate", "polish"],
        ["delegate", "polish"],
        ["delegate", "helper"],
    ]
    assert {record["run"] for record in records.kept} == {handler.run_id}
    assert [record.get("agent") for record in records.kept] == [None, None, None, None, "helper"]


async def test_many_runs_at_once_keep_apart(llm: Any, records: Records):
    flows = [Outer(llm).run() for _ in range(24)]
    await asyncio.gather(*flows)
    assert len(records.kept) == 24 * 5
    for flow in flows:
        own = [record for record in records.kept if record["run"] == flow.run_id]
        assert sorted(record["node"] for record in own)[0] == ["begin"]
        assert len(own) == 5


async def test_a_tool_that_asks_an_llm_is_the_node(llm: Any, records: Records):
    async def ask_again() -> str:
        """Asks."""
        return str(await llm.acomplete("in a tool"))

    agent = FunctionAgent(name="asker", tools=[ask_again], llm=llm)
    await AgentWorkflow(agents=[agent], root_agent="asker").run("Go.")
    assert [record["node"] for record in records.kept] == [["asker"], ["ask_again"], ["asker"]]
    assert len({record["run"] for record in records.kept}) == 1


async def test_an_agents_structured_answer_is_its_own(llm: Any, records: Records):
    agent = FunctionAgent(name="noter", tools=[], llm=llm, output_cls=Note)
    answer = await agent.run("Note it.")
    assert answer.structured_response == {"text": "so"}
    assert [record["node"] for record in records.kept] == [["noter"], ["noter"]]
    assert records.kept[1]["tools"][0]["function"]["name"] == "Note"


def test_calls_of_one_function_that_is_traced_share_a_run(llm: Any, records: Records):
    @dispatcher.span
    def twice() -> None:
        llm.complete("a")
        list(llm.stream_complete("b"))

    twice()
    twice()
    runs = [record["run"] for record in records.kept]
    assert runs[0] == runs[1] != runs[2] == runs[3]
    assert "node" not in records.kept[0]


def test_a_call_by_itself_has_no_place(llm: Any, records: Records):
    llm.complete("a")
    assert not {"node", "agent", "run", "parent"} & set(records.only)


async def test_no_span_is_kept_that_has_closed(llm: Any, records: Records):
    before = len(place._open)
    await Outer(llm).run()
    assert records.kept
    assert len(place._open) == before
