"""ChatProtege where a route answers: the agent cannot tell, and the record can."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from protege.call import Call
from protege_langchain import ChatProtege
from protege_langchain.testing import ScriptedTeacher
from pydantic import BaseModel, field_validator

if TYPE_CHECKING:
    from agents import Records, Routed

TEXT = {"role": "assistant", "content": "billing, as before"}
CALL = {"id": "call_9", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
TOOL_CALL = {"role": "assistant", "content": None, "tool_calls": [CALL]}

Keeping = Callable[[Any], "Routed"]


@tool
def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class Ticket(BaseModel):
    team: str

    @field_validator("team")
    @classmethod
    def known(cls, team: str) -> str:
        if team not in ("billing", "shipping"):
            raise ValueError("no such team")
        return team


@pytest.fixture
def never() -> ScriptedTeacher:
    """A teacher that must not be asked."""
    return ScriptedTeacher(lambda request: AssertionError("the teacher was asked"))


@pytest.mark.parametrize("message", [TEXT, TOOL_CALL], ids=["text", "tool call"])
async def test_a_kept_answer_has_the_shape_of_the_teachers(
    tmp_path: Path, records: Records, keeping: Keeping, never: BaseChatModel, message: Any
):
    model = ChatProtege(never, tmp_path, recorder=records, router=keeping(message))
    teacher = ScriptedTeacher(lambda request: message)
    expected: Any = teacher.invoke("x")
    streamed: Any = None
    for chunk in model.stream("x"):
        streamed = chunk if streamed is None else streamed + chunk
    astreamed: Any = None
    async for chunk in model.astream("x"):
        astreamed = chunk if astreamed is None else astreamed + chunk
    answers: list[Any] = [model.invoke("x"), await model.ainvoke("x"), streamed, astreamed]

    assert [type(answer) for answer in answers] == [AIMessage, AIMessage, AIMessageChunk, AIMessageChunk]
    for answer in answers:
        assert (answer.content, answer.tool_calls) == (expected.content, expected.tool_calls)
        assert answer.response_metadata["finish_reason"] == expected.response_metadata["finish_reason"]
        assert answer.response_metadata["model_name"] == "tickets-v1"
        assert answer.usage_metadata == {"input_tokens": 25, "output_tokens": 3, "total_tokens": 28}
    assert [r["answered_by"] for r in records.kept] == ["s1"] * 4


def test_a_kept_answer_is_recorded_as_the_specialists(
    tmp_path: Path, records: Records, keeping: Keeping, never: BaseChatModel
):
    ChatProtege(never, tmp_path, recorder=records, router=keeping(TEXT)).invoke("x")
    call = Call.from_record(records.only)
    assert not call.from_teacher
    assert (call.model, call.answered_by, call.decision) == ("scripted-teacher", "s1", "kept")
    assert call.response == TEXT
    assert call.attempts[0].confidence == 0.99
    assert (call.input_tokens, call.output_tokens) == (25, 3)


async def test_an_answer_that_is_handed_back_is_the_teachers_with_the_attempt_beside_it(
    tmp_path: Path, records: Records, handing_back: Routed
):
    model = ChatProtege(ScriptedTeacher({"x": "shipping"}), tmp_path, recorder=records, router=handing_back)
    assert model.invoke("x").content == (await model.ainvoke("x")).content == "shipping"
    assert "".join(str(c.content) for c in model.stream("x")) == "shipping"
    for record in records.kept:
        call = Call.from_record(record)
        assert call.from_teacher
        assert (call.answered_by, call.decision) == ("scripted-teacher", "below threshold")
        assert (call.attempts[0].outcome, call.attempts[0].content) == ("handed_back", "maybe")


def test_the_route_is_asked_with_all_that_the_teacher_would_get(tmp_path: Path, records: Records, teacher_only: Routed):
    model = ChatProtege(ScriptedTeacher(lambda r: "3"), tmp_path, recorder=records, router=teacher_only)
    model.bind_tools([add], tool_choice="add").invoke("1 and 2", temperature=0.0)
    request, run = teacher_only.asked[0]
    assert request.messages == ({"role": "user", "content": "1 and 2"},)
    assert request.tool_names == ("add",)
    assert request.tool_choice == {"type": "function", "function": {"name": "add"}}
    assert request.parameters == {"temperature": 0.0}
    assert run == records.only["run"]


def test_a_kept_answer_fills_the_class_that_was_asked_for(
    tmp_path: Path, records: Records, keeping: Keeping, endpoint: str
):
    teacher = ChatOpenAI(base_url=endpoint, api_key="none", model="large")  # pyright: ignore[reportArgumentType]
    router = keeping({"role": "assistant", "content": '{"team": "billing"}'})
    model = ChatProtege(teacher, tmp_path, recorder=records, router=router)
    assert model.with_structured_output(Ticket, method="json_schema").invoke("x") == Ticket(team="billing")
    assert records.only["answered_by"] == "s1"


def test_a_kept_answer_that_breaks_the_class_goes_to_the_teacher(tmp_path: Path, records: Records, keeping: Keeping):
    class Parsing(ScriptedTeacher):
        """As langchain-openai: the answer's object comes with it."""

        def with_structured_output(self, schema: Any, **kwargs: Any) -> Any:
            return self.bind(response_format=schema) | (lambda message: message.content)

    router = keeping({"role": "assistant", "content": '{"team": "gardening"}'})
    model = ChatProtege(Parsing({"x": '{"team": "billing"}'}), tmp_path, recorder=records, router=router)  # pyright: ignore[reportCallIssue]
    assert model.with_structured_output(Ticket).invoke("x") == '{"team": "billing"}'
    call = Call.from_record(records.only)
    assert call.from_teacher
    assert (call.decision, call.attempts[0].outcome) == ("invalid structure", "failed")


