"""The wrapped LLM against the bare one: the same results, the same requests, the same events and spans, once each."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import openai
import pytest
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation import get_dispatcher  # pyright: ignore[reportPrivateImportUsage]
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import BaseSpanHandler
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI
from openai_server import FAIL, OpenAIServer
from protege_llamaindex import ProtegeLLM
from pydantic import BaseModel

if TYPE_CHECKING:
    from agents import Records, Routed

SYSTEM = ChatMessage("Answer in a word.", role=MessageRole.SYSTEM)
MESSAGES = [SYSTEM, ChatMessage("1 and 2")]
TOOL_NAME = "add"


def add(a: int, b: int) -> int:
    """Adds."""
    return a + b


class Shape(BaseModel):
    """A shape."""

    shape: str


TOOL = FunctionTool.from_defaults(add)
PROMPT = PromptTemplate("What shape is {it}?")
CHAT_PROMPT = ChatPromptTemplate([SYSTEM, ChatMessage("What shape is {it}?")])
HISTORY = {"chat_history": MESSAGES}

WAYS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "chat": ((MESSAGES,), {"temperature": 0.5}),
    "stream_chat": ((MESSAGES,), {}),
    "complete": (("1 and 2",), {"formatted": True}),
    "stream_complete": (("1 and 2",), {}),
    "achat": ((MESSAGES,), {}),
    "astream_chat": ((MESSAGES,), {"seed": 7}),
    "acomplete": (("1 and 2",), {}),
    "astream_complete": (("1 and 2",), {}),
    "chat_with_tools": (([TOOL], "3 and 4"), {"allow_parallel_tool_calls": True}),
    "achat_with_tools": (([TOOL],), {**HISTORY, "tool_required": True}),
    "stream_chat_with_tools": (([TOOL],), {**HISTORY, "tool_choice": TOOL_NAME}),
    "astream_chat_with_tools": (([TOOL],), HISTORY),
    "predict_and_call": (([TOOL],), HISTORY),
    "apredict_and_call": (([TOOL],), HISTORY),
    "predict": ((PROMPT,), {"it": "the sun"}),
    "apredict": ((CHAT_PROMPT,), {"it": "the sun"}),
    "stream": ((PROMPT,), {"it": "the sun"}),
    "astream": ((PROMPT,), {"it": "the sun"}),
    "structured_predict": ((Shape, PROMPT), {"it": "the sun"}),
    "astructured_predict": ((Shape, PROMPT), {"it": "the sun"}),
    "stream_structured_predict": ((Shape, PROMPT), {"it": "the sun"}),
    "astream_structured_predict": ((Shape, PROMPT), {"it": "the sun"}),
}
"""Every public way to ask, with its arguments."""

NOT_ASKING = {
    *("class_name", "metadata", "to_payload", "convert_chat_messages", "as_structured_llm"),
    "get_tool_calls_from_response",
    *(name for name in dir(BaseModel) if not name.startswith("_")),
    *("to_dict", "to_json", "from_dict", "from_json", "json", "dict", "custom_model_dump"),
    *("check_callback_manager", "check_prompts", "set_messages_to_prompt", "set_completion_to_prompt"),
}


class Seen(BaseEventHandler):
    """The events that come, in order, without what differs from one call to the next."""

    seen: list[Any] = []  # noqa: RUF012

    @classmethod
    def class_name(cls) -> str:
        return "Seen"

    def handle(self, event: Any, **kwargs: Any) -> None:
        span = str(event.span_id)[:-37]
        held = {
            name: getattr(event, name)
            for name in ("response", "messages", "prompt", "output", "exception")
            if hasattr(event, name)
        }
        held |= {name: getattr(event, name) for name in ("additional_kwargs", "model_dict") if hasattr(event, name)}
        self.seen.append((type(event).__name__, span, repr(held)))


class SpansSeen(BaseSpanHandler[Any]):
    """The spans that open and close, by name."""

    seen: list[Any] = []  # noqa: RUF012

    @classmethod
    def class_name(cls) -> str:
        return "SpansSeen"

    def span_enter(self, id_: str, *args: Any, parent_id: str | None = None, **kwargs: Any) -> None:
        self.seen.append(("enter", id_[:-37], parent_id and parent_id[:-37]))

    def span_exit(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.seen.append(("exit", id_[:-37]))

    def span_drop(self, id_: str, *args: Any, **kwargs: Any) -> None:
        self.seen.append(("drop", id_[:-37]))

    new_span = prepare_to_exit_span = prepare_to_drop_span = lambda self, *args, **kwargs: None


class Callbacks(BaseCallbackHandler):
    """The older callbacks, by name."""

    def __init__(self) -> None:
        super().__init__([], [])
        self.seen: list[Any] = []

    def on_event_start(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.seen.append(("start", event_type, sorted(map(str, payload or ()))))
        return event_id

    def on_event_end(self, event_type: Any, payload: Any = None, event_id: str = "", **kwargs: Any) -> None:
        self.seen.append(("end", event_type, sorted(map(str, payload or ()))))

    def start_trace(self, trace_id: str | None = None) -> None:
        self.seen.append(("trace", trace_id))

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        self.seen.append(("end of trace", trace_id))


@pytest.fixture
def watched() -> Iterator[tuple[Seen, SpansSeen]]:
    root = get_dispatcher()
    before = list(root.event_handlers), list(root.span_handlers)
    seen = Seen(), SpansSeen()
    root.add_event_handler(seen[0])
    root.add_span_handler(seen[1])
    yield seen
    root.event_handlers, root.span_handlers = before


async def told(
    llm: Any, name: str, server: OpenAIServer, watched: tuple[Seen, SpansSeen], arguments: Any = None
) -> dict[str, Any]:
    """All that can be noticed of one call."""
    server.reset()
    counter, callbacks = TokenCountingHandler(tokenizer=str.split), Callbacks()
    llm.callback_manager = CallbackManager([counter, callbacks])
    for handler in watched:
        handler.seen.clear()
    args, kwargs = arguments or WAYS[name]
    error = None
    try:
        result = getattr(llm, name)(*[_fresh(a) for a in args], **{n: _fresh(v) for n, v in kwargs.items()})
        if hasattr(result, "__await__"):
            result = await result
        if hasattr(result, "__aiter__"):
            result = [_kept(part) async for part in result]
        elif hasattr(result, "__next__"):
            result = [_kept(part) for part in result]
    except openai.OpenAIError as caught:
        result, error = None, repr(caught)
    return {
        "result": repr(result),
        "type": type(result),
        "error": error,
        "asked": [exchange.asked for exchange in server.exchanges],
        "events": list(watched[0].seen),
        "spans": list(watched[1].seen),
        "callbacks": callbacks.seen,
        "tokens": (counter.prompt_llm_token_count, counter.completion_llm_token_count),
    }


def _fresh(value: Any) -> Any:
    """A list of its own: `_prepare_chat_with_tools` adds to the history that it is given."""
    return list(value) if isinstance(value, list) else value


def _kept(part: Any) -> str:
    return repr(part)  # at once: the parts of a stream share what goes on changing


@pytest.fixture
def bare(openai_server: OpenAIServer) -> OpenAI:
    # Certificates are not loaded: that takes 50 ms a client.
    clients: Any = {"http_client": httpx.Client(verify=False), "async_http_client": httpx.AsyncClient(verify=False)}
    return OpenAI("gpt-4o-mini", api_key="none", api_base=openai_server.url, max_retries=0, **clients)


@pytest.fixture
def wrapped(bare: OpenAI, tmp_path: Path, records: Records, teacher_only: Routed) -> ProtegeLLM:
    return ProtegeLLM(bare, tmp_path, recorder=records, router=teacher_only)


def test_every_public_way_to_ask_is_compared():
    public = {name for name in dir(FunctionCallingLLM) if not name.startswith("_")}
    assert public - NOT_ASKING - set(FunctionCallingLLM.model_fields) == set(WAYS)


@pytest.mark.parametrize(
    ("name", "model"),
    # The second model has no JSON schemas: a class is asked for by a tool.
    [(name, "gpt-4o-mini") for name in WAYS] + [(name, "gpt-3.5-turbo") for name in WAYS if "structured" in name],
)
async def test_the_wrapped_llm_does_as_the_bare_one(
    bare: OpenAI,
    wrapped: ProtegeLLM,
    openai_server: OpenAIServer,
    watched: Any,
    records: Records,
    name: str,
    model: str,
):
    bare.model = model
    expected = await told(bare, name, openai_server, watched)
    found = await told(wrapped, name, openai_server, watched)
    assert found == expected
    assert len(expected["asked"]) == 1
    assert expected["events"] and expected["spans"]
    assert records.only["response"]


@pytest.mark.parametrize(
    "name", [name for name in WAYS if name.removeprefix("a") in ("chat", "stream_chat", "complete")]
)
async def test_an_error_is_the_bare_ones(
    bare: OpenAI, wrapped: ProtegeLLM, openai_server: OpenAIServer, watched: Any, records: Records, name: str
):
    arguments = ((FAIL if "complete" in name else [ChatMessage(FAIL)],), {})
    expected = await told(bare, name, openai_server, watched, arguments)
    found = await told(wrapped, name, openai_server, watched, arguments)
    assert expected["error"] and found == expected
    assert records.only["error"].startswith("BadRequestError")


async def test_a_stream_that_is_left_is_closed_as_the_bare_ones_is(
    bare: OpenAI, wrapped: ProtegeLLM, openai_server: OpenAIServer, watched: Any, records: Records
):
    noticed: list[Any] = []
    for llm in (bare, wrapped):
        watched[0].seen.clear()
        parts = llm.stream_chat(MESSAGES)
        next(parts), next(parts)  # pyright: ignore[reportUnusedExpression]
        parts.close()
        aparts = await llm.astream_chat(MESSAGES)
        await anext(aparts)
        await aparts.aclose()
        # What openai's client left open goes now. Its streams hold themselves, and close their connection when they are
        # collected; where that happens within httpcore's lock, the thread waits for itself.
        gc.collect()
        noticed.append([event[0] for event in watched[0].seen])
    assert noticed[0] == noticed[1]
    assert noticed[0].count("ExceptionEvent") == 2
    assert [record["error"] for record in records.kept] == ["GeneratorExit"] * 2


@pytest.mark.parametrize("name", WAYS)
async def test_a_specialists_answer_has_the_events_of_a_teachers(
    bare: OpenAI, tmp_path: Path, records: Records, keeping: Any, openai_server: OpenAIServer, watched: Any, name: str
):
    """The same kinds, once each; a stream in fewer parts."""
    function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    call = {"id": "call_1", "type": "function", "function": function}
    said = {"role": "assistant", "content": '{"shape": "round"}'}
    if "tools" in name or "call" in name:
        said = {"role": "assistant", "content": None, "tool_calls": [call]}
    expected = await told(bare, name, openai_server, watched)
    specialist = ProtegeLLM(bare, tmp_path, recorder=records, router=keeping(said))
    found = await told(specialist, name, openai_server, watched)
    assert not found["asked"]
    assert found["type"] is expected["type"]
    assert _kinds(found["events"]) == _kinds(expected["events"])
    assert found["callbacks"] == expected["callbacks"]
    assert found["tokens"] == (25, 3)
    assert [span[0] for span in found["spans"]] == [span[0] for span in expected["spans"]]
    assert records.only["answered_by"] == "s1"


def _kinds(events: list[Any]) -> tuple[list[str], set[str]]:
    kinds = [event[0] for event in events]
    return [kind for kind in kinds if "InProgress" not in kind], set(kinds)
