"""Spans of the loop and of the route, for programs that trace themselves with OpenTelemetry.

A span is made only if the program has imported opentelemetry-api and set a tracer provider. Protégé itself never
imports it, so a program that does not trace pays for one look at `sys.modules`. Attributes have the names of
OpenTelemetry's GenAI conventions where these have one, else `protege.…`. They never hold what was asked or answered,
nor the text of an exception: a span tells only the exception's type (`error.type`).
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, ParamSpec, Protocol, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Value: TypeAlias = str | bool | int | float | None

_CONVENTIONS = {
    "operation": "gen_ai.operation.name",
    "provider": "gen_ai.provider.name",
    "model": "gen_ai.request.model",
    "answered_by": "gen_ai.response.model",
    "agent": "gen_ai.agent.name",
    "run": "gen_ai.conversation.id",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
}


class Span(Protocol):
    """What `span` returns."""

    def set(self, **attributes: Value) -> None:
        """Add attributes. Those that are None are left out."""
        ...


def span(name: str, **attributes: Value) -> AbstractContextManager[Span]:
    """A span around a block, inside the program's current span; does nothing if the program does not trace.

    name: such as "protege.tune". attributes: figures, names and ids, never the text of calls; those that are None are
    left out. Without tracing this takes a fraction of a microsecond.
    """
    api = sys.modules.get("opentelemetry.trace")
    # A private name, since `get_tracer_provider` takes a microsecond if none is set: it reads the environment each
    # time.
    if api is None or getattr(api, "_TRACER_PROVIDER", api) is None:
        return OFF_SPAN
    provider = api.get_tracer_provider()
    if isinstance(provider, api.ProxyTracerProvider):  # imported, perhaps by a framework, but not set up
        return OFF_SPAN
    return _On(provider.get_tracer("protege"), name, attributes)


def traced(step: Callable[P, R]) -> Callable[P, R]:
    """Run a step of the loop in a span of its name."""

    @functools.wraps(step)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with span(f"protege.{step.__name__}"):
            return step(*args, **kwargs)

    return inside


class _Off:
    """A span that nobody sees."""

    __slots__ = ()

    def __enter__(self) -> Span:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set(self, **attributes: Value) -> None:
        pass


OFF_SPAN = _Off()
"""What `span` returns in a program that does not trace."""


class _On:
    """A span of the program's tracer."""

    __slots__ = ("_attributes", "_manager", "_name", "_span", "_tracer")

    def __init__(self, tracer: Any, name: str, attributes: dict[str, Value]) -> None:
        self._tracer, self._name, self._attributes = tracer, name, attributes

    def __enter__(self) -> Span:
        self._manager = self._tracer.start_as_current_span(
            self._name,
            attributes=_named(self._attributes),
            record_exception=False,  # its text may hold what was asked
            set_status_on_exception=False,
        )
        self._span = self._manager.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self._span.set_attribute("error.type", kind.__qualname__)
            self._span.set_status(sys.modules["opentelemetry.trace"].StatusCode.ERROR)
        self._manager.__exit__(kind, error, at)

    def set(self, **attributes: Value) -> None:
        self._span.set_attributes(_named(attributes))


def _named(attributes: dict[str, Value]) -> dict[str, Any]:
    return {_CONVENTIONS.get(name, f"protege.{name}"): value for name, value in attributes.items() if value is not None}
