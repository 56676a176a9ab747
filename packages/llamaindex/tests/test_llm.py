"""ProtegeLLM around LLMs of all makes: whatever goes wrong the teacher answers, and nothing of it is lost."""

# pyright: reportCallIssue=false

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from llama_index.core import Settings
from llama_index.core.agent.react.formatter import ReActChatFormatter
from llama_index.core.agent.react.output_parser import ReActOutputParser
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole, ToolCallBlock
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.mock import MockLLM
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from protege_llamaindex import ProtegeLLM
from protege_llamaindex.testing import ScriptedLLM
from pydantic import BaseModel

if TYPE_CHECKING:
    from agents import Records, Routed

Keeping = Callable[[Any], "Routed"]

KEY = "key-of-the-test"
TEXT = {"role": "assistant", "content": "billing"}
FUNCTION = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
CALL = {"role": "assistant", "content": None, "tool_calls": [{"id": "c9", "type": "function", "function": FUNCTION}]}


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


TOOL = FunctionTool.from_defaults(add)


class Shape(BaseModel):
    """A shape."""

    shape: str


class OwnForm(ScriptedLLM):
    """Has its tools in a form of its provider's."""

    def _prepare_chat_with_tools(self, tools: Sequence[Any], **kwargs: Any) -> dict[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        prepared = super()._prepare_chat_with_tools(tools, **kwargs)
        names = [tool["function"]["name"] for tool in prepared.pop("tools")]
        prepared.pop("tool_choice", None)
        return {**prepared, "toolConfig": {"toolSpecs": names}}


class Limiter:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def acquire(self) -> None:
        self.asked += 1

    async def async_acquire(self) -> None:
        self.asked += 1


@pytest.fixture
def wrap(tmp_path: Path, records: Records, teacher_only: Routed) -> Callable[..., ProtegeLLM]:
    def wrapped(llm: Any, router: Any = None) -> ProtegeLLM:
        return ProtegeLLM(llm, tmp_path, recorder=records, router=router or teacher_only)

    return wrapped


Wrap = Callable[..., ProtegeLLM]


# Trouble


async def test_where_the_route_fails_or_hands_back_the_teacher_answers(
    wrap: Wrap, records: Records, broken: Routed, handing_back: Routed
):
    for router in (broken, handing_back):
        llm = wrap(ScriptedLLM(lambda request: "shipping"), router)
        assert str(llm.complete("x")) == str(await llm.acomplete("x")) == "shipping"
        assert list(llm.stream_complete("x"))[-1].text == "shipping"
        assert [part.text async for part in await llm.astream_complete("x")][-1] == "shipping"
    assert [record.get("decision") for record in records.kept] == [None] * 4 + ["below threshold"] * 4
    assert records.kept[-1]["attempts"][0]["content"] == "maybe"
    assert {record["answered_by"] for record in records.kept} == {"scripted-teacher"}


def test_a_request_that_cannot_be_read_is_the_teachers_alone(wrap: Wrap, records: Records, keeping: Keeping):
    class Unreadable(ScriptedLLM):
        @property
        def metadata(self) -> Any:
            raise RuntimeError("no metadata")

        def to_payload(self) -> dict[str, Any]:
            return {}

    broken = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{no"}}]}
    for router, llm in ((keeping(broken), ScriptedLLM(lambda r: "teacher")), (keeping(TEXT), MockLLM(max_tokens=1))):
        wrapped = wrap(llm, router)
        if isinstance(llm, MockLLM):
            assert str(wrapped.complete(prompt="x")) == "billing"  # by name, too
        else:
            assert str(wrapped.complete("x")) == "teacher"
    assert str(wrap(Unreadable(lambda r: "teacher"), keeping(TEXT)).complete("x")) == "teacher"


async def test_an_answer_that_cannot_be_read_goes_on_to_the_agent(wrap: Wrap, records: Records):
    class Odd(ScriptedLLM):
        def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
            return 42

        async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
            return 42

        def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
            return iter([42])

    llm = wrap(Odd({}))
    assert (llm.chat([]), await llm.achat([]), list(llm.stream_chat([]))) == (42, 42, [42])
    llm = wrap(Odd({}))
    assert llm.chat([ChatMessage("x")]) == await llm.achat([ChatMessage("x")]) == 42
    assert list(llm.stream_chat([ChatMessage("x")])) == [42]
    assert not any("response" in record for record in records.kept)


def test_the_specialists_call_must_be_of_the_form_that_was_asked_for(wrap: Wrap, keeping: Keeping, records: Records):
    llm = wrap(ScriptedLLM(lambda request: {**CALL, "tool_calls": [_call("Shape", {"shape": "flat"})]}), keeping(CALL))
    assert llm.structured_predict(Shape, PromptTemplate("x")) == Shape(shape="flat")
    assert records.only["decision"] == "invalid structure"


def test_errors_go_on_unchanged(wrap: Wrap, records: Records):
    error = KeyError("mine")
    with pytest.raises(KeyError) as caught:
        wrap(ScriptedLLM(lambda request: error)).complete("x")
    assert caught.value is error
    assert records.only["error"] == "KeyError: 'mine'"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_no_exception_is_recorded_and_goes_on(wrap: Wrap, records: Records, raised: type[BaseException]):
    with pytest.raises(raised):
        wrap(ScriptedLLM(lambda request: raised())).complete("x")
    assert records.only["error"] == raised.__name__


# LLMs of all makes


@pytest.mark.parametrize("message", [TEXT, CALL], ids=["text", "tool call"])
async def test_a_kept_answer_has_the_shape_of_the_teachers(wrap: Wrap, keeping: Keeping, message: Any):
    """Of an LLM that is not OpenAI's: its arguments are an object, its raw answer a dictionary."""
    llm = wrap(ScriptedLLM(lambda request: AssertionError("the teacher was asked")), keeping(message))
    expected = ScriptedLLM(lambda request: message).chat([ChatMessage("x")])
    answers = [
        llm.chat([ChatMessage("x")]),
        await llm.achat([ChatMessage("x")]),
        list(llm.stream_chat([ChatMessage("x")]))[-1],
        [part async for part in await llm.astream_chat([ChatMessage("x")])][-1],
    ]
    for answer in answers:
        assert isinstance(answer, ChatResponse)
        assert (answer.message.role, answer.message.content or None) == (MessageRole.ASSISTANT, message["content"])
        calls = llm.get_tool_calls_from_response(answer, error_on_no_tool_call=False)
        assert calls == llm.get_tool_calls_from_response(expected, error_on_no_tool_call=False)
        assert answer.raw is not None and expected.raw is not None
        assert answer.raw["choices"][0]["finish_reason"] == expected.raw["choices"][0]["finish_reason"]
        assert (answer.raw["model"], answer.raw["usage"]["prompt_tokens"]) == ("tickets-v1", 25)
        blocks = [block for block in answer.message.blocks if isinstance(block, ToolCallBlock)]
        assert all(block.tool_kwargs == {"a": 1, "b": 2} for block in blocks)


async def test_an_llm_that_knows_no_tools_works(wrap: Wrap, records: Records):
    llm = wrap(MockLLM(max_tokens=2))
    assert not llm.metadata.is_function_calling_model
    assert str(llm.complete("a b")) == "text text"
    assert (await llm.achat([ChatMessage("a b")])).message.content
    assert list(llm.stream_complete("a b")) == list(MockLLM(max_tokens=2).stream_complete("a b"))
    with pytest.raises(AttributeError):
        llm.chat_with_tools([TOOL], "x")
    assert len(records.kept) == 3


def test_structured_prediction_by_text_is_recorded_and_routed(wrap: Wrap, records: Records, keeping: Keeping):
    class Wordy(ScriptedLLM):
        @property
        def metadata(self) -> Any:
            return super().metadata.model_copy(update={"is_function_calling_model": False})

    teacher = Wordy(lambda request: 'Here: {"shape": "flat"}')
    assert wrap(teacher).structured_predict(Shape, PromptTemplate("x")) == Shape(shape="flat")
    kept = keeping({"role": "assistant", "content": 'So: {"shape": "round"}'})
    assert wrap(teacher, kept).structured_predict(Shape, PromptTemplate("x")) == Shape(shape="round")
    assert [record["answered_by"] for record in records.kept] == ["scripted-teacher", "s1"]
    assert not any("tools" in record for record in records.kept)


def test_an_llm_without_tools_calls_one_by_reasoning_in_words(wrap: Wrap, records: Records):
    class Wordy(ScriptedLLM):
        @property
        def metadata(self) -> Any:
            return super().metadata.model_copy(update={"is_function_calling_model": False})

    said = 'Thought: I add.\nAction: add\nAction Input: {"a": 1, "b": 2}'
    ways = {"react_chat_formatter": ReActChatFormatter(), "output_parser": ReActOutputParser()}
    assert wrap(Wordy(lambda request: said)).predict_and_call([TOOL], "1 and 2", **ways).response == "3"
    assert records.only["response"]["content"] == said


@pytest.mark.parametrize("way", ["chat_with_tools", "predict_and_call", "structured_predict"])
def test_tools_in_a_providers_own_form_are_recorded_in_openais(wrap: Wrap, records: Records, way: str):
    name = "Shape" if way == "structured_predict" else "add"
    arguments = {"shape": "flat"} if name == "Shape" else {"a": 1, "b": 2}
    llm = wrap(OwnForm(lambda request: {**CALL, "tool_calls": [_call(name, arguments)]}))
    if name == "Shape":
        assert llm.structured_predict(Shape, PromptTemplate("x")) == Shape(shape="flat")
    else:
        getattr(llm, way)([TOOL], user_msg="1 and 2")
    assert [tool["function"]["name"] for tool in records.only["tools"]] == [name]


# What is the teacher's


def test_its_limit_is_not_used_up_by_specialists(wrap: Wrap, keeping: Keeping):
    limiter = Limiter()
    teacher = ScriptedLLM(lambda request: "x", rate_limiter=limiter)
    wrap(teacher).complete("a")
    wrap(teacher, keeping(TEXT)).complete("a")
    assert limiter.asked == 1


def test_its_attributes_are_read_and_set(wrap: Wrap):
    teacher = OpenAI(model="gpt-4o-mini", api_key=KEY, system_prompt="Be brief.", messages_to_prompt=lambda m: "own")
    llm = wrap(teacher)
    assert (llm.model, llm.system_prompt, llm.messages_to_prompt([])) == ("gpt-4o-mini", "Be brief.", "own")  # pyright: ignore[reportOptionalCall]
    assert (llm.class_name(), ProtegeLLM.class_name()) == ("openai_llm", "protege_llm")
    assert llm.to_payload() == teacher.to_payload()
    assert llm.metadata == teacher.metadata
    llm.system_prompt, llm.temperature = "Be long.", 0.9
    llm.callback_manager = manager = CallbackManager([])
    assert (teacher.system_prompt, teacher.temperature) == ("Be long.", 0.9)
    assert teacher.callback_manager is manager
    teacher.temperature = 0.1
    assert llm.temperature == 0.1
    with pytest.raises(AttributeError):
        _ = llm.nothing_of_this_name


def test_it_is_set_for_all_of_llamaindex(wrap: Wrap, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Settings, "_llm", None)
    llm = wrap(ScriptedLLM(lambda request: "fine"))
    Settings.llm = llm
    assert Settings.llm is llm
    assert isinstance(llm, FunctionCallingLLM)
    assert str(Settings.llm.complete("x")) == "fine"


def test_no_secret_is_in_what_is_written_of_it(wrap: Wrap, records: Records):
    llm = wrap(OpenAI(model="gpt-4o-mini", api_key=KEY, default_headers={"authorization": KEY}))
    for written in (repr(llm), str(llm), llm.to_json(), json.dumps(llm.model_dump()), str(llm.to_payload())):
        assert KEY not in written
        assert "gpt-4o-mini" in written
    assert repr(llm).startswith("ProtegeLLM(llm='OpenAI'")


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda llm: llm.model_copy()])
def test_a_copy_records_and_asks_as_it_does(wrap: Wrap, records: Records, copied: Any):
    llm = copied(wrap(ScriptedLLM({"x": "fine"})))
    assert str(llm.complete("x")) == "fine"
    assert records.only["decision"] == "no live route"


