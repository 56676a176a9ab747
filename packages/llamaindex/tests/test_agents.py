"""Real agents and query engines: where each of their calls was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import MockEmbedding, SummaryIndex, VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, CodeActAgent, FunctionAgent, ReActAgent
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.mock import MockLLM
from llama_index.core.schema import Document
from protege.call import text_of
from protege_llamaindex import ProtegeLLM, attach, detach
from protege_llamaindex.testing import ScriptedLLM

if TYPE_CHECKING:
    from agents import Records, Routed


def weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."


def called(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def forecaster(request: Any) -> Any:
    last = request.messages[-1]
    if last["role"] == "tool":
        return f"I hear: {text_of(last)}"
    return called("weather", '{"city": "Graz"}') if "weather" in request.tool_names else "no tools"


@pytest.fixture(params=["wrapped", "attached"])
def llm(request: pytest.FixtureRequest, tmp_path: Path, records: Records, teacher_only: Routed) -> Any:
    """Each test twice: with an LLM that is wrapped, and with the recorder attached to the process."""
    teacher = ScriptedLLM(forecaster)
    if request.param == "wrapped":
        yield ProtegeLLM(teacher, tmp_path, recorder=records, router=teacher_only)
        return
    attach(tmp_path, recorder=records)
    yield teacher
    detach()


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_agents_calls_know_its_name_and_run(llm: Any, records: Records, streaming: bool):
    agent = FunctionAgent(name="forecaster", tools=[weather], llm=llm, streaming=streaming, system_prompt="Be brief.")
    for _ in range(2):
        assert str(await agent.run("And today?")) == "I hear: It rains in Graz."
    assert [(r["node"], r["agent"], r["framework"]) for r in records.kept] == [
        (["forecaster"], "forecaster", "llamaindex")
    ] * 4
    runs = [record["run"] for record in records.kept]
    assert runs[0] == runs[1] != runs[2] == runs[3]
    assert records.kept[0]["response"]["tool_calls"][0]["function"]["arguments"] == '{"city": "Graz"}'
    assert [message["role"] for message in records.kept[1]["messages"]] == ["system", "user", "assistant", "tool"]


async def test_agents_of_one_workflow_have_their_own_nodes(tmp_path: Path, records: Records, teacher_only: Routed):
    def script(request: Any) -> Any:
        if request.system == "You are first." and request.messages[-1]["role"] == "user":
            return called("handoff", '{"to_agent": "second", "reason": "it knows"}')
        return "done"

    llm = ProtegeLLM(ScriptedLLM(script), tmp_path, recorder=records, router=teacher_only)
    first, second = (
        FunctionAgent(name=name, description=name, system_prompt=f"You are {name}.", llm=llm)
        for name in ("first", "second")
    )
    first.can_handoff_to = ["second"]
    await AgentWorkflow(agents=[first, second], root_agent="first").run("Go.")
    assert [record["node"] for record in records.kept] == [["first"], ["second"]]
    assert len({record["run"] for record in records.kept}) == 1


async def test_an_agent_that_reasons_in_words_is_recorded(tmp_path: Path, records: Records, teacher_only: Routed):
    llm = ProtegeLLM(
        ScriptedLLM(lambda request: "Thought: I know.\nAnswer: rain"), tmp_path, recorder=records, router=teacher_only
    )
    agent = ReActAgent(name="reasoner", tools=[weather], llm=llm)
    assert str(await agent.run("And today?")) == "rain"
    assert records.only["node"] == ["reasoner"]


@pytest.mark.parametrize("index", [VectorStoreIndex, SummaryIndex])
def test_a_query_engines_calls_are_recorded(llm: Any, records: Records, index: Any):
    more: dict[str, Any] = {"embed_model": MockEmbedding(embed_dim=8)} if index is VectorStoreIndex else {}
    engine = index.from_documents([Document(text="Rain is wet.")], **more).as_query_engine(llm=llm)
    assert str(engine.query("What is rain?")) == "no tools"
    assert "Rain is wet." in str(records.only["messages"])
    assert records.only["run"]


async def test_an_agent_that_writes_code_works_with_an_llm_that_knows_no_tools(
    tmp_path: Path, records: Records, teacher_only: Routed
):
    async def execute(code: str) -> str:
        return code

    llm = ProtegeLLM(MockLLM(max_tokens=2), tmp_path, recorder=records, router=teacher_only)
    assert not isinstance(llm, FunctionCallingLLM)
    assert isinstance(ProtegeLLM(ScriptedLLM({}), tmp_path), FunctionCallingLLM)
    assert str(await CodeActAgent(code_execute_fn=execute, llm=llm).run("Go."))
    assert len(records.kept) == 1
