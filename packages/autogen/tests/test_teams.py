"""AutoGen's agents and teams with a wrapped client: who asked, in which run, and that nothing else changes."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from agents import INSTRUCTIONS, LiveHome, Records, Routed
from autogen_agentchat.agents import AssistantAgent, SocietyOfMindAgent
from autogen_agentchat.base import TaskResult
from autogen_agentchat.conditions import MaxMessageTermination, TextMentionTermination
from autogen_agentchat.messages import ModelClientStreamingChunkEvent, StructuredMessage
from autogen_agentchat.teams import MagenticOneGroupChat, RoundRobinGroupChat, SelectorGroupChat, Swarm
from autogen_agentchat.tools import AgentTool
from autogen_core import AgentId, MessageContext, RoutedAgent, SingleThreadedAgentRuntime, message_handler
from autogen_core.models import UserMessage
from protege.call import Request, text_of
from protege_autogen import ProtegeChatCompletionClient
from protege_autogen.place import place_of
from protege_autogen.testing import ScriptedClient
from pydantic import BaseModel


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


def calling(name: str, arguments: str = "{}") -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


@pytest.fixture
def wrap(records: Records, teacher_only: Routed) -> Any:
    def make(answers: Any) -> ProtegeChatCompletionClient:
        return ProtegeChatCompletionClient(ScriptedClient(answers), recorder=records, router=teacher_only)

    return make


def nodes(records: Records) -> list[list[str]]:
    return [call["node"] for call in records.kept]


async def test_an_agent_is_found_by_its_name_alone(wrap: Any, records: Records):
    await AssistantAgent("writer", wrap(lambda request: "done")).run(task="Hello")
    call = records.only
    assert (call["framework"], call["node"], call["agent"]) == ("autogen", ["writer"], "writer")
    assert call["run"]


async def test_tools_and_reflection_are_calls_of_one_run(wrap: Any, records: Records):
    def answer(request: Request) -> Any:
        return calling("add", '{"a":1,"b":2}') if request.tools else "three"

    agent = AssistantAgent("adder", wrap(answer), tools=[add], reflect_on_tool_use=True)
    first = await agent.run(task="1 and 2")
    assert first.messages[-1].content == "three"  # pyright: ignore[reportAttributeAccessIssue]
    assert nodes(records) == [["adder"]] * 2
    assert len({call["run"] for call in records.kept}) == 1
    await agent.run(task="again")
    assert len({call["run"] for call in records.kept}) == 2
    assert records.kept[1]["messages"][-1] == {"role": "tool", "content": "3", "tool_call_id": "c1"}


@pytest.mark.parametrize("streams", [False, True])
async def test_structured_output(wrap: Any, records: Records, streams: bool):
    class Shape(BaseModel):
        shape: str

    client = wrap(lambda request: '{"shape": "round"}')
    agent = AssistantAgent("namer", client, output_content_type=Shape, model_client_stream=streams)
    message = (await agent.run(task="a ball")).messages[-1]
    assert isinstance(message, StructuredMessage)
    assert message.content == Shape(shape="round")
    assert records.only["response_format"]["json_schema"]["name"] == "Shape"


async def test_a_stream_comes_as_it_did(wrap: Any, records: Records):
    agent = AssistantAgent("writer", wrap(lambda request: "one two three"), model_client_stream=True)
    events = [event async for event in agent.run_stream(task="Count")]
    texts = [event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)]
    assert texts == ["one", " two", " three"]
    assert records.only["response"]["content"] == "one two three"
    assert records.only["node"] == ["writer"]


async def test_the_members_of_a_round_robin(wrap: Any, records: Records):
    client = wrap(lambda request: f"{request.node[0]} says so")
    team = RoundRobinGroupChat(
        [AssistantAgent(name, client) for name in ("writer", "critic")], termination_condition=MaxMessageTermination(5)
    )
    for _ in range(2):
        result = await team.run(task="Write")
        assert isinstance(result, TaskResult)
        await team.reset()
    assert nodes(records) == [["writer"], ["critic"]] * 4
    runs = [call["run"] for call in records.kept]
    assert len(set(runs[:4])) == len(set(runs[4:])) == 1
    assert runs[0] != runs[4]


@pytest.mark.parametrize("streams", [False, True])
async def test_a_selector_is_a_node_of_its_own(wrap: Any, records: Records, streams: bool):
    def answer(request: Request) -> str:
        return "critic" if request.node == ("SelectorGroupChatManager",) else "TERMINATE"

    client = wrap(answer)
    team = SelectorGroupChat(
        [AssistantAgent(name, client, description=name) for name in ("writer", "critic")],
        model_client=client,
        termination_condition=TextMentionTermination("TERMINATE"),
        model_client_streaming=streams,
    )
    await team.run(task="Write")
    await team.reset()
    await team.run(task="Write")
    assert nodes(records) == [["SelectorGroupChatManager"], ["critic"]] * 2
    runs = [call["run"] for call in records.kept]
    assert runs[0] == runs[1] != runs[2] == runs[3]


async def test_a_swarm_hands_over_by_tools(wrap: Any, records: Records):
    def answer(request: Request) -> Any:
        return calling("transfer_to_seller") if request.node == ("greeter",) else "TERMINATE"

    client = wrap(answer)
    team = Swarm(
        [AssistantAgent("greeter", client, handoffs=["seller"]), AssistantAgent("seller", client)],
        termination_condition=TextMentionTermination("TERMINATE"),
    )
    result = await team.run(task="I want to buy")
    assert result.messages[-1].source == "seller"
    assert nodes(records) == [["greeter"], ["seller"]]
    assert records.kept[0]["response"]["tool_calls"][0]["function"]["name"] == "transfer_to_seller"


async def test_an_orchestrator_is_a_node_of_its_own(wrap: Any, records: Records):
    ledger = (
        '{"is_request_satisfied": {"answer": true, "reason": ""}, "is_in_loop": {"answer": false, "reason": ""},'
        ' "is_progress_being_made": {"answer": true, "reason": ""},'
        ' "next_speaker": {"answer": "writer", "reason": ""}, "instruction_or_question": {"answer": "", "reason": ""}}'
    )

    def answer(request: Request) -> str:
        return ledger if request.response_format else "done"

    client = wrap(answer)
    await MagenticOneGroupChat([AssistantAgent("writer", client)], model_client=client).run(task="Write")
    assert {tuple(node) for node in nodes(records)} == {("MagenticOneOrchestrator",)}
    assert len({call["run"] for call in records.kept}) == 1


async def test_a_team_inside_a_team_and_an_agent_as_a_tool_belong_to_one_run(wrap: Any, records: Records):
    def answer(request: Request) -> Any:
        asks = request.node == ("chief",) and request.messages[-1]["role"] == "user"
        return calling("helper", '{"task": "help"}') if asks else "done"

    client = wrap(answer)
    helper = AgentTool(AssistantAgent("helper", client))
    inner = RoundRobinGroupChat([AssistantAgent("inside", client)], max_turns=1)
    team = RoundRobinGroupChat(
        [
            AssistantAgent("chief", client, tools=[helper], reflect_on_tool_use=True),
            SocietyOfMindAgent("society", inner, client),
        ],
        max_turns=2,
    )
    await team.run(task="Begin")
    assert nodes(records) == [["chief"], ["helper"], ["chief"], ["inside"], ["society"]]
    assert len({call["run"] for call in records.kept}) == 1


async def test_an_agent_of_the_core_is_found_by_its_type(wrap: Any, records: Records):
    client = wrap(lambda request: "done")

    class Worker(RoutedAgent):
        @message_handler
        async def on_text(self, message: UserMessage, ctx: MessageContext) -> None:
            await client.create([message])

    runtime = SingleThreadedAgentRuntime()
    await Worker.register(runtime, "worker", lambda: Worker("works"))
    runtime.start()
    await runtime.send_message(UserMessage(content="go", source="user"), AgentId("worker", "default"))
    await runtime.stop_when_idle()
    assert nodes(records) == [["worker"]]
    assert records.only["run"]


async def test_outside_of_agents_there_is_no_node_and_for_agent_names_one(wrap: Any, records: Records):
    client = wrap(lambda request: "done")
    asked = [UserMessage(content="go", source="user")]
    await client.create(asked)
    await client.for_agent("planner").create(asked)
    assert "node" not in records.kept[0]
    assert "run" not in records.kept[0]
    assert (records.kept[1]["node"], records.kept[1]["agent"]) == (["planner"], "planner")
    assert client.total_usage().completion_tokens == 2


async def test_24_teams_at_once_keep_their_nodes_and_runs_apart(wrap: Any, records: Records):
    async def answer_late(number: int) -> TaskResult:
        client = wrap(lambda request: text_of(request.messages[-1]))
        members = [AssistantAgent(f"{name}{number}", client) for name in ("writer", "critic")]
        return await RoundRobinGroupChat(members, max_turns=2).run(task=f"task {number}")  # pyright: ignore[reportArgumentType]

    await asyncio.gather(*(answer_late(number) for number in range(24)))
    assert len(records.kept) == 48
    runs: dict[str, set[str]] = {}
    for call in records.kept:
        number = call["messages"][1]["content"].removeprefix("task ")
        assert call["node"][0].removeprefix("writer").removeprefix("critic") == number
        runs.setdefault(number, set()).add(call["run"])
    assert all(len(ids) == 1 for ids in runs.values())
    assert len(set.union(*runs.values())) == 24


async def test_a_specialist_answers_inside_a_team(live_home: LiveHome):
    def refuse(request: Request) -> Any:
        return AssertionError("the teacher was asked")

    teacher = ScriptedClient(refuse)
    client = ProtegeChatCompletionClient(teacher, live_home.path, router=live_home.router)
    members = [
        AssistantAgent("namer", client, system_message=INSTRUCTIONS["label"]),
        AssistantAgent("adder", client, tools=[add], system_message=INSTRUCTIONS["tool_calls"]),
    ]
    result = await RoundRobinGroupChat(members, max_turns=2).run(task="a fire engine, 1 and 2")  # pyright: ignore[reportArgumentType]
    assert [message.source for message in result.messages if message.type != "ToolCallRequestEvent"][:2] == [  # pyright: ignore[reportAttributeAccessIssue]
        "user",
        "namer",
    ]
    assert result.messages[1].content == "red"  # pyright: ignore[reportAttributeAccessIssue]
    assert result.messages[-1].content == "3"  # the tool's result  # pyright: ignore[reportAttributeAccessIssue]
    assert {call.answered_by for call in live_home.calls()} == {"id-label", "id-tool_calls"}
    assert teacher.total_usage().prompt_tokens == 0
    assert client.total_usage().prompt_tokens == 10


@pytest.mark.parametrize("team", [False, True])
async def test_finding_the_agent_takes_less_than_30_us(team: bool):
    took: list[float] = []

    def answer(request: Request) -> str:
        for _ in range(200):
            begin = time.perf_counter()
            found = place_of(None)
            took.append(time.perf_counter() - begin)
            assert found.agent == "writer"
        return "done"

    agent = AssistantAgent("writer", ScriptedClient(answer))
    await (RoundRobinGroupChat([agent], max_turns=1) if team else agent).run(task="Hello")
    assert sorted(took)[20] < 30e-6  # of the quicker ones, since other programs run beside this one
