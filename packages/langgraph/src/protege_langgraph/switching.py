"""Switches a chat model in place: it stays the same object, and from then on records, and asks specialists.

A graph that is already built holds its models in closures, module variables and bindings, often in several places. So
the object stays, and its class becomes a subclass of what it was; `isinstance` and everything else go on as before.
Inside the graph's nodes, its calls go through `ChatProtege`. In other graphs, and outside of any, it is what it was.
"""

from __future__ import annotations

import functools
import itertools
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from langgraph.pregel import Pregel
from protege.adapter import Outcome, Request
from protege_langchain import ChatProtege, ProtegeCallbackHandler
from protege_langchain.asking import is_asked
from protege_langchain.place import inside, node_of, step_metadata

from .reach import Path, Reach

_ENTRY = "__protege_switch__"
_METHODS = ("_generate", "_agenerate", "_stream", "_astream")

Wrap = Callable[[BaseChatModel], ChatProtege]


class Mark(str):
    """Tells a routed graph's runs from others. The graph and its copies hold it, and it goes through the runs'
    metadata.

    It is a text because tracers and servers write metadata down. Of two marks, the later is the greater.
    """

    reach: Reach
    """What was found in the graph."""


def mark(graph: Any, reach: Reach) -> Mark:
    """Give all runs of this graph, built or compiled, a mark of their own."""
    given = Mark(f"{next(_numbers):012}")
    given.reach = reach
    if isinstance(graph, Pregel):
        config: Any = graph.config or {}
        graph.config = cast(Any, {**config, "metadata": _marked(config.get("metadata"), given)})
    else:
        for node in graph.nodes.values():
            node.metadata = _marked(node.metadata, given)
    return given


def mark_of(graph: Any) -> Mark | None:
    """The latest mark of this graph, which it keeps when it is compiled or copied; None if it has none."""
    config = getattr(graph, "config", None) or {}
    nodes = getattr(graph, "nodes", None) or {}
    held = [config.get("metadata"), *(getattr(node, "metadata", None) for node in nodes.values())]
    return max((value for metadata in held for value in (metadata or {}).values() if type(value) is Mark), default=None)


def _marked(metadata: Mapping[str, Any] | None, given: Mark) -> dict[str, Any]:
    """The metadata with this mark instead of an earlier one. LangGraph keeps names with two underscores out of
    checkpoints."""
    others = {name: value for name, value in (metadata or {}).items() if type(value) is not Mark}
    return {**others, f"__protege_{given}": given}


_numbers = itertools.count()


@dataclass(slots=True)
class StandIn:
    """Stands in for a model in one node of one graph."""

    wrap: Wrap
    made: tuple[BaseChatModel, ChatProtege] | None = None
    """The last copy of the model that was asked there, and what stands in for it."""

    def of(self, model: BaseChatModel) -> ChatProtege:
        """What stands in for this copy of the model."""
        made = self.made  # read once: other threads may ask copies at the same time
        if made is None or made[0].__dict__ is not model.__dict__:
            twin = bare(model)
            made = self.made = (twin, self.wrap(twin))
        return made[1]


Rules = dict[Path, StandIn | None]


@dataclass(slots=True)
class Switch:
    """What a switched model and its copies do, by graph and node."""

    rules: WeakKeyDictionary[Mark, Rules] = field(default_factory=WeakKeyDictionary[Mark, Rules])
    """Under None, the model is left alone. Rules vanish with their graph, since a program may build and route a graph
    for every request."""

    def of(self, model: BaseChatModel, metadata: Mapping[str, Any]) -> ChatProtege | None:
        """What stands in for the model in the step with this metadata; None if the model itself answers.

        If graphs run inside each other, the outermost decides; of several calls of `route`, the last.
        """
        marks = sorted([value for value in metadata.values() if type(value) is Mark], reverse=True)
        known = [rules for given in marks if (rules := self.rules.get(given)) is not None]
        if not known:
            return None
        for path in _parts(tuple(node_of(metadata))):
            for rules in known:
                if path in rules:
                    stand_in = rules[path]
                    return stand_in and stand_in.of(model)
        return None

    def __deepcopy__(self, memo: dict[int, Any]) -> Switch:
        return self


class Paced(ChatProtege):
    """`ChatProtege` inside a model that has already waited for its rate limit."""

    def _limited(self) -> bool:
        return False


class TeacherOnly:
    """A route that leaves every call to the teacher: calls are recorded but not switched."""

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        return Outcome(None, None, "off")

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        return Outcome(None, None, "off")


