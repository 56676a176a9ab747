"""What specialists answer is what the providers' own clients take: shapes, orders of events, ids and usage."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import anthropic
import httpx
import httpx2
import ollama
import openai
import orjson
import pytest
from google import genai
from protege.call import Reply, request_from
from protege.common.reasons import reason_of
from protege.common.usage import tokens_used
from protege.dialects import dialect_at
from protege.errors import InvalidAnswer

CALL = {"id": "call_a1b2", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Köln"}'}}
OTHER = {"id": "call_c3d4", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Ulm"}'}}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "text": ({"role": "assistant", "content": "It is “spam”.\n\nYes 🙂"}, "stop"),
    "json": ({"role": "assistant", "content": '{"label": "spam", "sure": 0.9}'}, "stop"),
    "one call": ({"role": "assistant", "content": None, "tool_calls": [CALL]}, "tool_calls"),
    "two calls": ({"role": "assistant", "content": None, "tool_calls": [CALL, OTHER]}, "tool_calls"),
    "text and a call": ({"role": "assistant", "content": "I look.", "tool_calls": [CALL]}, "tool_calls"),
    "cut off": ({"role": "assistant", "content": "It is"}, "length"),
}
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
KEY = "a-key-that-is-none"


class Read(NamedTuple):
    """What a client made of an answer."""

    text: str
    calls: list[tuple[str, Any]]
    reason: str | None
    tokens: tuple[int, int]


class Seen:
    """A provider that answers all with one reply, and keeps the body and the type of its last answer."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.body = b""
        self.type = ""
        self.path = ""

    def __call__(self, request: Any) -> Any:
        self.path = request.url.path
        dialect = dialect_at(request.method, self.path).dialect
        assert dialect is not None, self.path
        asked = dialect.asked(self.path, dict(request.url.params), orjson.loads(request.content))
        assert asked.teacher_only is None
        assert request_from(asked.record).messages[-1]["content"] == "Is it spam?"
        assert asked.model == "m"
        parts = dialect.stream(self.reply, asked) if asked.streams else [dialect.whole(self.reply, asked)]
        self.body, self.type, self.dialect = b"".join(parts), dialect.content_type(asked), dialect
        library = httpx2 if isinstance(request, httpx2.Request) else httpx
        return library.Response(200, headers={"content-type": self.type}, content=self.body)


def transport(library: Any, seen: Seen) -> Any:
    return library.Client(transport=library.MockTransport(seen))


QUESTION: list[Any] = [{"role": "user", "content": "Is it spam?"}]
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


def openai_client(seen: Seen) -> openai.OpenAI:
    return openai.OpenAI(api_key=KEY, base_url="http://x/v1", http_client=transport(httpx, seen), max_retries=0)


def azure_client(seen: Seen) -> openai.OpenAI:
    return openai.AzureOpenAI(
        api_key=KEY, azure_endpoint="http://x/", api_version="2025-01-01", http_client=transport(httpx, seen)
    )


