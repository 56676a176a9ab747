"""Every translation of the adapters is quick, whatever the text of a request or an answer repeats.

The functions are found by introspection: a new one must be called here, or be named with the reason why not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import protege_autogen.config
import protege_autogen.events
import protege_autogen.messages
import protege_autogen.translate
import protege_clients.place
import protege_langchain.place
import protege_langchain.routing
import protege_langchain.translate
import protege_llamaindex.answer
import protege_llamaindex.translate
import pytest
from autogen_core import ComponentModel, FunctionCall
from autogen_core.models import (
    AssistantMessage,
    CreateResult,
    FunctionExecutionResult,
    FunctionExecutionResultMessage,
    RequestUsage,
    SystemMessage,
    UserMessage,
)
from hostile import UNITS, check, forgotten, functions, in_the_agent_s, quietly
from langchain_core import messages as lc
from langchain_core.outputs import ChatGeneration
from llama_index.core.base.llms import types as li
from protege_autogen.testing import ScriptedClient
from protege_llamaindex.testing import ScriptedLLM

PACKAGES = ("protege_langchain", "protege_langgraph", "protege_llamaindex", "protege_autogen", "protege_clients")


def of_langchain(text: str) -> Sequence[lc.BaseMessage]:
    use = lc.ToolCall(name="f", args={"a": text}, id="c")
    bad = lc.InvalidToolCall(type="invalid_tool_call", name="f", args=text, id="d", error=text)
    return (
        lc.SystemMessage(text),
        lc.HumanMessage([{"type": "text", "text": text}, text]),
        lc.AIMessage(text, tool_calls=[use], invalid_tool_calls=[bad]),
        lc.ToolMessage(text, tool_call_id="c"),
    )


def of_llama_index(text: str) -> list[li.ChatMessage]:
    use = li.ToolCallBlock(tool_call_id="c", tool_name="f", tool_kwargs=text)
    blocks = [li.TextBlock(text=text), use]
    return [
        li.ChatMessage(role=role, blocks=blocks, additional_kwargs={"tool_call_id": text}) for role in li.MessageRole
    ]


def of_autogen(text: str) -> list[Any]:
    use = FunctionCall(id="c", name="f", arguments=text)
    done = FunctionExecutionResult(content=text, name="f", call_id="c", is_error=False)
    return [
        SystemMessage(content=text),
        UserMessage(content=text, source="u"),
        UserMessage(content=[text], source="u"),
        AssistantMessage(content=[use], thought=text, source="a"),
        FunctionExecutionResultMessage(content=[done]),
    ]


def said(text: str) -> CreateResult:
    return CreateResult(finish_reason="stop", content=text, usage=RequestUsage(1, 1), cached=False, thought=text)


def assistant(text: str) -> Mapping[str, Any]:
    function = {"name": "f", "arguments": text}
    return {"role": "assistant", "content": text, "tool_calls": [{"id": "c", "type": "function", "function": function}]}


def dumped(text: str) -> ComponentModel:
    return ComponentModel(provider="x.Y", config={"base_url": text, "headers": {text: text}, "a": [f"a://{text}"]})


TOOL = {"name": "f", "description": "", "input_schema": {"type": "object"}}
CLIENT = ScriptedClient({})
LC, LI, AG = protege_langchain.translate, protege_llamaindex.translate, protege_autogen.translate
CALLED: Mapping[str, Callable[[str], object]] = {
    "protege_langchain.translate.to_openai": lambda text: LC.to_openai(of_langchain(text)),
    "protege_langchain.translate.answer_to_openai": lambda text: LC.answer_to_openai(of_langchain(text)[2]),
    "protege_langchain.translate.request_fields": lambda text: LC.request_fields({"stop": [text], "tool_choice": text}),
    "protege_langchain.translate.neutral_tool": lambda text: LC.neutral_tool({**TOOL, "description": text}),
    "protege_langchain.translate.is_neutral": lambda text: LC.is_neutral({"tool_choice": text, "tools": [TOOL]}),
    "protege_langchain.translate.structured_fields": lambda text: LC.structured_fields(
        {"response_format": {text: text}}
    ),
    "protege_langchain.translate.from_openai": lambda text: quietly(lambda: LC.from_openai(assistant(text))),
    "protege_langchain.translate.to_chunks": lambda text: LC.to_chunks(lc.AIMessage(text)),
    "protege_langchain.translate.finish_metadata": lambda text: LC.finish_metadata(text, False),
    "protege_langchain.translate.read_reply": lambda text: LC.read_reply([ChatGeneration(message=lc.AIMessage(text))]),
    "protege_langchain.translate.read_generation": lambda text: LC.read_generation(
        ChatGeneration(message=cast(Any, of_langchain(text)[2])), {"model_name": text}
    ),
    "protege_langchain.place.place_of": lambda text: protege_langchain.place.place_of(
        LC.to_openai(of_langchain(text)), {"langgraph_node": text, "langgraph_checkpoint_ns": text}
    ),
    "protege_langchain.place.node_of": lambda text: protege_langchain.place.node_of({"langgraph_checkpoint_ns": text}),
    "protege_llamaindex.translate.to_openai": lambda text: LI.to_openai(of_llama_index(text)),
    "protege_llamaindex.translate.answer_to_openai": lambda text: LI.answer_to_openai(of_llama_index(text)[1]),
    "protege_llamaindex.translate.request_fields": lambda text: LI.request_fields(
        ScriptedLLM(answers={}), {"stop": [text], "tool_choice": text}
    ),
    "protege_llamaindex.translate.neutral_tool": lambda text: LI.neutral_tool({**TOOL, "description": text}),
    "protege_llamaindex.answer.read_reply": lambda text: protege_llamaindex.answer.read_reply(
        [li.ChatResponse(message=of_llama_index(text)[1], delta=text)]
    ),
    "protege_autogen.translate.read_request": lambda text: AG.read_request(CLIENT, of_autogen(text), {}),
    "protege_autogen.translate.answer_to_openai": lambda text: AG.answer_to_openai(said(text)),
    "protege_autogen.translate.read_reply": lambda text: AG.read_reply([text, f"<think>{text}", said(text)]),
    "protege_autogen.translate.from_openai": lambda text: AG.from_openai(assistant(text), 1, 1),
    "protege_autogen.translate.neutral_tool": lambda text: AG.neutral_tool({"name": "f", "description": text}),
    "protege_autogen.messages.to_openai": lambda text: protege_autogen.messages.to_openai(of_autogen(text)),
    "protege_autogen.messages.as_sent": lambda text: protege_autogen.messages.as_sent(CLIENT, of_autogen(text), {}),
    "protege_autogen.messages.calls_to_openai": lambda text: protege_autogen.messages.calls_to_openai(
        [FunctionCall(id="c", name="f", arguments=text)]
    ),
    "protege_autogen.config.masked": lambda text: protege_autogen.config.masked(dumped(text)),
    "protege_autogen.config.load": lambda text: quietly(
        lambda: protege_autogen.config.load(dumped(text)), ImportError, KeyError
    ),
    "protege_autogen.events.log_call": lambda text: protege_autogen.events.log_call(
        {"messages": [{"role": "user", "content": text}]}, said(text), streams=False
    ),
    "protege_clients.place.place_of": lambda text: protege_clients.place.place_of(
        text, text, {"x-protege-node": text, "x-protege-run": text}, {"messages": [{"role": "user", "content": text}]}
    ),
}
ELSEWHERE = {
    "protege_langchain.asking": "takes a model",
    "protege_langchain.everywhere": "attaches a handler",
    "protege_langchain.graft": "takes a model",
    "protege_langchain.place": "takes the framework's own ids",
    "protege_langchain.routing": "writes an answer with what is called here",
    "protege_langchain.translate.usage": "takes figures",
    "protege_langgraph.reach": "takes a graph",
    "protege_langgraph.routing": "takes a graph",
    "protege_langgraph.switching": "takes a graph",
    "protege_llamaindex.answer": "hands parts on",
    "protege_llamaindex.handler": "attaches a handler",
    "protege_llamaindex.place": "takes the framework's own ids",
    "protege_llamaindex.recording": "takes no text",
    "protege_llamaindex.specialist": "writes an answer with what is called here",
    "protege_llamaindex.through": "takes a model",
    "protege_llamaindex.translate": "asks what a model is",
    "protege_autogen.messages.is_openai": "asks what a client is",
    "protege_autogen.place": "takes the framework's own ids",
    "protege_autogen.translate": "writes an answer with what is called here",
    "protege_clients.place.step": "takes the agent's own names",
    "protege_clients.place.taken": "looks entries up",
    "protege_clients.retries.telling_retries": "takes a client",
    "protege_clients.streams.streams_of": "takes a library",
    "protege_clients.wrapping.wrap": "takes a client; what it sends: shared/tests/test_hostile_text_in_dialects.py",
}


def test_each_function_that_takes_text_is_called_here() -> None:
    unknown = forgotten(functions(*PACKAGES), CALLED, ELSEWHERE)
    assert not unknown, "Add a call with hostile text, or the reason why there need not be one."


@pytest.mark.parametrize("name", CALLED)
def test_no_repetition_makes_it_slow(name: str) -> None:
    check(CALLED[name], in_the_agent_s, UNITS[::2], tried=3)
