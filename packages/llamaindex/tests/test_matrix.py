"""Every way to ask an LLM × recorded, routed, fallen back: through OpenAI, to a server that keeps every byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from agents import INSTRUCTIONS, LiveHome, assert_same_as_sent
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, MessageRole
from llama_index.core.prompts import ChatPromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from matrix import MODES, check, in_mode
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai_server import CUT, FAIL, SLOW, WORDS, OpenAIServer
from protege.call import Call
from protege.task import Kind
from protege_llamaindex import ProtegeLLM, attach, detach
from pydantic import BaseModel, field_validator

if TYPE_CHECKING:
    from agents import Records

every_mode = pytest.mark.parametrize("mode", MODES)


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


TOOL = FunctionTool.from_defaults(add)


class Shape(BaseModel):
    """A shape."""

    shape: str


class Colour(BaseModel):
    """Knows more of itself than its schema says."""

    shape: str

    @field_validator("shape")
    @classmethod
    def known(cls, shape: str) -> str:
        if shape == "round":
            raise ValueError("no such colour")
        return shape


def openai_llm(url: str, model: str = "gpt-4o-mini", **options: Any) -> OpenAI:
    told = {"stream_options": {"include_usage": True}}
    # Certificates are not loaded: that takes 50 ms a client.
    clients: Any = {"http_client": httpx.Client(verify=False), "async_http_client": httpx.AsyncClient(verify=False)}
    return OpenAI(model, api_key="none", api_base=url, max_retries=0, additional_kwargs=told, **clients, **options)


@pytest.fixture
def teacher(openai_server: OpenAIServer) -> OpenAI:
    return openai_llm(openai_server.url)


@pytest.fixture
def llm(teacher: OpenAI, live_home: LiveHome) -> ProtegeLLM:
    return ProtegeLLM(teacher, live_home.path, router=live_home.router)


@pytest.fixture
def attached(tmp_path: Path, records: Records) -> Iterator[None]:
    attach(tmp_path, recorder=records)
    yield
    detach()


def asked(kind: Kind, text: str = "a fire engine, 1 and 2") -> list[ChatMessage]:
    return [ChatMessage(INSTRUCTIONS[kind], role=MessageRole.SYSTEM), ChatMessage(text)]


async def plain(llm: Any, messages: Any, **kwargs: Any) -> Any:
    return llm.chat(messages, **kwargs)


async def plain_async(llm: Any, messages: Any, **kwargs: Any) -> Any:
    return await llm.achat(messages, **kwargs)


async def stream(llm: Any, messages: Any, **kwargs: Any) -> Any:
    parts = list(llm.stream_chat(messages, **kwargs))
    assert "".join(part.delta for part in parts) == (parts[-1].message.content or "")
    return parts[-1]


async def stream_async(llm: Any, messages: Any, **kwargs: Any) -> Any:
    parts = [part async for part in await llm.astream_chat(messages, **kwargs)]
    assert "".join(part.delta for part in parts) == (parts[-1].message.content or "")
    return parts[-1]


async def until(happened: Any) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0.01)


every_way = pytest.mark.parametrize("ask", [plain, stream, plain_async, stream_async])


@every_mode
@every_way
async def test_words(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    with in_mode(live_home, mode):
        answer: ChatResponse = await ask(llm, asked("label"))
    routed = mode == "routed"
    assert answer.message.role == MessageRole.ASSISTANT
    assert answer.message.content == ("red" if routed else WORDS)
    assert isinstance(answer.raw, ChatCompletion if ask in (plain, plain_async) else ChatCompletionChunk)
    assert answer.raw.model == ("label-v1" if routed else "gpt-4o-mini")
    assert answer.raw.usage.prompt_tokens == answer.additional_kwargs["prompt_tokens"] == (5 if routed else 11)  # pyright: ignore[reportOptionalMemberAccess]
    check(live_home, openai_server, mode, "label")
    assert {call.finish_reason for call in live_home.calls()} == {"stop"}


@pytest.mark.parametrize("way", ["complete", "acomplete", "stream_complete", "astream_complete"])
async def test_a_prompt(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, way: str):
    """It has no instruction, by which the live home's tasks are known."""
    answer = getattr(llm, way)("What colour has a fire engine?")
    answer = await answer if way.startswith("a") else answer
    if way == "stream_complete":
        answer = list(answer)[-1]
    elif way == "astream_complete":
        answer = [part async for part in answer][-1]
    assert isinstance(answer, CompletionResponse)
    assert answer.text == WORDS
    assert live_home.only.request.messages == ({"role": "user", "content": "What colour has a fire engine?"},)
    assert live_home.only.from_teacher
    assert_same_as_sent(live_home.only, openai_server.only)