async def test_a_slow_route_does_not_block_the_loop(tmp_path: Path, records: Records, keeping: Keeping):
    class Slow:
        async def aanswer(self, request: Any, run: str | None = None) -> Any:
            await asyncio.sleep(0.2)
            return keeping(TEXT).answer(request, run=run)

    model = ChatProtege(ScriptedTeacher({}), tmp_path, recorder=records, router=Slow())  # type: ignore[arg-type]
    task = asyncio.create_task(model.ainvoke("x"))
    turns = 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    assert turns > 5
    assert (await task).content == TEXT["content"]


async def test_a_call_cancelled_while_the_route_is_asked_is_recorded(tmp_path: Path, records: Records):
    class Endless:
        async def aanswer(self, request: Any, run: str | None = None) -> Any:
            await asyncio.sleep(60)

    model = ChatProtege(ScriptedTeacher({}), tmp_path, recorder=records, router=Endless())  # type: ignore[arg-type]
    task = asyncio.create_task(model.ainvoke("x"))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert records.only["error"] == "CancelledError"


def test_a_stream_holds_a_specialists_answer_back_until_it_is_kept(tmp_path: Path, records: Records, keeping: Keeping):
    model = ChatProtege(ScriptedTeacher({}), tmp_path, recorder=records, router=keeping(TEXT))
    chunks = list(model._stream([HumanMessage("x")]))
    assert all(isinstance(chunk, ChatGenerationChunk) for chunk in chunks)
    assert [chunk.message.content for chunk in chunks] == [TEXT["content"], ""]
    assert chunks[-1].message.chunk_position == "last"  # type: ignore[attr-defined]


@pytest.mark.parametrize("message", [TEXT, TOOL_CALL], ids=["text", "tool call"])
def test_a_teacher_of_the_responses_api_gets_its_blocks(
    tmp_path: Path, records: Records, keeping: Keeping, message: Any
):
    teacher = ChatOpenAI(model="large", api_key="none", use_responses_api=True)  # type: ignore[arg-type]
    model = ChatProtege(teacher, tmp_path, recorder=records, router=keeping(message))
    blocks: list[Any] = [{"type": "text", "text": "billing, as before", "annotations": []}]
    if message is TOOL_CALL:
        function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
        blocks = [{"type": "function_call", "call_id": "call_9", "status": "completed", **function}]
    streamed: Any = None
    for chunk in model.stream("x"):
        streamed = chunk if streamed is None else streamed + chunk
    for answer in (model.invoke("x"), streamed):
        assert answer.content == blocks
        assert answer.text == (message["content"] or "")
        assert [call["id"] for call in answer.tool_calls] == (["call_9"] if message is TOOL_CALL else [])
        again = teacher._get_request_payload([HumanMessage("x"), answer])["input"][1:]
        assert len(again) == 1, "sent back it is one item, without an id that is not the provider's"
        assert "id" not in again[0]
    assert [record["response"] for record in records.kept] == [message, message]


def test_a_teacher_that_changes_its_api_by_the_call_gets_blocks_there(
    tmp_path: Path, records: Records, keeping: Keeping
):
    teacher = ChatOpenAI(model="large", api_key="none")  # type: ignore[arg-type]
    model = ChatProtege(teacher, tmp_path, recorder=records, router=keeping(TEXT))
    assert model.invoke("x").content == TEXT["content"]
    assert model.invoke("x", reasoning={"effort": "low"}).content == [{**TEXT_BLOCK, "text": TEXT["content"]}]


TEXT_BLOCK = {"type": "text", "annotations": []}


def test_an_answer_that_has_no_form_here_goes_to_the_teacher_and_is_told(
    tmp_path: Path, records: Records, keeping: Keeping
):
    broken = {"id": "c", "type": "function", "function": {"name": "add", "arguments": '{"a": 1,'}}
    router = keeping({"role": "assistant", "content": None, "tool_calls": [broken]})
    model = ChatProtege(ScriptedTeacher({"x": "shipping"}), tmp_path, recorder=records, router=router)
    assert model.invoke("x").content == "shipping"
    call = Call.from_record(records.only)
    assert (call.decision, call.attempts[0].outcome) == ("invalid structure", "failed")
