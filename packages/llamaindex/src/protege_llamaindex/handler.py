"""attach() and detach(): record every LLM of this process, and change nothing."""

# pyright: reportPrivateImportUsage=false, reportUntypedFunctionDecorator=false
# LlamaIndex passes names on without exporting them, and its decorators have no types.
from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation.events.exception import ExceptionEvent
from llama_index.core.instrumentation.events.llm import (
    LLMChatEndEvent,
    LLMChatInProgressEvent,
    LLMChatStartEvent,
    LLMCompletionEndEvent,
    LLMCompletionInProgressEvent,
    LLMCompletionStartEvent,
)
from llama_index.core.llms.structured_llm import StructuredLLM
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.base.event import BaseEvent
from llama_index_instrumentation.event_handlers.base import BaseEventHandler
from llama_index_instrumentation.span.base import BaseSpan
from llama_index_instrumentation.span_handlers.base import BaseSpanHandler
from protege.adapter import EMPTY, OpenCall, Records, home_path, log_once, recorder_of

from .answer import Heard
from .place import SPANS, Span, follow, place_in
from .recording import recording
from .translate import request_fields, to_openai

LOST_AFTER_S = 900.0
"""A stream that nobody reads fires neither end nor error. A call this old is recorded as lost."""


class _Pending:
    """A call that has begun. span: the LLM's. heard: the parts of the answer that have come."""

    __slots__ = ("call", "heard", "span")

    def __init__(self, call: OpenCall, span: Span | None) -> None:
        self.call = call
        self.span = span
        self.heard = Heard()

    def asks(self, inner: _Pending) -> bool:
        """Whether this is an async stream that asks the same LLM for the sync stream, as `CustomLLM` does.

        It does so when its first part is asked for, after its own span has closed.
        """
        if self.span is None or inner.span is None or self.heard.began or self.span.llm is not inner.span.llm:
            return False
        asked = self.span.method == f"a{inner.span.method}" and inner.span.method.startswith("stream")
        return asked and self.call.record["messages"] == inner.call.record["messages"]


class _Calls:
    """The calls that are under way, by the ids of their LLMs' spans. on: whether calls that begin now are recorded."""

    def __init__(self) -> None:
        self.on = False
        self.home = Path()
        self.recorder: Records | None = None
        self._open: dict[str, _Pending] = {}

    def start(self, event: Any) -> None:
        span = SPANS.find(event.span_id)
        # If an LLM asks another one, only the innermost call is recorded.
        for outer in _outer(span):
            self._open.pop(outer.id, None)
        if not self.on or recording() or event.span_id is None or (span and isinstance(span.llm, StructuredLLM)):
            return
        self._reap()
        pending = _Pending(self._read(event, span), span)
        if lazy := next((id_ for id_, outer in list(self._open.items()) if outer.asks(pending)), None):
            self._open.pop(lazy, None)
        self._open[event.span_id] = pending

    def part(self, event: Any) -> None:
        if (pending := self._open.get(event.span_id)) is not None:
            pending.call.token()
            pending.heard.add(event.response)

    def end(self, event: Any) -> None:
        if (pending := self._open.pop(event.span_id, None)) is not None:
            if event.response is not None:
                pending.heard.add(event.response)
            if pending.heard.began:
                pending.call.answered(pending.heard.reply())
            else:
                pending.call.failed(EMPTY)

    def failed(self, span_id: str | None, error: BaseException | None) -> None:
        if span_id and (pending := self._open.pop(span_id, None)) is not None:
            partial = pending.heard.reply() if pending.heard.began else None
            pending.call.failed(error or "dropped", partial)

    def _read(self, event: Any, span: Span | None) -> OpenCall:
        llm = span.llm if span else None
        if isinstance(event, LLMChatStartEvent):
            said = to_openai(event.messages, llm)
        else:
            said = to_openai([ChatMessage(event.prompt)])
        fields = request_fields(llm, event.additional_kwargs)
        if "model" not in fields and (model := event.model_dict.get("model_name")):
            fields["model"] = model
        place = place_in(span.parent if span else None)
        recorder = recorder_of(self.home) if self.recorder is None else self.recorder
        return OpenCall(recorder, said, fields, place)

    def _reap(self) -> None:
        """Record the oldest call as lost if it is past its time. Each new call checks one, so none waits for ever."""
        try:
            oldest = next(iter(self._open.items()), None)
        except RuntimeError:  # another thread's call came in between; the next one looks
            return
        if oldest and oldest[1].call.age_s > LOST_AFTER_S and self._open.pop(oldest[0], None):
            oldest[1].call.failed("lost: neither an answer nor an error was seen")


_calls = _Calls()
_lock = threading.Lock()

_ON_EVENT: dict[type[BaseEvent], Callable[[Any], None]] = {
    LLMChatStartEvent: _calls.start,
    LLMCompletionStartEvent: _calls.start,
    LLMChatInProgressEvent: _calls.part,
    LLMCompletionInProgressEvent: _calls.part,
    LLMChatEndEvent: _calls.end,
    LLMCompletionEndEvent: _calls.end,
    ExceptionEvent: lambda event: _calls.failed(event.span_id, event.exception),
}


class _Events(BaseEventHandler):
    @classmethod
    def class_name(cls) -> str:
        return "ProtegeEvents"

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        on_event = _ON_EVENT.get(type(event))
        if on_event is None:
            return
        try:
            on_event(event)
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording a call", error)


class _Drops(BaseSpanHandler[BaseSpan]):
    """Sees LLMs that fail or are cancelled before they answer: there is no event for it, but their span is dropped."""

    @classmethod
    def class_name(cls) -> str:
        return "ProtegeDrops"

    def span_enter(self, *args: Any, **kwargs: Any) -> None:
        pass

    def span_exit(self, *args: Any, **kwargs: Any) -> None:
        pass

    def span_drop(self, id_: str, *args: Any, err: BaseException | None = None, **kwargs: Any) -> None:
        try:
            _calls.failed(id_, err)
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording an error", error)

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        return None


_EVENTS, _DROPS = _Events(), _Drops()


def attach(home: str | os.PathLike[str] | None = None, *, recorder: Records | None = None) -> None:
    """Record every call to an LLM that this process makes through LlamaIndex, with the agent's node, run and step.

    home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. Attaching again changes the home and nothing
    else. A call that a `ProtegeLLM` records is recorded once.
    """
    with _lock:
        _calls.home, _calls.recorder, _calls.on = home_path(home), recorder, True
        follow()
        if not any(handler is _EVENTS for handler in root_dispatcher.event_handlers):
            root_dispatcher.add_event_handler(_EVENTS)
            root_dispatcher.add_span_handler(_DROPS)


def detach() -> None:
    """Record no more calls through `attach`. Calls that are under way are still recorded."""
    with _lock:
        _calls.on = False


def _outer(span: Span | None) -> Iterator[Span]:
    """The spans around this one, innermost first."""
    while span is not None and span.parent is not None:
        span = span.parent
        yield span