@every_mode
@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
async def test_tools(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, way: str):
    with in_mode(live_home, mode):
        answer: Any = getattr(llm, f"{way}_with_tools")([TOOL], chat_history=asked("tool_calls"))
        answer = await answer if way.startswith("a") else answer
        if way == "stream_chat":
            answer = list(answer)[-1]
        elif way == "astream_chat":
            answer = [part async for part in answer][-1]
    (call,) = llm.get_tool_calls_from_response(answer)
    assert (call.tool_name, set(call.tool_kwargs)) == ("add", {"a", "b"})
    assert len(answer.message.additional_kwargs["tool_calls"]) == 1
    check(live_home, openai_server, mode, "tool_calls")
    assert {call.finish_reason for call in live_home.calls()} == {"tool_calls"}


@every_mode
@pytest.mark.parametrize("way", ["predict_and_call", "apredict_and_call"])
async def test_calling_a_tool(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, way: str):
    with in_mode(live_home, mode):
        answer: Any = getattr(llm, way)([TOOL], chat_history=asked("tool_calls"))
        answer = await answer if way.startswith("a") else answer
    assert answer.response == ("3" if mode == "routed" else "2")  # the server takes the first number for both
    check(live_home, openai_server, mode, "tool_calls")


@every_mode
@pytest.mark.parametrize("way", ["structured_predict", "astructured_predict"])
async def test_structured(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, way: str):
    prompt = ChatPromptTemplate(asked("json"))
    with in_mode(live_home, mode):
        answer: Any = getattr(llm, way)(Shape, prompt)
        answer = await answer if way.startswith("a") else answer
    assert answer == Shape(shape="round" if mode == "routed" else "why?")
    check(live_home, openai_server, mode, "json")
    assert (live_home.only.request.response_format or {})["type"] == "json_schema"


@every_mode
@pytest.mark.parametrize("way", ["stream_structured_predict", "astream_structured_predict"])
async def test_structured_streams(
    llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, way: str
):
    prompt = ChatPromptTemplate(asked("json"))
    with in_mode(live_home, mode):
        parts: Any = getattr(llm, way)(Shape, prompt)
        answers = [part async for part in await parts] if way.startswith("a") else list(parts)
    assert answers[-1].shape == ("round" if mode == "routed" else "why?")
    check(live_home, openai_server, mode, "json")


@every_mode
@pytest.mark.parametrize("way", ["chat", "achat"])
async def test_a_structured_llm(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, way: str):
    with in_mode(live_home, mode):
        answer: Any = getattr(llm.as_structured_llm(Shape), way)(asked("json"))
        answer = await answer if way.startswith("a") else answer
    assert answer.raw == Shape(shape="round" if mode == "routed" else "why?")
    check(live_home, openai_server, mode, "json")


def test_a_specialists_answer_that_the_class_refuses_is_the_teachers(llm: ProtegeLLM, live_home: LiveHome):
    assert llm.structured_predict(Colour, ChatPromptTemplate(asked("json"))) == Colour(shape="why?")
    call = live_home.only
    assert call.from_teacher
    assert (call.decision, call.attempts[0].outcome) == ("invalid structure", "failed")


