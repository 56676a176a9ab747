"""Between LlamaIndex and the OpenAI chat form. The OpenAI client's own translation says what is right."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from llama_index.core.llms.mock import MockLLM
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from llama_index.llms.openai.utils import to_openai_message_dicts
from openai.types.chat import ChatCompletionMessageToolCall
from protege_llamaindex.answer import Heard
from protege_llamaindex.translate import answer_to_openai, neutral_tool, request_fields, to_openai
from pydantic import BaseModel

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
ARGUMENTS = '{"city":  "Graz", "at": null}'
CALL = ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs=ARGUMENTS)


class Shape(BaseModel):
    """A shape."""

    shape: str


def said(*blocks: Any, role: MessageRole = MessageRole.USER, **extra: Any) -> ChatMessage:
    return ChatMessage(role=role, blocks=list(blocks), additional_kwargs=extra)


def text(value: str) -> TextBlock:
    return TextBlock(text=value)


MESSAGES = {
    "text": said(text("Grüße")),
    "texts": said(text("one"), text("two")),
    "nothing": said(),
    "system": said(text("Be brief."), role=MessageRole.SYSTEM),
    "developer": said(text("Be brief."), role=MessageRole.DEVELOPER),
    "answer": said(text("one"), text("two"), role=MessageRole.ASSISTANT),
    "call": said(CALL, role=MessageRole.ASSISTANT),
    "words and calls": said(text("I look."), CALL, CALL, role=MessageRole.ASSISTANT),
    "arguments as an object": said(
        ToolCallBlock(tool_call_id="c1", tool_name="weather", tool_kwargs={"city": "Wörgl", "n": [1, 2.5]}),
        role=MessageRole.ASSISTANT,
    ),
    "reasoning": said(ThinkingBlock(content="hm"), text("So."), role=MessageRole.ASSISTANT),
    "result": said(text("rain"), role=MessageRole.TOOL, tool_call_id="c1"),
    "an image's address": said(text("What is it?"), ImageBlock(url="https://example.com/a.png", detail="low")),
    "an image": said(text("What is it?"), ImageBlock(image=PIXEL)),
    "a sound": said(text("What is it?"), AudioBlock(audio=b"RIFF0000WAVEfmt ", format="wav")),
    "a document": said(
        text("Read."), DocumentBlock(data=b"%PDF-1.4", title="a.pdf", document_mimetype="application/pdf")
    ),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_written_as_the_client_writes_it(name: str):
    (written,) = to_openai([MESSAGES[name]])
    (sent,) = json.loads(json.dumps(to_openai_message_dicts([MESSAGES[name]], model="gpt-4o")))
    assert written == sent


def test_a_message_is_not_changed_by_being_read():
    before = {name: message.model_dump() for name, message in MESSAGES.items()}
    to_openai(list(MESSAGES.values()))
    assert {name: message.model_dump() for name, message in MESSAGES.items()} == before


def test_an_image_in_a_file_is_kept_with_the_call(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(PIXEL)
    message = said(ImageBlock(path=tmp_path / "a.png"))
    (written,) = to_openai([message])
    assert written == to_openai_message_dicts([message], model="gpt-4o")[0]


def test_what_lies_on_a_server_is_not_fetched():
    (written,) = to_openai([said(text("Read."), DocumentBlock(url="http://127.0.0.1:9/a.pdf"))])
    assert written["content"][1]["type"] == "document"
    assert written["content"][1]["url"] == "http://127.0.0.1:9/a.pdf"


@pytest.mark.parametrize("role", ["chatbot", "model"])
def test_other_words_for_an_assistant_are_read(role: str):
    assert to_openai([said(text("Hi."), role=MessageRole(role))]) == [{"role": "assistant", "content": "Hi."}]


@pytest.mark.parametrize(
    "calls",
    [
        [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}],
        [
            ChatCompletionMessageToolCall.model_validate(
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS}}
            )
        ],
    ],
    ids=["dict", "object"],
)
def test_calls_are_read_where_older_integrations_put_them(calls: Any):
    answer = answer_to_openai(said(role=MessageRole.ASSISTANT, tool_calls=calls))
    assert answer["content"] is None
    assert answer["tool_calls"][0]["function"] == {"name": "weather", "arguments": ARGUMENTS}


def test_an_answer_without_reasoning_is_kept():
    message = said(ThinkingBlock(content="hm"), text("So."), role=MessageRole.ASSISTANT)
    assert answer_to_openai(message) == {"role": "assistant", "content": "So."}


# Requests


def test_the_parameters_are_those_that_the_client_sends():
    llm = OpenAI(
        model="gpt-4o", api_key="none", temperature=0.3, max_tokens=9, additional_kwargs={"seed": 1, "user": "x"}
    )
    fields = request_fields(llm, {"top_p": 0.5, "parallel_tool_calls": False})
    assert fields == {
        "model": "gpt-4o",
        "parameters": {"temperature": 0.3, "max_tokens": 9, "seed": 1, "top_p": 0.5, "parallel_tool_calls": False},
    }


def test_an_llm_of_another_make_tells_its_parameters_by_its_fields():
    class Other(MockLLM):
        model: str = "other"
        temperature: float = 0.2
        api_key: str = "a-secret"

    fields = request_fields(Other(max_tokens=5), {"stop": ["\n"]})
    assert fields == {"model": "other", "parameters": {"temperature": 0.2, "max_tokens": 5, "stop": ["\n"]}}


@pytest.mark.parametrize(
    ("choice", "recorded"),
    [
        ("auto", None),
        (None, None),
        ("required", "required"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_a_choice_of_tools_is_openais(choice: Any, recorded: Any):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    assert request_fields(None, {"tools": [tool], "tool_choice": choice}).get("tool_choice") == recorded


def test_a_class_as_response_format_is_written_as_its_schema():
    written = request_fields(None, {"response_format": Shape})["response_format"]
    assert written["json_schema"]["name"] == "Shape"
    assert written["json_schema"]["schema"]["properties"].keys() == {"shape"}


def test_tools_in_other_forms_are_brought_to_openais():
    def weather(city: str) -> str:
        """The weather."""
        return city

    tool = FunctionTool.from_defaults(weather)
    openai = tool.metadata.to_openai_tool()
    schema = openai["function"]["parameters"]
    assert neutral_tool(openai) is openai
    assert neutral_tool(tool) == openai
    other = {"name": "weather", "description": "The weather.", "input_schema": schema}
    assert neutral_tool(other)["function"] == {
        "name": "weather",
        "description": "The weather.",
        "parameters": schema,
    }
    assert neutral_tool(object()) == {"type": "object"}


# Answers


def test_an_answer_tells_its_model_reason_and_usage_in_any_providers_words():
    message = said(text("So."), role=MessageRole.ASSISTANT)
    raw = {"model": "claude", "stop_reason": "end_turn", "usage": {"input_tokens": 4, "output_tokens": 2}}
    answer = Heard(ChatResponse(message=message, raw=raw)).reply()
    assert answer[:5] == ({"role": "assistant", "content": "So."}, "stop", "claude", 4, 2)
    raw = {"done_reason": "length"}
    used = {"prompt_tokens": 4, "completion_tokens": 2}
    answer = Heard(CompletionResponse(text="So", raw=raw, additional_kwargs=used)).reply()
    assert answer[:5] == ({"role": "assistant", "content": "So"}, "length", None, 4, 2)


def test_cached_and_reasoning_tokens_are_told_in_any_providers_words():
    message = said(text("So."), role=MessageRole.ASSISTANT)
    for usage in (
        {"input_tokens": 1, "output_tokens": 9, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 19},
        {"prompt_tokens": 100, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": 80}},
    ):
        answer = Heard(ChatResponse(message=message, raw={"usage": usage})).reply()
        assert (answer.input_tokens, answer.output_tokens, answer.cache_read_tokens) == (100, 9, 80)


def test_a_call_in_the_older_form_is_read():
    older = {"name": "now", "arguments": "{}"}
    message = said(role=MessageRole.ASSISTANT, function_call=older)
    answer = Heard(ChatResponse(message=message)).reply()
    assert answer.message is not None
    assert answer.message["tool_calls"][0]["function"] == older


def test_a_stream_is_kept_as_it_was_when_each_part_came():
    heard = Heard()
    message = said(text("I look"), CALL, role=MessageRole.ASSISTANT)
    heard.add(ChatResponse(message=message, raw={"choices": [{"finish_reason": "tool_calls"}]}))
    message.blocks.clear()  # an agent may do as it likes with its part
    heard.add(ChatResponse(message=said(role=MessageRole.ASSISTANT), raw={"usage": {"prompt_tokens": 1}}))
    answer = heard.reply()
    assert answer.message is not None
    assert (answer.message["content"], answer.finish_reason, answer.input_tokens) == ("I look", "tool_calls", 1)
    assert answer.message["tool_calls"][0]["function"]["arguments"] == ARGUMENTS


def test_a_call_without_arguments_is_kept_as_it_was_written():
    raw = {"id": "c1", "type": "function", "function": {"name": "now", "arguments": ""}}
    calls = [ChatCompletionMessageToolCall.model_validate(raw)]
    block = ToolCallBlock(tool_call_id="c1", tool_name="now", tool_kwargs={})
    message = said(block, role=MessageRole.ASSISTANT, tool_calls=calls)
    answer = Heard(ChatResponse(message=message)).reply()
    assert answer.message is not None
    assert answer.message["tool_calls"][0]["function"]["arguments"] == ""
