"""The wrapped client by itself: what it leaves as it is, what it records once, and what trouble does to it."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import INSTRUCTIONS, LiveHome, Records, Routed
from autogen_core import EVENT_LOGGER_NAME, CancellationToken, FunctionCall, Image
from autogen_core.logging import LLMCallEvent
from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    RequestUsage,
    SystemMessage,
    UserMessage,
)
from autogen_ext.models.cache import ChatCompletionCache
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient
from protege.call import Message
from protege_autogen import ProtegeChatCompletionClient
from protege_autogen.messages import as_sent
from protege_autogen.testing import ScriptedClient
from protege_autogen.translate import from_openai, read_request
from pydantic import BaseModel

HELLO = [UserMessage(content="Hello", source="user")]
ABLE: Any = dict.fromkeys(("vision", "function_calling", "json_output", "structured_output"), True)

PICTURE = Image.from_base64(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

Keeping = Callable[[Message], Routed]


class Shape(BaseModel):
    shape: str


async def last(stream: Any) -> CreateResult:
    return [part async for part in stream][-1]


def wrapped(teacher: Any, records: Records, router: Any) -> ProtegeChatCompletionClient:
    return ProtegeChatCompletionClient(teacher, recorder=records, router=router)


class Listening(ScriptedClient):
    """Remembers what it was given."""

    def __init__(self) -> None:
        super().__init__(lambda request: "done")
        self.given: list[Any] = []

    async def create(self, messages: Any, **options: Any) -> CreateResult:
        self.given.append((messages, options))
        return await super().create(messages, **options)


async def test_the_client_gets_the_very_arguments(records: Records, handing_back: Routed):
    teacher = Listening()
    token = CancellationToken()
    client = wrapped(teacher, records, handing_back)
    await client.create(HELLO)
    await client.create(HELLO, json_output=Shape, cancellation_token=token, some_option=3)
    (messages, plain), (_, options) = teacher.given
    assert messages is HELLO
    assert plain == {}
    assert options == {"json_output": Shape, "cancellation_token": token, "some_option": 3}


async def test_what_is_not_its_own_is_the_clients(records: Records, teacher_only: Routed):
    teacher = ScriptedClient({"Hello": "done"}, "mine")
    client = wrapped(teacher, records, teacher_only)
    assert client.model == "mine"
    assert client.model_info == teacher.model_info
    assert client.capabilities == teacher.capabilities
    assert client.count_tokens(HELLO) == teacher.count_tokens(HELLO) > 0
    assert client.remaining_tokens(HELLO) == teacher.remaining_tokens(HELLO)
    with pytest.raises(AttributeError):
        _ = client.no_such_thing


def test_only_a_model_client_can_be_wrapped():
    with pytest.raises(TypeError, match="not a str"):
        ProtegeChatCompletionClient("gpt")  # type: ignore[arg-type]


def test_it_can_be_copied_and_pickled(tmp_path: Path):
    client = ProtegeChatCompletionClient(ScriptedClient({"Hello": "done"}), tmp_path, agent="writer")
    for again in (copy.copy(client), copy.deepcopy(client), pickle.loads(pickle.dumps(client))):
        assert (again.agent, again.home, again.client.model) == ("writer", tmp_path, "scripted-teacher")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(1)])
@pytest.mark.parametrize("streams", [False, True])
async def test_an_error_of_any_kind_goes_on_and_is_recorded(
    records: Records, teacher_only: Routed, error: BaseException, streams: bool
):
    client = wrapped(ScriptedClient(lambda request: error), records, teacher_only)
    with pytest.raises(type(error)) as caught:
        await (last(client.create_stream(HELLO)) if streams else client.create(HELLO))
    assert caught.value is error
    assert records.only["error"].startswith(type(error).__name__)


async def test_a_stream_that_is_left_is_recorded_with_what_had_come(records: Records, teacher_only: Routed):
    client = wrapped(ScriptedClient({"Hello": "one two three"}), records, teacher_only)
    stream = client.create_stream(HELLO)
    assert await anext(stream) == "one"
    await stream.aclose()
    assert records.only["error"] == "GeneratorExit"
    assert records.only["response"]["content"] == "one"


async def test_a_stream_that_is_left_at_its_last_item_is_whole(records: Records, teacher_only: Routed):
    stream = wrapped(ScriptedClient({"Hello": "one"}), records, teacher_only).create_stream(HELLO)
    async for part in stream:
        if isinstance(part, CreateResult):
            break
    await stream.aclose()
    assert "error" not in records.only
    assert records.only["finish_reason"] == "stop"


async def test_broken_routes_and_unsure_specialists_leave_the_answer_to_the_teacher(
    records: Records, broken: Routed, handing_back: Routed
):
    for router in (broken, handing_back):
        client = wrapped(ScriptedClient({"Hello": "done"}), records, router)
        assert (await client.create(HELLO)).content == "done"
        assert (await last(client.create_stream(HELLO))).content == "done"
    assert [call["answered_by"] for call in records.kept] == ["scripted-teacher"] * 4


async def test_a_home_that_cannot_be_written_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch
):
    monkeypatch.setattr("protege.common.logs._logged", set())
    (tmp_path / "file").write_text("in the way")
    client = ProtegeChatCompletionClient(ScriptedClient({"Hello": "done"}), tmp_path / "file" / "home")
    with caplog.at_level(logging.WARNING, "protege"):
        for _ in range(3):
            assert (await client.create(HELLO)).content == "done"
            assert (await last(client.create_stream(HELLO))).content == "done"
    told = [record for record in caplog.records if record.name.startswith("protege")]
    assert len(told) == 1
    assert "Hello" not in caplog.text


# What a specialist says


async def test_a_specialists_tool_call_has_autogens_form(records: Records, keeping: Keeping):
    function = {"name": "add", "arguments": '{"a": 1}'}
    message = {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": function}]}
    client = wrapped(ScriptedClient({}), records, keeping(message))
    result = await client.create(HELLO)
    assert result == await last(client.create_stream(HELLO))
    assert result.content == [FunctionCall(id="c1", name="add", arguments='{"a": 1}')]
    assert (result.finish_reason, result.thought, result.cached) == ("function_calls", None, False)
    assert result.usage == RequestUsage(25, 3)
    assert client.total_usage() == client.actual_usage() == RequestUsage(50, 6)


@pytest.mark.parametrize(
    ("options", "text", "kept"),
    [
        ({"json_output": Shape}, '{"shape": "round"}', True),
        ({"json_output": Shape}, '{"colour": "red"}', False),
        ({"json_output": True}, '{"any": 1}', True),
        ({"json_output": True}, "red", False),
        ({"json_output": False}, "red", True),
        ({"extra_create_args": {"response_format": {"type": "json_object"}}}, "red", False),
        ({"extra_create_args": {"response_format": Shape}}, "red", False),
    ],
)
async def test_a_specialist_that_breaks_the_form_is_not_kept(
    records: Records, keeping: Keeping, options: Any, text: str, kept: bool
):
    client = wrapped(ScriptedClient({"Hello": "teacher"}), records, keeping({"role": "assistant", "content": text}))
    result = await client.create(HELLO, **options)
    assert result.content == (text if kept else "teacher")
    assert records.only["decision"] == ("kept" if kept else "invalid structure")


async def test_autogens_own_log_tells_what_a_specialist_used(
    records: Records, keeping: Keeping, caplog: pytest.LogCaptureFixture
):
    client = wrapped(ScriptedClient({}), records, keeping({"role": "assistant", "content": "red"}))
    with caplog.at_level(logging.INFO, EVENT_LOGGER_NAME):
        await client.create(HELLO)
        await last(client.create_stream(HELLO))
    call, start, end = (record.msg for record in caplog.records if record.name == EVENT_LOGGER_NAME)
    assert isinstance(call, LLMCallEvent)
    assert (call.prompt_tokens, call.completion_tokens) == (25, 3)
    assert '"model": "s1"' in str(call)
    assert "LLMStreamStart" in str(start)
    assert "LLMStreamEnd" in str(end)


async def test_a_specialist_is_given_up_when_its_token_is_cancelled(records: Records, keeping: Keeping):
    token = CancellationToken()
    token.cancel()
    client = wrapped(ScriptedClient({}), records, keeping({"role": "assistant", "content": "red"}))
    with pytest.raises(BaseException) as caught:
        await client.create(HELLO, cancellation_token=token)
    assert type(caught.value).__name__ == "CancelledError"
    assert records.only["error"] == "CancelledError"


# Once only


async def test_a_call_through_two_wraps_is_recorded_once(records: Records, teacher_only: Routed):
    inner = wrapped(ScriptedClient({"Hello": "done"}), records, teacher_only)
    client = wrapped(ChatCompletionCache(inner), records, teacher_only)
    await client.create(HELLO)
    await last(client.create_stream([SystemMessage(content="Be short."), *HELLO]))
    assert len(records.kept) == 2


@pytest.mark.parametrize("outside", [True, False])
async def test_what_a_cache_gives_is_not_recorded(records: Records, teacher_only: Routed, outside: bool):
    teacher = ScriptedClient({"Hello": "done"})
    if outside:
        client: Any = ChatCompletionCache(wrapped(teacher, records, teacher_only))
    else:
        client = wrapped(ChatCompletionCache(teacher), records, teacher_only)
    results = [await client.create(HELLO), await client.create(HELLO), await last(client.create_stream(HELLO))]
    assert {result.content for result in results} == {"done"}
    assert results[-1].cached
    assert records.only["answered_by"] == "scripted-teacher"


async def test_autogens_replaying_client_is_a_teacher_like_any_other(records: Records, teacher_only: Routed):
    client = wrapped(ReplayChatCompletionClient(["one", "two"]), records, teacher_only)
    assert (await client.create(HELLO)).content == "one"
    assert (await last(client.create_stream(HELLO))).content == "two"
    assert [call["response"]["content"] for call in records.kept] == ["one", "two"]


async def test_views_for_agents_count_together(live_home: LiveHome):
    client = ProtegeChatCompletionClient(ScriptedClient({}), live_home.path, router=live_home.router)
    for name in ("writer", "critic"):
        asked = [SystemMessage(content=INSTRUCTIONS["label"]), UserMessage(content="a fire engine", source="user")]
        await client.for_agent(name).create(asked)
    assert client.total_usage() == RequestUsage(10, 2)
    assert [call.node for call in live_home.calls()] == [("writer",), ("critic",)]


# How a request is read


def openai_client(**options: Any) -> OpenAIChatCompletionClient:
    chosen = {"model": "large", "model_info": {**ABLE, "family": "unknown"}, **options}
    return OpenAIChatCompletionClient(api_key="none", base_url="http://127.0.0.1:9/v1", **chosen)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, {"role": "user", "content": "Hello", "name": "user"}),
        ({"include_name_in_message": False}, {"role": "user", "content": "Hello"}),
        ({"add_name_prefixes": True}, {"role": "user", "content": "user said:\nHello", "name": "user"}),
    ],
)
def test_names_are_read_as_the_client_sends_them(options: Any, first: Any):
    messages, fields = read_request(openai_client(**options), HELLO, {})
    assert messages == [first]
    assert fields == {"model": "large"}


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("large", "unknown"),
        ("gpt-4o", "gpt-4o"),
        ("claude-x", "unknown"),
        ("x", "claude-3-opus"),
        ("x", "gemini-1.5-pro"),
        ("x", "mistral"),
        ("x", "llama-3.3-8b"),
        ("x", "r1"),
    ],
)
@pytest.mark.parametrize("options", [{}, {"include_name_in_message": False}, {"add_name_prefixes": True}])
def test_messages_are_read_as_each_familys_are_sent(model: str, family: str, several: bool, options: Any):
    info = {**ABLE, "family": family, "multiple_system_messages": several}
    client = openai_client(model=model, model_info=info, **options)
    call = FunctionCall(id="c1", name="add", arguments="{}")
    history: Any = [
        SystemMessage(content="Be short. \n"),
        SystemMessage(content=" Be kind. "),
        UserMessage(content="", source="user"),
        UserMessage(content=["See", PICTURE, "and say"], source="user"),
        AssistantMessage(content="", source="writer"),
        AssistantMessage(content=[call], source="writer"),
        AssistantMessage(content=[call], source="writer", thought=""),
        AssistantMessage(content=[call], source="writer", thought="Hm."),
        FunctionExecutionResultMessage(content=[FunctionExecutionResult(content="3", name="add", call_id="c1")]),
        AssistantMessage(content="So far ", source="writer"),
    ]
    sent = client._process_create_args([message.model_copy() for message in history], (), "auto", None, {}).messages
    assert as_sent(client, history, {}) == sent
    assert as_sent(client, history[1:], {})[1:] == sent[1 + several :]


def test_reading_leaves_the_messages_as_they_were():
    said = AssistantMessage(content="So far ", source="writer")
    client = openai_client(model="claude-x", model_info={**ABLE, "family": "claude-3-opus"})
    messages, _ = read_request(client, [*HELLO, said], {})
    assert messages[-1]["content"] == "So far"
    assert said.content == "So far "


def test_a_request_that_the_client_will_refuse_is_read_all_the_same():
    client = openai_client(model_info={**ABLE, "family": "unknown", "function_calling": False})
    apart = [SystemMessage(content="Be short."), *HELLO, SystemMessage(content="Be kind.")]
    messages, fields = read_request(client, apart, {"tools": [{"name": "add"}], "json_output": True})
    assert [message["content"] for message in messages] == ["Be short.", "Hello", "Be kind."]
    assert fields["tools"][0]["function"]["name"] == "add"
    assert fields["response_format"] == {"type": "json_object"}


def test_a_picture_is_read():
    messages, _ = read_request(ScriptedClient({}), [UserMessage(content=["See", PICTURE], source="user")], {})
    assert [part["type"] for part in messages[0]["content"]] == ["text", "image_url"]


def test_text_beside_tool_calls_is_kept_as_the_thought():
    function = {"name": "add", "arguments": {"a": 1}}
    result = from_openai({"role": "assistant", "content": "I add.", "tool_calls": [{"function": function}]}, None, None)
    assert (result.thought, result.content) == ("I add.", [FunctionCall(id="", name="add", arguments='{"a":1}')])


async def test_a_stream_without_any_part_is_recorded_as_failed(records: Records, teacher_only: Routed):
    class Silent(ScriptedClient):
        async def create_stream(self, *args: Any, **options: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            for part in ():
                yield part

    client = wrapped(Silent({}), records, teacher_only)
    assert [part async for part in client.create_stream(HELLO)] == []
    assert records.only["error"].startswith("empty")


async def test_a_recorder_that_is_empty_is_a_recorder(teacher_only: Routed):
    class Kept(list[Any]):
        def record(self, call_record: Any) -> None:
            self.append(call_record)

    kept: Any = Kept()
    await wrapped(ScriptedClient({"Hello": "hi"}), kept, teacher_only).create(HELLO)
    assert len(kept) == 1