async def test_a_model_without_schemas_is_given_the_class_as_a_tool(live_home: LiveHome, openai_server: OpenAIServer):
    llm = ProtegeLLM(openai_llm(openai_server.url, "gpt-3.5-turbo"), live_home.path, router=live_home.router)
    with in_mode(live_home, "recorded"):
        answer = await llm.astructured_predict(Shape, ChatPromptTemplate(asked("label")))
    assert answer == Shape(shape="a fire engine, 1 and 2")
    call = live_home.only
    assert call.request.tool_names == ("Shape",)
    assert call.request.tool_choice == "required"
    assert_same_as_sent(call, openai_server.only)


@every_mode
@every_way
async def test_an_error(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    with in_mode(live_home, mode):
        if mode == "routed":  # the teacher, which would have failed, is not asked
            assert (await ask(llm, asked("label", FAIL))).message.content == "red"
            check(live_home, openai_server, mode, "label")
            return
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(llm, asked("label", FAIL))
    call = live_home.only
    assert call.error and call.error.startswith(f"{type(caught.value).__name__}: Error code: 400")
    assert call.response is None
    assert call.request.messages[-1]["content"] == openai_server.only.asked["messages"][-1]["content"] == FAIL


@every_mode
@pytest.mark.parametrize("ask", [stream, stream_async])
async def test_a_stream_that_breaks_off(
    llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    with in_mode(live_home, mode):
        if mode == "routed":
            assert (await ask(llm, asked("label", CUT))).message.content == "red"
            return
        with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
            await ask(llm, asked("label", CUT))
    call = live_home.only
    assert call.error
    assert call.response and call.response["content"] == "Hello there, "


@every_mode
@pytest.mark.parametrize("ask", [plain_async, stream_async])
async def test_cancelling(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any):
    if mode == "routed":
        live_home.engine.hold = threading.Event()
    with in_mode(live_home, mode):
        task = asyncio.create_task(ask(llm, asked("label", SLOW)))
        await until(lambda: live_home.engine.asked if mode == "routed" else openai_server.exchanges)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if live_home.engine.hold:
        live_home.engine.hold.set()
    call = live_home.only
    assert call.error == "CancelledError"
    assert len(openai_server.exchanges) == (0 if mode == "routed" else 1)


@every_mode
async def test_many_at_once(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    with in_mode(live_home, mode):
        answers = await asyncio.gather(*(llm.achat(asked("label", f"thing {i}")) for i in range(24)))
    assert {answer.message.content for answer in answers} == {"red" if mode == "routed" else WORDS}
    assert len(live_home.calls()) == 24
    check(live_home, openai_server, mode, "label")


# Attached only

every_recording = pytest.mark.parametrize("ask", [plain, stream, plain_async, stream_async])


@pytest.mark.usefixtures("attached")
@every_recording
@pytest.mark.parametrize("tools", [None, [TOOL.metadata.to_openai_tool()]], ids=["words", "tools"])
async def test_attached_records_what_was_sent(
    teacher: OpenAI, records: Records, openai_server: OpenAIServer, ask: Any, tools: Any
):
    await ask(teacher, asked("label"), **({"tools": tools} if tools else {}))
    call = Call.from_record(records.only)
    assert_same_as_sent(call, openai_server.only)
    assert call.request.parameters["temperature"] == openai_server.only.asked["temperature"]
    assert call.finish_reason == ("tool_calls" if tools else "stop")
    if ask in (stream, stream_async):
        assert call.ttft_ms is not None


@pytest.mark.usefixtures("attached")
@every_recording
async def test_attached_records_an_error(teacher: OpenAI, records: Records, openai_server: OpenAIServer, ask: Any):
    with pytest.raises(openai.BadRequestError):
        await ask(teacher, asked("label", FAIL))
    call = Call.from_record(records.only)
    assert call.error and call.error.startswith("BadRequestError: Error code: 400")
    assert call.response is None


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("ask", [stream, stream_async])
async def test_attached_records_what_came_of_a_stream(
    teacher: OpenAI, records: Records, openai_server: OpenAIServer, ask: Any
):
    with pytest.raises(Exception, match=r"(?i)closed|incomplete|connection"):
        await ask(teacher, asked("label", CUT))
    call = Call.from_record(records.only)
    assert call.error
    assert call.response and call.response["content"] == "Hello there, "


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("ask", [plain_async, stream_async])
async def test_attached_records_a_cancelled_call(
    teacher: OpenAI, records: Records, openai_server: OpenAIServer, ask: Any
):
    task = asyncio.create_task(ask(teacher, asked("label", SLOW)))
    await until(lambda: openai_server.exchanges)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert records.only["error"] == "CancelledError"


@pytest.mark.usefixtures("attached")
@pytest.mark.parametrize("way", ["structured_predict", "stream_structured_predict", "as_structured_llm", "predict"])
async def test_attached_records_a_call_once_through_whatever_it_goes(
    teacher: OpenAI, records: Records, openai_server: OpenAIServer, way: str
):
    prompt = ChatPromptTemplate(asked("json"))
    if way == "as_structured_llm":
        teacher.as_structured_llm(Shape).chat(asked("json"))
        assert [part.raw.shape for part in teacher.as_structured_llm(Shape).stream_chat(asked("json"))][-1] == "why?"  # pyright: ignore[reportOptionalMemberAccess]
    elif way == "predict":
        teacher.predict(prompt)
    elif way == "structured_predict":
        teacher.structured_predict(Shape, prompt)
    else:
        list(teacher.stream_structured_predict(Shape, prompt))
    calls = [Call.from_record(record) for record in records.kept]
    assert len(calls) == len(openai_server.exchanges)
    for call, exchange in zip(calls, openai_server.exchanges, strict=True):
        assert_same_as_sent(call, exchange)


@pytest.mark.parametrize("mode", ["recorded", "routed"])
@every_way
async def test_attached_beside_a_wrapper_a_call_is_recorded_once(
    llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer, mode: str, ask: Any
):
    attach(live_home.path)
    with in_mode(live_home, mode):
        await ask(llm, asked("label"))
    detach()
    assert live_home.only.decision
    check(live_home, openai_server, mode, "label")


# What is sent is what is recorded


async def test_a_history_is_recorded_as_it_is_sent(llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer):
    answer = llm.chat_with_tools([TOOL], chat_history=[ChatMessage("1 and 2")])
    result = ChatMessage("3 Grüße", role=MessageRole.TOOL, additional_kwargs={"tool_call_id": "call_1"})
    await llm.achat([ChatMessage("1 and 2"), answer.message, result])
    first, second = live_home.calls()
    assert_same_as_sent(first, openai_server.exchanges[0])
    assert_same_as_sent(second, openai_server.exchanges[1])
    assert [m["role"] for m in second.request.messages] == ["user", "assistant", "tool"]


async def test_a_models_own_roles_are_recorded(live_home: LiveHome, openai_server: OpenAIServer):
    llm = ProtegeLLM(openai_llm(openai_server.url, "o3-mini"), live_home.path, router=live_home.router)
    with in_mode(live_home, "recorded"):
        llm.chat(asked("label"))
    assert live_home.only.request.messages[0]["role"] == "developer"
    assert_same_as_sent(live_home.only, openai_server.only)


async def test_masking_takes_secrets_from_what_is_recorded_and_from_nothing_else(
    llm: ProtegeLLM, live_home: LiveHome, openai_server: OpenAIServer
):
    key = "sk-" + "a1B2c3D4" * 6
    with in_mode(live_home, "recorded"):
        await llm.achat(asked("label", f"my key is {key}"))
    assert key in openai_server.only.asked["messages"][-1]["content"]
    assert live_home.only.request.messages[-1]["content"] == "my key is [masked:openai_key]"