def test_pickled_it_keeps_its_teacher_and_its_home(tmp_path: Path):
    llm = ProtegeLLM(ScriptedLLM({"x": "fine"}), tmp_path)
    back = pickle.loads(pickle.dumps(llm))
    assert back.home == tmp_path
    assert str(back.complete("x")) == "fine"
    assert llm.llm.answers == {"x": "fine"}


@pytest.mark.parametrize("wrong", ["gpt-4o", None])
def test_only_an_llm_is_wrapped(wrap: Wrap, wrong: Any):
    with pytest.raises(TypeError, match="wraps an LLM"):
        wrap(wrong)


def test_an_llm_that_answers_in_a_class_is_not_wrapped_but_wraps(wrap: Wrap):
    with pytest.raises(TypeError, match="as_structured_llm"):
        wrap(ScriptedLLM({}).as_structured_llm(Shape))


def test_wrapped_twice_a_call_is_recorded_once(wrap: Wrap, records: Records):
    assert str(wrap(wrap(ScriptedLLM({"x": "fine"}))).complete("x")) == "fine"
    assert records.only["response"]["content"] == "fine"


def _call(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_has_no_form_in_the_teachers_client_goes_to_the_teacher(
    wrap: Wrap, records: Records, keeping: Keeping, endpoint: str, stream: bool
):
    teacher = OpenAI(model="gpt-4.1", api_base=endpoint, api_key=KEY)
    odd = {"role": "assistant", "content": None, "tool_calls": [{"function": FUNCTION, "type": "function", "id": 9}]}
    llm = wrap(teacher, keeping(odd))
    question = [ChatMessage("x")]
    answer = list(llm.stream_chat(question))[-1] if stream else llm.chat(question)
    assert answer.message.content
    assert (records.only["decision"], records.only["attempts"][0]["outcome"]) == ("invalid structure", "failed")