def switch(model: BaseChatModel, graph: Mark, node: Path, wrap: Wrap | None) -> None:
    """Switch the model in this node of the graph; elsewhere it does what it did. wrap: None leaves it alone there."""
    entry = model.__dict__.get(_ENTRY)
    if entry is None:
        entry = Switch()
        cast(dict[str, Any], model.__dict__)[_ENTRY] = entry
        model.__class__ = _switched(type(model))
    entry.rules.setdefault(graph, {})[node] = None if wrap is None else StandIn(wrap)


def bare(model: BaseChatModel) -> BaseChatModel:
    """The model as it was before it was switched. The two share their state: what is set on one is set on both."""
    kind = type(model)
    twin = object.__new__(kind.__protege_base__)  # pyright: ignore
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(twin, name, getattr(model, name, None))
    return twin


@functools.cache
def _switched(kind: type[BaseChatModel]) -> type[BaseChatModel]:
    """A subclass with the same name. It overrides only what the class implements, because LangChain checks that."""
    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": _reduce,
        "_get_ls_params_with_defaults": _traced_params,
        "_generate_with_cache": _generate_with_cache,
        "_agenerate_with_cache": _agenerate_with_cache,
        "model_config": {"defer_build": True},
    }
    for name in _METHODS:
        if getattr(kind, name) is not getattr(BaseChatModel, name):
            body[name] = _OVERRIDES[name]
    made: Any = types.new_class(kind.__name__, (kind,), exec_body=lambda namespace: namespace.update(body))
    made.__protege_base__ = kind
    return made


def _here(self: BaseChatModel, run_manager: Any = None) -> Any:
    """Who answers in the step that runs now. If a `ChatProtege` around the model records the call, the model itself."""
    entry: Switch | None = self.__dict__.get(_ENTRY)
    if entry is None or is_asked(self):
        return bare(self)
    return entry.of(self, step_metadata(run_manager)) or bare(self)


def _generate(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return _here(self, run_manager)._generate(messages, stop=stop, **_managed(run_manager), **kwargs)


async def _agenerate(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return await _here(self, run_manager)._agenerate(messages, stop=stop, **_managed(run_manager), **kwargs)


def _stream(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return _here(self, run_manager)._stream(messages, stop=stop, **_managed(run_manager), **kwargs)


def _astream(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return _here(self, run_manager)._astream(messages, stop=stop, **_managed(run_manager), **kwargs)


def _managed(run_manager: Any) -> dict[str, Any]:
    """The run manager, if there is one: LangChain gives none to streams, and some models' methods take none."""
    return {"run_manager": run_manager} if run_manager else {}


def _generate_with_cache(self: Any, *args: Any, run_manager: Any = None, **kwargs: Any) -> Any:
    _recorded_here(self, run_manager)
    with inside(run_manager):
        return type(self).__protege_base__._generate_with_cache(self, *args, run_manager=run_manager, **kwargs)


async def _agenerate_with_cache(self: Any, *args: Any, run_manager: Any = None, **kwargs: Any) -> Any:
    _recorded_here(self, run_manager)
    with inside(run_manager):
        base = type(self).__protege_base__
        return await base._agenerate_with_cache(self, *args, run_manager=run_manager, **kwargs)


def _recorded_here(self: Any, run_manager: Any) -> None:
    """Tell the recording callbacks that this call is recorded here.

    Its metadata has told them already (`_traced_params`), except if a node is a chain: LangGraph gives its context only
    to the chain's first part.
    """
    handlers = run_manager.handlers if run_manager else ()
    recording = [handler for handler in handlers if isinstance(handler, ProtegeCallbackHandler)]
    if recording and isinstance(_here(self, run_manager), ChatProtege):
        for handler in recording:
            handler.leave(run_manager.run_id)


def _traced_params(self: Any, stop: Any = None, **kwargs: Any) -> Any:
    return _here(self)._get_ls_params_with_defaults(stop=stop, **kwargs)


_OVERRIDES: Mapping[str, Any] = {
    "_generate": _generate,
    "_agenerate": _agenerate,
    "_stream": _stream,
    "_astream": _astream,
}


def _reduce(self: Any, _: Any) -> Any:
    """Pickle the model as it was: the switch belongs to the graph in this process."""
    twin = bare(self)
    object.__setattr__(twin, "__dict__", {name: value for name, value in self.__dict__.items() if name != _ENTRY})
    return _same, (twin,)


def _same(model: BaseChatModel) -> BaseChatModel:
    return model


def _parts(node: Path) -> list[Path]:
    """The path and all paths that it contains, longest first: a graph may run inside another one."""
    ends = range(len(node), 0, -1)
    return [node[start : start + length] for length in ends for start in range(len(node) - length + 1)]