def chatted(client: openai.OpenAI, streams: bool) -> Read:
    if streams:
        options = {"stream_options": {"include_usage": True}}
        with client.chat.completions.stream(model="m", messages=QUESTION, tools=[TOOL], **options) as stream:  # type: ignore[arg-type]
            events = list(stream)
        chunks = [event.chunk for event in events if event.type == "chunk"]
        assert [bool(chunk.usage) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        whole: Any = stream.current_completion_snapshot
    else:
        whole = client.chat.completions.create(model="m", messages=QUESTION, tools=[TOOL])
    assert whole.id.startswith("chatcmpl-") and whole.model == "m" and whole.system_fingerprint == "fp_s1"
    message = whole.choices[0].message
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or ()]
    assert all(c.id.startswith("call_") and c.type == "function" for c in message.tool_calls or ())
    used = (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    return Read(message.content or "", calls, whole.choices[0].finish_reason, used)


def responded(seen: Seen, streams: bool) -> Read:
    client = openai_client(seen)
    tool: Any = {"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}
    asked: Any = {"model": "m", "input": QUESTION, "tools": [tool], "store": False, "instructions": "Be brief."}
    if streams:
        with client.responses.stream(**asked) as stream:
            events = list(stream)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        whole: Any = events[-1].response  # type: ignore[union-attr]
    else:
        whole = client.responses.create(**asked)
    assert whole.id.startswith("resp_") and whole.instructions == "Be brief." and whole.store is False
    calls = [item for item in whole.output if item.type == "function_call"]
    assert all(call.call_id.startswith("call_") and (call.id or "").startswith("fc_") for call in calls)
    reason = "length" if whole.status == "incomplete" else "tool_calls" if calls else "stop"
    used = (whole.usage.input_tokens, whole.usage.output_tokens)
    return Read(whole.output_text, [(c.name, json.loads(c.arguments)) for c in calls], reason, used)


def completed(seen: Seen, streams: bool) -> Read:
    client = openai_client(seen)
    if not streams:
        whole = client.completions.create(model="m", prompt="Is it spam?")
        assert whole.id.startswith("cmpl-") and whole.usage is not None
        used = (whole.usage.prompt_tokens, whole.usage.completion_tokens)
        return Read(whole.choices[0].text, [], whole.choices[0].finish_reason, used)
    chunks = list(
        client.completions.create(model="m", prompt="Is it spam?", stream=True, stream_options={"include_usage": True})
    )
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert [bool(choice.finish_reason) for choice in choices] == [False] * (len(choices) - 1) + [True]
    assert chunks[-1].usage is not None
    used = (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens)
    return Read("".join(choice.text for choice in choices), [], choices[-1].finish_reason, used)


def told(seen: Seen, streams: bool) -> Read:
    client = anthropic.Anthropic(api_key=KEY, base_url="http://x", http_client=transport(httpx2, seen), max_retries=0)
    tools: Any = [{"name": "get_weather", "input_schema": PARAMETERS}]
    asked: Any = {"model": "m", "max_tokens": 100, "messages": QUESTION, "tools": tools}
    if streams:
        with client.messages.stream(**asked) as stream:
            raw = [event.type for event in stream if not hasattr(event, "snapshot")]
            whole = stream.get_final_message()
        assert raw[0] == "message_start" and raw[-1] == "message_stop"
    else:
        whole = client.messages.create(**asked)
    assert whole.id.startswith("msg_") and whole.model == "m" and whole.usage.cache_read_input_tokens == 0
    calls = [block for block in whole.content if block.type == "tool_use"]
    assert all(call.id.startswith("toolu_") for call in calls)
    text = "".join(block.text for block in whole.content if block.type == "text")
    used = (whole.usage.input_tokens, whole.usage.output_tokens)
    return Read(text, [(c.name, c.input) for c in calls], reason_of(whole.stop_reason), used)


def generated(seen: Seen, streams: bool) -> Read:
    options: Any = {"base_url": "http://x", "httpx_client": transport(httpx2, seen)}
    client = genai.Client(api_key=KEY, http_options=options)
    declared: Any = {"function_declarations": [{"name": "get_weather", "parameters_json_schema": PARAMETERS}]}
    config: Any = {"tools": [declared], "automatic_function_calling": {"disable": True}}
    if streams:
        chunks = list(client.models.generate_content_stream(model="m", contents="Is it spam?", config=config))
    else:
        chunks = [client.models.generate_content(model="m", contents="Is it spam?", config=config)]
    parts = [part for c in chunks for part in c.candidates[0].content.parts]  # type: ignore[index]
    calls: list[Any] = [part.function_call for part in parts if part.function_call]
    last: Any = chunks[-1]
    assert last.response_id and last.model_version == "m"
    reason = {"STOP": "tool_calls" if calls else "stop", "MAX_TOKENS": "length"}[last.candidates[0].finish_reason.name]
    used = (last.usage_metadata.prompt_token_count, last.usage_metadata.candidates_token_count)
    return Read("".join(part.text or "" for part in parts), [(c.name, c.args) for c in calls], reason, used)


def ollama_client(seen: Seen) -> ollama.Client:
    return ollama.Client("http://x", transport=httpx.MockTransport(seen))


def locally_chatted(seen: Seen, streams: bool) -> Read:
    answer: Any = ollama_client(seen).chat(model="m", messages=QUESTION, tools=[TOOL], stream=streams)
    parts = list(answer) if streams else [answer]
    calls = [call.function for part in parts for call in part.message.tool_calls or ()]
    text = "".join(part.message.content or "" for part in parts)
    return _local(parts, text, [(call.name, dict(call.arguments)) for call in calls])


def locally_generated(seen: Seen, streams: bool) -> Read:
    answer: Any = ollama_client(seen).generate(model="m", prompt="Is it spam?", stream=streams)
    parts = list(answer) if streams else [answer]
    return _local(parts, "".join(part.response for part in parts), [])


def _local(parts: list[Any], text: str, calls: list[tuple[str, Any]]) -> Read:
    last = parts[-1]
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True] and last.created_at
    reason = "tool_calls" if calls and last.done_reason == "stop" else last.done_reason
    return Read(text, calls, reason, (last.prompt_eval_count, last.eval_count))


CLIENTS: dict[str, Callable[[Seen, bool], Read]] = {
    "openai": lambda seen, streams: chatted(openai_client(seen), streams),
    "responses": responded,
    "completions": completed,
    "anthropic": told,
    "gemini": generated,
    "ollama chat": locally_chatted,
    "ollama generate": locally_generated,
}
TEXT_ONLY = ("completions", "ollama generate")
CASES = [
    (client, said, streams)
    for client, said, streams in itertools.product(CLIENTS, SAID, (False, True))
    if client not in TEXT_ONLY or not SAID[said][0].get("tool_calls")
]


@pytest.mark.parametrize(("client", "said", "streams"), CASES)
def test_the_clients_read_what_a_specialist_said(client: str, said: str, streams: bool) -> None:
    message, reason = SAID[said]
    seen = Seen(Reply(message, reason, "s1", 12, 5))
    read = CLIENTS[client](seen, streams)
    assert read.text == (message["content"] or "")
    expected = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in message.get("tool_calls", ())]
    assert read.calls == expected
    assert (read.reason, read.tokens) == (reason, (12, 5))
    # and what was written is read again as what was said
    record = seen.dialect.answered(seen.body, seen.type)
    assert (record["response"]["content"] or "") == read.text
    made = record["response"].get("tool_calls") or ()
    assert [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in made] == read.calls
    assert all(call["id"] for call in made)
    assert tokens_used(record["usage"])[:2] == (12, 5)
    assert record["answered_by"] == "m"
    ends = {reason_of(record["finish_reason"]), *(("tool_calls",) if made else ())}
    assert reason in ends


