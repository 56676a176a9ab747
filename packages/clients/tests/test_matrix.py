"""Every way to ask OpenAI's clients × recorded, routed, fallen back: to a real server."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import httpx2
import openai
import pytest
from agents import INSTRUCTIONS, LiveHome
from matrix import MODES, check, in_mode
from openai.types.chat import ChatCompletionMessage
from openai_server import CUT, FAIL, SLOW, WORDS, OpenAIServer
from protege.task import Kind
from protege_clients import wrap
from pydantic import BaseModel

every_mode = pytest.mark.parametrize("mode", MODES)
ADD: Any = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {name: {"type": "integer"} for name in "ab"}},
    },
}


class Shape(BaseModel):
    """A shape."""

    shape: str


class Asker:
    """Asks a client, synchronous or not, in one way."""

    def __init__(self, kind: Any, streams: bool, endpoint: str, home: LiveHome) -> None:
        self.bare: Any = kind(base_url=endpoint, api_key="none", max_retries=0)
        self.client: Any = wrap(kind(base_url=endpoint, api_key="none", max_retries=0), home.path, router=home.router)
        self.streams = streams

    async def __call__(self, messages: Any, client: Any = None, **options: Any) -> Any:
        """The message of the answer, and the chunk or the answer that told its usage."""
        create = (client or self.client).chat.completions.create
        streaming: Any = {"stream": True, "stream_options": {"include_usage": True}} if self.streams else {}
        answer: Any = create(model="large", messages=messages, **streaming, **options)
        answer = await answer if inspect.isawaitable(answer) else answer
        if not self.streams:
            return answer.choices[0].message, answer
        chunks = [chunk async for chunk in each(answer)]
        return joined(chunks), chunks[-1]


async def each(stream: Any) -> AsyncIterator[Any]:
    if isinstance(stream, openai.AsyncStream):
        async for part in stream:
            yield part
    else:
        for part in stream:
            yield part


def joined(chunks: list[Any]) -> Any:
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    calls = [call for delta in deltas for call in delta.tool_calls or ()]
    content = "".join(delta.content or "" for delta in deltas)
    if not calls:
        return ChatCompletionMessage(role="assistant", content=content)
    arguments = "".join(call.function.arguments for call in calls)
    function = {"name": calls[0].function.name, "arguments": arguments}
    made: Any = {"role": "assistant", "tool_calls": [{"id": calls[0].id, "type": "function", "function": function}]}
    return ChatCompletionMessage.model_validate(made)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> Any:
    return openai.OpenAI if request.param == "sync" else openai.AsyncOpenAI


@pytest.fixture(params=["whole", "stream"])
def ask(request: pytest.FixtureRequest, kind: Any, endpoint: str, live_home: LiveHome) -> Iterator[Asker]:
    asker = Asker(kind, request.param == "stream", endpoint, live_home)
    yield asker
    for client in (asker.client, asker.bare):
        if isinstance(client, openai.OpenAI):
            client.close()


def asked(kind: Kind, text: str = "a fire engine, 1 and 2") -> list[Any]:
    return [{"role": "system", "content": INSTRUCTIONS[kind]}, {"role": "user", "content": text}]


@every_mode
async def test_words(ask: Asker, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    with in_mode(live_home, mode):
        message, told = await ask(asked("label"))
    routed = mode == "routed"
    assert message.content == ("red" if routed else WORDS)
    assert told.model == "large"
    assert (told.usage.prompt_tokens, told.usage.completion_tokens) == ((5, 1) if routed else (11, 7))
    check(live_home, openai_server, mode, "label")


@every_mode
async def test_tools(ask: Asker, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    with in_mode(live_home, mode):
        message, _ = await ask(asked("tool_calls"), tools=[ADD])
    (call,) = message.tool_calls
    assert call.function.name == "add" and call.id.startswith("call_")
    assert set(json.loads(call.function.arguments)) == {"a", "b"}
    check(live_home, openai_server, mode, "tool_calls")


@every_mode
async def test_structured(ask: Asker, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    schema: Any = {"type": "json_schema", "json_schema": {"name": "shape", "schema": Shape.model_json_schema()}}
    with in_mode(live_home, mode):
        message, _ = await ask(asked("json"), response_format=schema)
    assert Shape.model_validate_json(message.content) == Shape(shape="round" if mode == "routed" else "why?")
    check(live_home, openai_server, mode, "json")


@every_mode
async def test_an_error(ask: Asker, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    with in_mode(live_home, mode):
        if mode == "routed":  # the teacher, which would have failed, is not asked
            assert (await ask(asked("label", FAIL)))[0].content == "red"
            check(live_home, openai_server, mode, "label")
            return
        with pytest.raises(openai.BadRequestError):
            await ask(asked("label", FAIL))
    call = live_home.only
    assert call.error == ("HTTP 400" if ask.streams else "HTTP 400: no")
    assert call.response is None
    assert call.request.messages[-1]["content"] == openai_server.only.asked["messages"][-1]["content"] == FAIL


@pytest.mark.parametrize("ask", ["stream"], indirect=True)
async def test_a_stream_that_breaks_off(ask: Asker, live_home: LiveHome, openai_server: OpenAIServer):
    cut = (httpx.RemoteProtocolError, httpx2.RemoteProtocolError)  # of OpenAI's client 2, and 3
    with in_mode(live_home, "recorded"), pytest.raises((*cut, openai.APIConnectionError)) as raised:
        await ask(asked("label", CUT))
    assert isinstance(raised.value, cut) or isinstance(raised.value.__cause__, cut)  # newer ones put theirs around it
    call = live_home.only
    assert call.error and call.error.startswith("RemoteProtocolError")
    assert call.response and call.response["content"] == "Hello there, "


@pytest.mark.parametrize("mode", ["recorded", "routed"])
@pytest.mark.parametrize("kind", ["async"], indirect=True)
async def test_cancelling(ask: Asker, live_home: LiveHome, openai_server: OpenAIServer, mode: str):
    if mode == "routed":
        live_home.engine.hold = threading.Event()
    with in_mode(live_home, mode):
        task = asyncio.create_task(ask(asked("label", SLOW)))
        while not (live_home.engine.asked if mode == "routed" else openai_server.exchanges):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    if live_home.engine.hold:
        live_home.engine.hold.set()
    assert live_home.only.error == "CancelledError"
    assert len(openai_server.exchanges) == (0 if mode == "routed" else 1)


@every_mode
async def test_many_at_once(live_home: LiveHome, openai_server: OpenAIServer, endpoint: str, mode: str):
    ask = Asker(openai.AsyncOpenAI, False, endpoint, live_home)
    with in_mode(live_home, mode):
        answers = await asyncio.gather(*(ask(asked("label", f"thing {i}")) for i in range(24)))
    assert {message.content for message, _ in answers} == {"red" if mode == "routed" else WORDS}
    assert len(live_home.calls()) == 24
    check(live_home, openai_server, mode, "label")


async def test_the_server_gets_the_same_bytes_as_from_the_bare_client(
    ask: Asker, live_home: LiveHome, openai_server: OpenAIServer
):
    options: Any = {"tools": [ADD], "temperature": 0.5, "extra_headers": {"x-mine": "1"}}
    with in_mode(live_home, "unsure"):
        for client in (ask.client, ask.bare):
            await ask(asked("tool_calls"), client, **options)
    first, second = openai_server.exchanges
    assert first.body == second.body
    assert {name: value for name, value in first.headers.items() if name != "Host"} == {
        name: value for name, value in second.headers.items() if name != "Host"
    }


async def test_masking_takes_secrets_from_what_is_recorded_and_from_nothing_else(
    ask: Asker, live_home: LiveHome, openai_server: OpenAIServer
):
    key = "sk-" + "a1B2c3D4" * 6
    with in_mode(live_home, "recorded"):
        await ask(asked("label", f"my key is {key}"))
    assert key in openai_server.only.asked["messages"][-1]["content"]
    assert live_home.only.request.messages[-1]["content"] == "my key is [masked:openai_key]"


async def test_parsed_answers_are_a_specialists_too(live_home: LiveHome, endpoint: str):
    client = Asker(openai.OpenAI, False, endpoint, live_home).client
    with in_mode(live_home, "routed"):
        parsed = client.chat.completions.parse(model="large", messages=asked("json"), response_format=Shape)
        with client.chat.completions.with_streaming_response.create(model="large", messages=asked("label")) as raw:
            assert raw.headers["x-protege-answered-by"] == "id-label"
            assert json.loads(raw.read())["choices"][0]["message"]["content"] == "red"
    assert parsed.choices[0].message.parsed == Shape(shape="round")
