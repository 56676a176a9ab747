"""Finds the models behind the nodes of a graph without running it.

A node is a function or a runnable. Its models are searched for in all that it holds: closures, defaults, bound methods
and their objects, partials, sequences, nested graphs, and the module variables that the user's own functions name.
"""

from __future__ import annotations

import functools
import inspect
import site
import sysconfig
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from langchain_core.language_models import BaseChatModel, BaseLLM
from langchain_core.runnables import Runnable
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

Path: TypeAlias = tuple[str, ...]
"""A node's names, from the outermost graph inwards."""

CLIENTS = frozenset(
    {"openai", "anthropic", "google.genai", "mistralai", "groq", "cohere", "together", "ollama", "litellm", "botocore"}
)
"""Packages whose clients (OpenAI, AsyncClient, …) call a model without LangChain."""

_OWN = ("langchain", "langgraph")
_RAW = "a raw client calls its model past LangChain"
_LIMIT = 20_000
"""Objects that are searched for one node at most; a node may hold a whole application."""


@dataclass(frozen=True, slots=True)
class NodeReach:
    """What was found in a node."""

    node: Path
    models: tuple[str, ...] = ()
    """The names of the classes of the models that are switched."""
    trouble: tuple[str, ...] = ()
    """Why other models are not switched."""

    @property
    def reached(self) -> bool:
        """Whether at least one model is recorded and switched."""
        return bool(self.models)


@dataclass(frozen=True, slots=True)
class Reach:
    """What `route` reached of a graph."""

    nodes: tuple[NodeReach, ...]

    @property
    def reached(self) -> tuple[Path, ...]:
        """The nodes with at least one model that is recorded and switched."""
        return tuple(node.node for node in self.nodes if node.reached)

    @property
    def unreached(self) -> Mapping[Path, str]:
        """The nodes that call, or may call, a model that is not switched, each with the reason."""
        return {node.node: "; ".join(node.trouble) for node in self.nodes if node.trouble}

    @property
    def without(self) -> tuple[Path, ...]:
        """The nodes in which no model was found. A model that is made inside the function cannot be found."""
        return tuple(node.node for node in self.nodes if not node.models and not node.trouble)

    def __str__(self) -> str:
        lines = [f"{'/'.join(n.node)}: {', '.join((*n.models, *n.trouble)) or 'no model found'}" for n in self.nodes]
        return "\n".join(lines)


@dataclass(slots=True)
class NodeModels:
    """The models of one node."""

    node: Path
    models: dict[int, BaseChatModel] = field(default_factory=dict[int, BaseChatModel])
    """By `id`."""
    trouble: list[str] = field(default_factory=list[str])


def find(graph: Any) -> list[NodeModels]:
    """The nodes of a graph, nested ones too, with the models in them. Raises TypeError for anything but a graph."""
    if not isinstance(graph, Pregel | StateGraph):
        raise TypeError(f"route() takes a LangGraph graph, built or compiled, not a {type(graph).__name__}.")
    nodes: dict[Path, NodeModels] = {}
    for path, node in _nodes(graph, ()):
        _search(node, nodes.setdefault(path, NodeModels(path)), nodes)
    return list(nodes.values())


def _nodes(graph: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    for name, node in graph.nodes.items():
        if name not in ("__start__", "__end__"):
            yield (*path, name), getattr(node, "bound", None) or getattr(node, "runnable", node)


def _search(start: Any, node: NodeModels, nodes: dict[Path, NodeModels]) -> None:
    """Search all that the node holds, breadth first. The nodes of a nested graph are nodes of their own."""
    seen: dict[int, Any] = {}
    queue = [start]
    while queue and len(seen) < _LIMIT:
        item = queue.pop(0)
        if id(item) in seen:
            continue
        seen[id(item)] = item  # held, so that no other object gets its id
        if isinstance(item, BaseChatModel):
            node.models[id(item)] = item
        elif isinstance(item, Pregel):
            for path, inner in _nodes(item, node.node):
                _search(inner, nodes.setdefault(path, NodeModels(path)), nodes)
        else:
            if (trouble := _trouble(item)) and trouble not in node.trouble:
                node.trouble.append(trouble)
            queue += _held(item)


def _trouble(item: Any) -> str:
    if isinstance(item, types.FunctionType):
        named = CLIENTS & set(_names(item.__code__)) if _is_users(item) else ()
        return f"{_RAW} ({', '.join(sorted(named))})" if named else ""
    kind = type(item)
    module = kind.__module__ or ""
    if isinstance(item, BaseLLM):
        return f"{kind.__name__} completes text and is no chat model"
    if kind.__name__ == "_ConfigurableModel":
        return "a configurable model (init_chat_model) is made for each call; wrap it where it is used"
    if any(module == name or module.startswith(f"{name}.") for name in CLIENTS):
        return f"{_RAW} ({module.split('.')[0]}.{kind.__name__})"
    return ""


def _held(item: Any) -> list[Any]:
    if isinstance(item, types.FunctionType):
        return _of_function(item)
    if isinstance(item, types.MethodType):
        return [item.__func__, item.__self__]
    if isinstance(item, functools.partial):
        return [item.func, *item.args, *item.keywords.values()]
    if isinstance(item, Mapping):
        return list(item.values())
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    if (
        isinstance(item, Runnable | types.SimpleNamespace)
        or _is_users(type(item))
        or (type(item).__module__ or "").startswith(_OWN)
    ):
        return _attributes(item)
    return []


def _of_function(function: types.FunctionType) -> list[Any]:
    held: list[Any] = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # not filled yet
            continue
    if wrapped := getattr(function, "__wrapped__", None):
        held.append(wrapped)
    if _is_users(function):
        held += _globals(function)
    return held


def _globals(function: types.FunctionType) -> Iterator[Any]:
    """The module variables that a function names, and those of modules that it names: `llms.large`."""
    names = set(_names(function.__code__))
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            if _is_users(value):
                yield from (vars(value)[inner] for inner in names if inner in vars(value))
        elif value is not None:
            yield value


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _attributes(item: Any) -> list[Any]:
    held = list(getattr(item, "__dict__", {}).values())
    slots = (slot for kind in type(item).__mro__ for slot in _slots(kind))
    held += [getattr(item, slot, None) for slot in slots if not slot.startswith("__")]
    call = type(item).__dict__.get("__call__")  # the object is called as a node
    if call is not None and _is_users(type(item)):
        held.append(call)
    return held


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)


def _is_users(item: Any) -> bool:
    """Whether a function, class or module is the user's own, not a library's."""
    return not isinstance(item, types.BuiltinFunctionType) and not _is_library(item)


def _is_library(item: Any) -> bool:
    try:
        file = item.__code__.co_filename if isinstance(item, types.FunctionType) else inspect.getfile(item)
    except (TypeError, OSError):  # built in, or typed at a prompt
        return getattr(item, "__module__", None) == "builtins"
    return file.startswith(_LIBRARIES) or file.startswith("<frozen")


_LIBRARIES = tuple({*site.getsitepackages(), site.getusersitepackages(), sysconfig.get_paths()["stdlib"]})