def test_azure_gets_the_results_of_its_filters() -> None:
    seen = Seen(Reply(SAID["text"][0], "stop", "s1", 12, 5))
    client = azure_client(seen)
    whole: Any = client.chat.completions.create(model="m", messages=QUESTION)
    assert seen.path.endswith("/openai/deployments/m/chat/completions")
    assert whole.prompt_filter_results == [{"prompt_index": 0, "content_filter_results": {}}]
    chunks: list[Any] = list(client.chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert chunks[0].choices == [] and chunks[0].prompt_filter_results
    assert "".join(c.choices[0].delta.content or "" for c in chunks[1:]) == SAID["text"][0]["content"]
    assert all(chunk.usage is None for chunk in chunks)


def test_azure_does_so_without_a_deployment_in_its_path_too() -> None:
    dialect = dialect_at("POST", "/openai/v1/chat/completions").dialect
    assert dialect is not None
    asked = dialect.asked("/openai/v1/chat/completions", {}, {"model": "m", "messages": QUESTION})
    assert json.loads(dialect.whole(Reply(SAID["text"][0], "stop", "s1", 12, 5), asked))["prompt_filter_results"]


def test_gemini_streams_an_array_unless_events_are_asked_for() -> None:
    dialect = dialect_at("POST", "/v1beta/models/m:streamGenerateContent").dialect
    assert dialect is not None
    body = {"contents": [{"parts": [{"text": "Is it spam?"}]}]}
    reply = Reply(SAID["text"][0], "stop", "s1", 12, 5)
    array = dialect.asked("/v1beta/models/m:streamGenerateContent", {}, body)
    events, named_so = (
        dialect.asked("/v1beta/models/m:streamGenerateContent", {name: "sse"}, body) for name in ("alt", "$alt")
    )
    assert named_so == events
    (found,) = json.loads(b"".join(dialect.stream(reply, array)))
    assert found["candidates"][0]["content"]["parts"] == [{"text": SAID["text"][0]["content"]}]
    assert b"".join(dialect.stream(reply, events)).startswith(b"data: {")
    assert dialect.content_type(array).startswith("application/json")
    assert dialect.content_type(events) == "text/event-stream"


def test_anthropics_events_come_in_their_order() -> None:
    dialect = dialect_at("POST", "/v1/messages").dialect
    assert dialect is not None
    asked = dialect.asked("/v1/messages", {}, {"model": "m", "max_tokens": 9, "messages": QUESTION, "stream": True})
    parts = dialect.stream(Reply(SAID["text and a call"][0], "tool_calls", "s1", 12, 5), asked)
    named = [part.split(b"\n")[0].removeprefix(b"event: ").decode() for part in parts]
    assert named == [
        "message_start", "content_block_start", "ping", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip


def every_dialect() -> Iterator[tuple[Any, Any]]:
    for path, body in (
        ("/v1/chat/completions", {"model": "m", "messages": QUESTION}),
        ("/v1/responses", {"model": "m", "input": QUESTION, "store": False}),
        ("/v1/completions", {"model": "m", "prompt": "Is it spam?"}),
        ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": QUESTION}),
        ("/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Is it spam?"}]}]}),
        ("/api/chat", {"model": "m", "messages": QUESTION}),
        ("/api/generate", {"model": "m", "prompt": "Is it spam?"}),
    ):
        dialect = dialect_at("POST", path).dialect
        assert dialect is not None
        yield dialect, dialect.asked(path, {}, body)


