"""Messages between LangChain's form and OpenAI's, both ways."""

from __future__ import annotations

import json

import pytest
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_openai_messages,
)
from langchain_core.outputs import ChatGeneration
from protege_langchain.translate import (
    answer_to_openai,
    finish_metadata,
    finish_reason,
    from_openai,
    read_generation,
    request_fields,
    to_chunks,
    to_openai,
)
from pydantic import BaseModel

CALL = {"type": "tool_call", "id": "c1", "name": "add", "args": {"a": 1, "b": "zwölf"}}
CONVERSATION = [
    SystemMessage("Be brief."),
    HumanMessage("1 + 12?", name="anna"),
    AIMessage("Let me see.", tool_calls=[CALL]),
    ToolMessage("13", tool_call_id="c1", name="add"),
    AIMessage("13"),
]


def test_a_conversation_reads_as_langchains_own_converter_writes_it():
    ours, theirs = to_openai(CONVERSATION), convert_to_openai_messages(CONVERSATION)
    for message in (*ours, *theirs):
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert ours == theirs


def test_content_of_text_parts_alone_becomes_one_text():
    parts = [{"type": "text", "text": "Hello "}, "there", {"type": "text", "text": "!", "cache_control": {}}]
    assert to_openai([SystemMessage(parts)]) == [{"role": "system", "content": "Hello there!"}]


def test_images_stay_parts_in_openai_form():
    image = {"type": "image", "base64": "aGk=", "mime_type": "image/png"}
    (message,) = to_openai([HumanMessage([{"type": "text", "text": "What is it?"}, image])])
    assert message["content"][0] == {"type": "text", "text": "What is it?"}
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


def test_roles_of_providers_are_kept_where_openai_knows_them():
    developer = SystemMessage("Be brief.", additional_kwargs={"__openai_role__": "developer"})
    assert [m["role"] for m in to_openai([developer, ChatMessage("x", role="user"), ChatMessage("x", role="bot")])] == [  # pyright: ignore[reportCallIssue]
        "developer",
        "user",
        "user",
    ]


def test_an_answer_keeps_its_text_and_its_calls_but_not_its_reasoning():
    content = [
        {"type": "thinking", "thinking": "hmm"},
        {"type": "text", "text": "Sure."},
        {"type": "tool_use", "id": "c1", "name": "add", "input": {}},
    ]
    answer = answer_to_openai(AIMessage(content, tool_calls=[CALL]))
    assert answer["content"] == "Sure."
    assert [call["function"]["name"] for call in answer["tool_calls"]] == ["add"]


def test_arguments_that_are_no_json_stay_as_they_were_written():
    broken = {"type": "invalid_tool_call", "id": "c1", "name": "add", "args": '{"a": 1', "error": "…"}
    answer = answer_to_openai(AIMessage("", invalid_tool_calls=[broken]))
    assert answer["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1'}


@pytest.mark.parametrize("message", [AIMessage("yes"), AIMessage("", tool_calls=[CALL, {**CALL, "id": "c2"}])])
def test_an_answer_survives_the_way_there_and_back(message: AIMessage):
    back = from_openai(answer_to_openai(message))
    assert (back.content, back.tool_calls) == (message.content, message.tool_calls)


@pytest.mark.parametrize("message", [AIMessage("yes"), AIMessage("", tool_calls=[CALL, {**CALL, "id": "c2"}])])
def test_the_chunks_of_an_answer_add_up_to_it(message: AIMessage):
    first, *rest = [chunk.message for chunk in to_chunks(message)]
    for chunk in rest:
        first = first + chunk
    assert (first.content, first.tool_calls) == (message.content, message.tool_calls)  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("given", "neutral"),
    [
        ("any", "required"),
        (True, "required"),
        ("add", {"type": "function", "function": {"name": "add"}}),
        ({"type": "tool", "name": "add"}, {"type": "function", "function": {"name": "add"}}),
        ({"type": "any"}, "required"),
    ],
)
def test_every_way_to_choose_a_tool_is_one_in_openai_form(given: object, neutral: object):
    assert request_fields({"tool_choice": given})["tool_choice"] == neutral


def test_a_free_choice_is_what_no_choice_means():
    assert request_fields({"tool_choice": "auto"}) == request_fields({"tool_choice": {"type": "auto"}}) == {}


def test_tools_of_another_provider_are_brought_into_openai_form():
    tool = {"name": "add", "description": "Adds.", "input_schema": {"type": "object", "properties": {}}}
    (neutral,) = request_fields({"tools": [tool]})["tools"]
    assert neutral["type"] == "function"
    assert neutral["function"]["name"] == "add"


def test_a_class_that_is_asked_for_is_its_json_schema():
    class Ticket(BaseModel):
        team: str

    schema = request_fields({"response_format": Ticket})["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["team"]["type"] == "string"


def test_only_sampling_parameters_are_kept():
    params = {"temperature": 0.0, "stop": [], "model": "large", "api_key": "secret", "max_tokens": None}
    assert request_fields(params) == {"parameters": {"temperature": 0.0}}


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google_genai", "ollama", None])
def test_the_end_of_an_answer_is_said_in_the_providers_words(provider: str | None):
    assert finish_reason(finish_metadata(provider, calls_tools=False)) == "stop"
    assert finish_reason(finish_metadata(provider, calls_tools=True)) in ("tool_calls", "stop")
    assert finish_reason({"stop_reason": "max_tokens"}) == finish_reason({"finish_reason": "MAX_TOKENS"}) == "length"


def test_an_answer_in_the_older_form_keeps_its_call():
    older = {"name": "track", "arguments": '{"order": 17}'}
    message = AIMessage(content="", additional_kwargs={"function_call": older})
    assert answer_to_openai(message)["tool_calls"][0]["function"] == older


def test_what_two_last_chunks_say_is_said_once():
    message = AIMessage(
        content="cut", response_metadata={"finish_reason": "lengthlength", "model_name": "gpt-4.1gpt-4.1"}
    )
    reply = read_generation(ChatGeneration(message=message))
    assert (reply.finish_reason, reply.model) == ("length", "gpt-4.1")
