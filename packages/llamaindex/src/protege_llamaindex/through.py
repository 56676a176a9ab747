"""Lets the wrapped LLM do its own work (tools, structured prediction, prompts), with its calls going through
ProtegeLLM.

An LLM's `structured_predict` or `chat_with_tools` know how its provider wants to be asked, and end in `self.chat` or
one of its seven kin. So they run on an object that is the wrapped LLM in everything (its state is the same dictionary)
except these eight methods.
"""

# pyright: reportPrivateImportUsage=false, reportUntypedFunctionDecorator=false
# LlamaIndex passes names on without exporting them, and its decorators have no types.
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from llama_index.core.llms.llm import LLM
from llama_index_instrumentation.dispatcher import DISPATCHER_SPAN_DECORATED_ATTR
from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])

ASKED = (
    "chat",
    "achat",
    "stream_chat",
    "astream_chat",
    "complete",
    "acomplete",
    "stream_complete",
    "astream_complete",
)
"""The ways to ask an LLM. All others lead to these."""

_STATE = ("__dict__", "__pydantic_private__", "__pydantic_extra__", "__pydantic_fields_set__")


def without_span(function: F) -> F:
    """Keep LlamaIndex from opening a span for this method: the wrapped LLM opens one, and tracers see one call."""
    setattr(function, DISPATCHER_SPAN_DECORATED_ATTR, True)
    return function


def through(llm: LLM, ask: Callable[..., Any]) -> Any:
    """`llm`, except that `ask(method, args, kwargs, offered=tools)` answers instead of its own methods. For one use.

    method: the name of the method that was called. offered: the tools in LlamaIndex's form, because in `kwargs` they
    are in the provider's form.
    """
    cls: Any = _class(type(llm))
    made = cls.__new__(cls)
    for name in _STATE:
        object.__setattr__(made, name, getattr(llm, name))
    object.__setattr__(made, "_ask", ask)
    object.__setattr__(made, "_offered", ())
    return made


@functools.lru_cache(maxsize=64)
def _class(cls: Any) -> Any:
    """The subclass, under the same name, because spans are named after it."""
    methods = {name: without_span(_asking(name)) for name in ASKED}
    if hasattr(cls, "_prepare_chat_with_tools"):
        methods["_prepare_chat_with_tools"] = without_span(_noting_tools(cls._prepare_chat_with_tools))
    named = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls)(cls.__name__, (cls,), {**named, "__slots__": ("_ask", "_offered"), **methods})


def _asking(name: str) -> Callable[..., Any]:
    if name.startswith("a"):

        async def aask(self: Any, *args: Any, **kwargs: Any) -> Any:
            return await self._ask(name, args, kwargs, offered=self._offered)

        return aask

    def ask(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._ask(name, args, kwargs, offered=self._offered)

    return ask


def _noting_tools(prepare: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(prepare)  # LlamaIndex looks at the signature
    def noting(self: Any, tools: Any, *args: Any, **kwargs: Any) -> Any:
        object.__setattr__(self, "_offered", tools or ())
        return prepare(self, tools, *args, **kwargs)

    return noting


def form_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> type[BaseModel] | None:
    """The class that a structured prediction is asked for; None if there is none."""
    form = kwargs.get("output_cls", args[0] if args else None)
    return form if isinstance(form, type) and issubclass(form, BaseModel) else None