def test_an_answer_that_a_form_cannot_hold_is_refused_before_anything_is_sent() -> None:
    broken = {**CALL, "function": {"name": "get_weather", "arguments": "{"}}
    for dialect, asked in every_dialect():
        for message in (None, {"role": "assistant", "content": None, "tool_calls": [broken]}):
            for write in (dialect.whole, dialect.stream):
                with pytest.raises(InvalidAnswer):
                    write(Reply(message, "stop", "s1"), asked)
    for (dialect, asked), only_text in zip(every_dialect(), (0, 0, 1, 0, 0, 0, 1), strict=True):
        reply = Reply(SAID["one call"][0], "tool_calls", "s1")
        if only_text:
            with pytest.raises(InvalidAnswer, match="a tool call"):
                dialect.whole(reply, asked)
        else:
            assert b"get_weather" in dialect.whole(reply, asked)


def test_one_call_is_not_answered_with_two() -> None:
    two = Reply(SAID["two calls"][0], "tool_calls", "s1")
    for path, told in (
        ("/v1/chat/completions", {"parallel_tool_calls": False}),
        ("/v1/messages", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
    ):
        dialect = dialect_at("POST", path).dialect
        assert dialect is not None
        with pytest.raises(InvalidAnswer, match="several tool calls"):
            dialect.whole(two, dialect.asked(path, {}, {"model": "m", "messages": QUESTION, **told}))


def test_responses_repeat_who_asks_only_where_it_is_told() -> None:
    dialect = dialect_at("POST", "/v1/responses").dialect
    assert dialect is not None
    for told in ({}, {"user": "ann"}, {"user": None}, {"prompt_cache_key": "k", "safety_identifier": "s"}):
        asked = dialect.asked("/v1/responses", {}, {"input": "?", "store": False, **told})
        found = json.loads(dialect.whole(Reply(SAID["text"][0], "stop", "s1", 12, 5), asked))
        repeated = {name: found[name] for name in ("user", "prompt_cache_key", "safety_identifier") if name in found}
        assert repeated == {name: value for name, value in told.items() if value is not None}


def test_every_answer_has_an_id_of_its_own() -> None:
    reply = Reply(SAID["text"][0], "stop", "s1")
    for dialect, asked in every_dialect():
        if "ollama" in dialect.name:
            continue
        first, second = (dialect.answered(dialect.whole(reply, asked))["id"] for _ in range(2))
        assert first != second
