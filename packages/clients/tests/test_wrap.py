"""A wrapped client by itself: the providers' own, what is recorded, and what trouble does to it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx2
import ollama
import openai
import pytest
from agents import Records, Routed
from google import genai
from protege.call import Message, request_from
from protege_clients import step, wrap
from protege_clients.testing import ScriptedProvider

Keeping = Callable[[Message], Routed]
ASKED: list[Any] = [{"role": "system", "content": "You are a Clerk."}, {"role": "user", "content": "Is it spam?"}]
YES = {"Is it spam?": "yes"}
RED: Message = {"role": "assistant", "content": "red"}


def http(library: Any, handler: Any, asynchronous: bool = False) -> Any:
    kind = library.AsyncClient if asynchronous else library.Client
    return kind(transport=library.MockTransport(handler))


def chat(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="m", messages=ASKED, **options)


def of_openai(handler: Any, **options: Any) -> openai.OpenAI:
    return openai.OpenAI(api_key="none", http_client=http(httpx, handler), **{"max_retries": 0, **options})


def asking_openai(handler: Any) -> tuple[Any, Callable[[Any], Any]]:
    return of_openai(handler), lambda client: chat(client).choices[0].message.content


def asking_azure(handler: Any) -> tuple[Any, Callable[[Any], Any]]:
    client = openai.AzureOpenAI(
        api_key="none", azure_endpoint="http://x", api_version="2025-01-01", http_client=http(httpx, handler)
    )
    return client, lambda client: chat(client).choices[0].message.content


def asking_responses(handler: Any) -> tuple[Any, Callable[[Any], Any]]:
    return of_openai(handler), lambda client: client.responses.create(model="m", input=ASKED, store=False).output_text


def asking_anthropic(handler: Any) -> tuple[Any, Callable[[Any], Any]]:
    client = anthropic.Anthropic(api_key="none", http_client=http(httpx2, handler), max_retries=0)
    asked: Any = {"model": "m", "max_tokens": 9, "system": "You are a Clerk.", "messages": ASKED[1:]}
    return client, lambda client: client.messages.create(**asked).content[0].text


def asking_gemini(handler: Any) -> tuple[Any, Callable[[Any], Any]]:
    client = genai.Client(api_key="none", http_options={"httpx_client": http(httpx2, handler)})  # type: ignore[arg-type]
    asked: Any = {"model": "m", "contents": "Is it spam?", "config": {"system_instruction": "You are a Clerk."}}
    return client, lambda client: client.models.generate_content(**asked).text


def asking_ollama(handler: Any) -> tuple[Any, Callable[[Any], Any]]:
    client = ollama.Client(transport=httpx.MockTransport(handler))
    return client, lambda client: client.chat("m", ASKED).message.content


CLIENTS = {
    "openai": asking_openai,
    "azure": asking_azure,
    "responses": asking_responses,
    "anthropic": asking_anthropic,
    "google-genai": asking_gemini,
    "ollama": asking_ollama,
}
FRAMEWORKS = {"azure": "openai", "responses": "openai"}


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_is_recorded_and_switched(
    name: str, records: Records, teacher_only: Routed, keeping: Keeping
) -> None:
    provider = ScriptedProvider(YES)
    client, ask = CLIENTS[name](provider)
    assert wrap(client, agent="desk", recorder=records, router=teacher_only) is client
    assert ask(client) == "yes"
    record = records.only
    assert [dict(m) for m in request_from(record).messages] == ASKED
    assert record["response"]["content"] == "yes" and record["answered_by"] == record["model"] == "m"
    assert record["usage"]["input_tokens"] > 0 and "error" not in record
    assert (record["framework"], record["agent"]) == (FRAMEWORKS.get(name, name), "desk")
    assert record["node"] == ["desk", "Clerk"]
    client, ask = CLIENTS[name](provider)
    router = keeping(RED)
    assert ask(wrap(client, recorder=records, router=router)) == "red"
    assert len(provider.asked) == 1 and len(router.asked) == 1
    assert records.kept[-1]["answered_by"] == "s1" and records.kept[-1]["decision"] == "kept"


async def test_each_asynchronous_client_is_recorded_and_switched(
    records: Records, teacher_only: Routed, keeping: Keeping
) -> None:
    async def ask(client: Any) -> list[Any]:
        if isinstance(client, openai.AsyncOpenAI):
            stream = await chat(client, stream=True)
            return ["".join([c.choices[0].delta.content or "" async for c in stream if c.choices])]
        if isinstance(client, anthropic.AsyncAnthropic):
            async with client.messages.stream(model="m", max_tokens=9, messages=ASKED[1:]) as stream:
                return [await stream.get_final_text()]
        chunks = await client.aio.models.generate_content_stream(model="m", contents="Is it spam?")
        return ["".join([chunk.text or "" async for chunk in chunks])]

    def clients(provider: Any) -> list[Any]:
        return [
            openai.AsyncOpenAI(api_key="none", http_client=http(httpx, provider, True)),
            anthropic.AsyncAnthropic(api_key="none", http_client=http(httpx2, provider, True)),
            genai.Client(api_key="none", http_options={"httpx_async_client": http(httpx2, provider, True)}),  # type: ignore[arg-type]
        ]

    provider = ScriptedProvider(YES)
    for router, said in ((teacher_only, "yes"), (keeping(RED), "red")):
        for client in clients(provider):
            assert await ask(wrap(client, recorder=records, router=router)) == [said]
    assert [record["response"]["content"] for record in records.kept] == ["yes"] * 3 + ["red"] * 3
    assert len(provider.asked) == 3


def test_geminis_asynchronous_calls_go_through_httpx(records: Records, teacher_only: Routed) -> None:
    client = wrap(genai.Client(api_key="none"), recorder=records, router=teacher_only)
    assert client._api_client._use_aiohttp() is False
    assert asyncio.run(_lost(client)) and records.only["error"].startswith("ConnectError")


async def _lost(client: Any) -> bool:
    options = {"base_url": "http://127.0.0.1:9", "retry_options": {"attempts": 1}}
    with pytest.raises(httpx2.ConnectError):
        await client.aio.models.generate_content(model="m", contents="?", config={"http_options": options})
    return True


def test_what_is_not_a_call_passes(records: Records, teacher_only: Routed) -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        data = [{"object": "embedding", "index": 0, "embedding": [0.5]}] if "embed" in request.url.path else []
        return httpx.Response(200, json={"object": "list", "data": data, "model": "m"})

    client = wrap(of_openai(handler), recorder=records, router=teacher_only)
    assert client.models.list().data == []
    assert client.embeddings.create(model="m", input="x").data[0].embedding == [0.5]
    client.post("/chat/completions", cast_to=httpx.Response, body={"messages": 5})
    client.post("/chat/completions", cast_to=httpx.Response, content=b"no JSON")
    assert records.kept == [] and teacher_only.asked == []


@pytest.mark.parametrize(
    "handed", ["anything", object(), None, 5, httpx.Response(200)], ids=lambda handed: type(handed).__name__
)
def test_only_a_client_can_be_wrapped(handed: Any) -> None:
    with pytest.raises(TypeError, match=type(handed).__name__):
        wrap(handed)


def test_a_client_is_recorded_once_however_often_it_is_wrapped(records: Records, teacher_only: Routed) -> None:
    client = of_openai(ScriptedProvider(YES))
    for _ in range(3):
        wrap(client, recorder=records, router=teacher_only)
    chat(wrap(client.with_options(timeout=9), recorder=records, router=teacher_only))
    assert len(records.kept) == 1


def test_an_httpx_client_can_be_wrapped_itself(records: Records, teacher_only: Routed) -> None:
    client = wrap(http(httpx, ScriptedProvider(YES)), recorder=records, router=teacher_only)
    client.post("http://x/v1/chat/completions", json={"model": "m", "messages": ASKED})
    assert records.only["framework"] == "httpx"


def test_what_only_the_teacher_may_answer_is_not_asked_elsewhere(records: Records, keeping: Keeping) -> None:
    router = keeping(RED)
    client = wrap(of_openai(ScriptedProvider(YES)), recorder=records, router=router)
    assert chat(client, n=2).choices[0].message.content == "yes"
    assert client.responses.create(model="m", input=ASKED).output_text == "yes"
    assert router.asked == []
    assert [r["decision"] for r in records.kept] == ["asks for several answers", "is about what the provider stores"]


def test_the_step_is_named_by_headers_by_a_context_or_by_the_call_itself(
    records: Records, teacher_only: Routed
) -> None:
    provider = ScriptedProvider(YES)
    client = wrap(of_openai(provider), agent="desk", recorder=records, router=teacher_only)
    chat(client)
    with step("desk", run="r1"), step("writer", parent="p1"):
        chat(client)
        chat(client, extra_headers={"x-protege-node": "a/b", "x-protege-run": "r2", "x-other": "1"})
    chat(client)
    nodes = [(r.get("node"), r.get("run"), r.get("parent")) for r in records.kept]
    assert nodes == [
        (["desk", "Clerk"], None, None),
        (["desk", "writer"], "r1", "p1"),
        (["a", "b"], "r2", "p1"),
        (["desk", "Clerk"], None, None),
    ]
    assert "x-protege-node" not in provider.asked[2].headers and provider.asked[2].headers["x-other"] == "1"


def test_broken_routes_and_unsure_specialists_leave_the_answer_to_the_teacher(
    records: Records, broken: Routed, handing_back: Routed, keeping: Keeping
) -> None:
    odd: Message = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}
    for router in (broken, handing_back, keeping(odd)):
        client = wrap(of_openai(ScriptedProvider(YES)), recorder=records, router=router)
        assert chat(client).choices[0].message.content == "yes"
        assert [c.choices[0].delta.content for c in chat(client, stream=True)][1] == "yes"
    assert [record["answered_by"] for record in records.kept] == ["m"] * 6
    assert [record.get("decision") for record in records.kept[-2:]] == ["invalid structure"] * 2


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    client = wrap(of_openai(ScriptedProvider(YES)), tmp_path / "file" / "home")
    assert chat(client).choices[0].message.content == "yes"


class Broken:
    def record(self, call_record: dict[str, Any], /) -> None:
        raise RuntimeError("no")


def test_a_recorder_that_fails_stops_nothing(teacher_only: Routed) -> None:
    client = wrap(of_openai(ScriptedProvider(YES)), recorder=Broken(), router=teacher_only)
    assert chat(client).choices[0].message.content == "yes"
    assert len(list(chat(client, stream=True))) == 3


class Failing:
    """A provider that fails some times, and then answers."""

    def __init__(self, *failures: Any) -> None:
        self.failures = list(failures)
        self.provider = ScriptedProvider(YES)

    def __call__(self, request: Any) -> Any:
        if not self.failures:
            return self.provider(request)
        failure = self.failures.pop(0)
        if isinstance(failure, int):
            return httpx.Response(failure, json={"error": {"message": "overloaded"}}, headers={"retry-after-ms": "1"})
        raise failure("no", request=request)


@pytest.mark.parametrize("failures", [(429,), (500, 503), (httpx.ConnectError, httpx.ReadTimeout)])
def test_a_clients_retries_are_one_call(
    records: Records, teacher_only: Routed, failures: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(openai.OpenAI, "_calculate_retry_timeout", lambda *_: 0.0)
    client = wrap(of_openai(Failing(*failures), max_retries=2), recorder=records, router=teacher_only)
    assert chat(client).choices[0].message.content == "yes"
    assert "error" not in records.only


def test_tries_with_one_idempotency_key_have_one_id(records: Records, teacher_only: Routed) -> None:
    provider = ScriptedProvider(YES)
    client = wrap(of_openai(provider), recorder=records, router=teacher_only)
    for key in ("k1", "k1", "k2"):
        chat(client, extra_headers={"Idempotency-Key": key})
    chat(client, extra_headers={"Idempotency-Key": "k1"}, n=2)
    ids = [record["id"] for record in records.kept]
    assert ids[0] == ids[1] and len(set(ids)) == 3 and not any("k1" in each for each in ids)
    assert provider.asked[0].headers["idempotency-key"] == "k1"


def test_the_last_of_the_failed_tries_is_recorded(records: Records, teacher_only: Routed, monkeypatch: Any) -> None:
    monkeypatch.setattr(openai.OpenAI, "_calculate_retry_timeout", lambda *_: 0.0)
    client = wrap(of_openai(Failing(500, 500, 500), max_retries=2), recorder=records, router=teacher_only)
    with pytest.raises(openai.InternalServerError):
        chat(client)
    assert records.only["error"] == "HTTP 500: overloaded"
    client = wrap(of_openai(Failing(httpx.ConnectError), max_retries=0), recorder=records, router=teacher_only)
    with pytest.raises(openai.APIConnectionError):
        chat(client)
    assert records.kept[-1]["error"] == "ConnectError: no"


def test_an_odd_usage_costs_the_usage_only(records: Records, teacher_only: Routed) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}
    body = {"id": "c", "model": "m", "choices": [choice], "usage": {"prompt_tokens": "1"}}
    chat(wrap(of_openai(lambda _: httpx.Response(200, json=body)), recorder=records, router=teacher_only))
    assert records.only["response"]["content"] == "yes" and not records.only.get("usage")


class Sent(httpx.SyncByteStream):
    """The body of a stream: parts, and what is raised at its end."""

    def __init__(self, parts: list[bytes], error: Exception | None = None) -> None:
        self.parts, self.error, self.closed = parts, error, False

    def __iter__(self) -> Any:
        yield from self.parts
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.closed = True


def chunk(text: str | None, reason: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    held = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return f"data: {json.dumps(held)}\n\n".encode()


WHOLE = [chunk("ye"), chunk("s"), chunk(None, "stop"), b"data: [DONE]\n\n"]


def streaming(body: Sent, **headers: str) -> Any:
    return lambda _: httpx.Response(200, headers={"content-type": "text/event-stream", **headers}, stream=body)


def test_a_stream_is_recorded_once_it_has_ended(records: Records, teacher_only: Routed) -> None:
    body = Sent(WHOLE)
    client = wrap(of_openai(streaming(body)), recorder=records, router=teacher_only)
    stream = chat(client, stream=True)
    assert next(stream).choices[0].delta.content == "ye" and records.kept == []
    assert len(list(stream)) == 2 and body.closed
    assert records.only["response"]["content"] == "yes" and records.only["ttft_ms"] > 0


def test_a_stream_that_is_left_is_recorded_with_what_had_come(records: Records, teacher_only: Routed) -> None:
    body = Sent(WHOLE)
    client = wrap(of_openai(streaming(body)), recorder=records, router=teacher_only)
    with chat(client, stream=True) as stream:
        next(stream)
    assert records.only["error"] == "the client left before the answer's end"
    assert records.only["response"]["content"] == "ye" and body.closed


def test_a_stream_that_tells_no_end_is_not_whole(records: Records, teacher_only: Routed) -> None:
    client = wrap(of_openai(streaming(Sent(WHOLE[:2]))), recorder=records, router=teacher_only)
    assert len(list(chat(client, stream=True))) == 2
    assert records.only["error"] == "the stream ended before its end was told"
    assert records.only["response"]["content"] == "yes"


def test_a_stream_whose_end_is_told_without_a_reason_is_whole(records: Records, teacher_only: Routed) -> None:
    body = Sent([*WHOLE[:2], WHOLE[-1]])
    list(chat(wrap(of_openai(streaming(body)), recorder=records, router=teacher_only), stream=True))
    assert "error" not in records.only and records.only["response"]["content"] == "yes"


def test_an_error_in_a_stream_is_recorded(records: Records, teacher_only: Routed) -> None:
    trouble = b'data: {"error": {"message": "overloaded"}}\n\n'
    client = wrap(of_openai(streaming(Sent([WHOLE[0], trouble]))), recorder=records, router=teacher_only)
    with pytest.raises(openai.APIError, match="overloaded"):
        list(chat(client, stream=True))
    assert records.only["error"] == "overloaded" and records.only["response"]["content"] == "ye"


def test_an_empty_stream_counts_as_failed(records: Records, teacher_only: Routed) -> None:
    client = wrap(of_openai(streaming(Sent([]))), recorder=records, router=teacher_only)
    assert list(chat(client, stream=True)) == []
    assert records.only["error"].startswith("empty")


def test_a_compressed_stream_comes_as_it_was_sent_and_is_read_for_its_record(
    records: Records, teacher_only: Routed
) -> None:
    packed = gzip.compress(b"".join(WHOLE))
    body = Sent([packed[:20], packed[20:]])
    client = wrap(of_openai(streaming(body, **{"content-encoding": "gzip"})), recorder=records, router=teacher_only)
    with client.chat.completions.with_streaming_response.create(model="m", messages=ASKED, stream=True) as raw:
        assert b"".join(raw.http_response.iter_raw()) == packed
    assert records.only["response"]["content"] == "yes"


def test_a_body_that_is_not_compressed_as_it_says_costs_its_record_alone(
    records: Records, teacher_only: Routed
) -> None:
    body = Sent([b"no gzip"])
    client = wrap(of_openai(streaming(body, **{"content-encoding": "gzip"})), recorder=records, router=teacher_only)
    with client.chat.completions.with_streaming_response.create(model="m", messages=ASKED, stream=True) as raw:
        assert b"".join(raw.http_response.iter_raw()) == b"no gzip"
    assert records.only["error"] == "an answer is not compressed as it says."


def test_a_routed_stream_is_whole_and_can_be_read_raw(records: Records, keeping: Keeping) -> None:
    client = wrap(of_openai(ScriptedProvider({})), recorder=records, router=keeping(RED))
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.completion_tokens == 3
    assert "".join(c.choices[0].delta.content or "" for c in chunks[:-1]) == "red"
    with client.chat.completions.with_streaming_response.create(model="m", messages=ASKED, stream=True) as raw:
        assert b"".join(raw.http_response.iter_raw()).endswith(b"data: [DONE]\n\n")
        assert raw.headers["x-request-id"] == records.kept[-1]["id"]
    assert chat(client)._request_id == records.kept[-1]["id"]
