"""Where in an agent a call is made, from the spans that LlamaIndex opens around workflows, their steps and LLMs."""

# pyright: reportPrivateImportUsage=false, reportAttributeAccessIssue=false, reportUntypedFunctionDecorator=false
# LlamaIndex passes names on without exporting them, and its decorators have no types.
from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from llama_index.core.base.llms.base import BaseLLM
from llama_index.core.instrumentation.span import active_span_id
from llama_index.core.workflow import Workflow
from llama_index_instrumentation import root_dispatcher
from llama_index_instrumentation.dispatcher import active_instrument_tags
from llama_index_instrumentation.span.base import BaseSpan
from llama_index_instrumentation.span_handlers.base import BaseSpanHandler
from protege.adapter import Place, log_once

_MOST_OPEN = 20_000
"""Open spans that are held at most; a span that never closes must not hold memory for ever."""


class Span:
    """An open span, with what is known about the place inside it. llm: the LLM, if the span is around its method."""

    __slots__ = ("agent", "id", "is_run", "llm", "node", "parent", "run")

    def __init__(self, id_: str, parent: Span | None, instance: Any) -> None:
        self.id = id_
        self.parent = parent
        self.llm: Any = instance if isinstance(instance, BaseLLM) else None
        self.is_run = isinstance(instance, Workflow) and id_.startswith(f"{type(instance).__name__}.run-")
        self.node: tuple[str, ...] = parent.node if parent else ()
        self.agent: str | None = parent.agent if parent else None
        # The outermost workflow's: agents that run inside its steps share it.
        self.run: str | None = parent.run if parent else None
        if self.is_run and self.run is None:
            self.run = active_instrument_tags.get().get("llamaindex.run_id")

    def step(self, arguments: Mapping[str, Any]) -> None:
        """Note that this is a workflow's step, begun by the event in `arguments`. An agent's step has the agent's
        name."""
        name = self.method
        events = list(arguments.values())
        if agent := _named(events, "current_agent_name"):
            name = self.agent = agent
        elif name == "call_tool":
            name = _named(events, "tool_name") or name
        self.node = (*self.node, name)

    @property
    def method(self) -> str:
        """The name of the method that the span is around."""
        return self.id[:-37].rsplit(".", 1)[-1]

    @property
    def root(self) -> Span:
        """The outermost span around this one."""
        span = self
        while span.parent is not None:
            span = span.parent
        return span


class Spans(BaseSpanHandler[BaseSpan]):
    """Holds the open spans. It makes none of LlamaIndex's own span objects, which cost more than all the rest."""

    @classmethod
    def class_name(cls) -> str:
        return "ProtegeSpans"

    def find(self, id_: str | None) -> Span | None:
        """The open span with this id."""
        return _open.get(id_) if id_ else None

    def span_enter(
        self,
        id_: str,
        bound_args: inspect.BoundArguments,
        instance: Any | None = None,
        parent_id: str | None = None,
        tags: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        try:
            parent = self.find(parent_id)
            span = Span(id_, parent, instance)
            if parent is not None and parent.is_run and tags and "llamaindex.step.input_event" in tags:
                span.step(bound_args.arguments)
            if len(_open) >= _MOST_OPEN:
                _open.pop(next(iter(_open)), None)
            _open[id_] = span
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Following a span", error)

    def span_exit(self, id_: str, *args: Any, **kwargs: Any) -> None:
        _open.pop(id_, None)

    def span_drop(self, id_: str, *args: Any, **kwargs: Any) -> None:
        _open.pop(id_, None)

    def new_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_exit_span(self, *args: Any, **kwargs: Any) -> None:
        return None

    def prepare_to_drop_span(self, *args: Any, **kwargs: Any) -> None:
        return None


_open: dict[str, Span] = {}
"""By their ids. Not an attribute of the handler, because pydantic takes 2 µs to look one up."""

SPANS = Spans()
"""The handler of this process; see `follow`."""


def follow() -> None:
    """Follow the spans from here on. Calling it again changes nothing."""
    if not any(handler is SPANS for handler in root_dispatcher.span_handlers):
        root_dispatcher.add_span_handler(SPANS)


def here() -> Span | None:
    """The span around the caller; None if there is none."""
    return SPANS.find(active_span_id.get())


def place_in(span: Span | None) -> Place:
    """The place of a call that is made in this span.

    Its run is that of the outermost workflow, or else the outermost span, such as a query engine's `query`.
    """
    if span is None:
        return Place("llamaindex")
    return Place("llamaindex", span.node, span.agent, span.run or span.root.id[-36:], span.id[-36:])


def _named(events: list[Any], name: str) -> str | None:
    values = (getattr(event, name, None) for event in events)
    return next((value for value in values if isinstance(value, str) and value), None)
