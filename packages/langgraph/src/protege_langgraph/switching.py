"""A chat model switched where it stands: the same object, which from then on records, and asks specialists.

A graph that is already built holds its models in closures, module variables and bindings, often in several places. So
the object stays, and its class becomes a subclass of what it was (`isinstance` and everything else go on as before)
whose calls, inside the graph's nodes, go through `ChatProtege`. Outside of them it is what it was.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langchain_core.language_models import BaseChatModel
from protege.call import Request
from protege.route import Outcome
from protege_langchain import ChatProtege
from protege_langchain.place import inside, node_of, step_metadata

from .reach import Path

_ENTRY = "__protege_switch__"
_METHODS = ("_generate", "_agenerate", "_stream", "_astream")

Wrap = Callable[[BaseChatModel], ChatProtege]


@dataclass(slots=True)
class Switch:
    """What a switched model does, by node. rules: how the model at hand is wrapped there; None: it is left alone."""

    rules: dict[Path, Wrap | None] = field(default_factory=dict[Path, Wrap | None])
    made: dict[Path, tuple[int, ChatProtege]] = field(default_factory=dict[Path, tuple[int, ChatProtege]])

    def of(self, model: BaseChatModel, node: Path) -> ChatProtege | None:
        """What stands in for the model in this node; None where the model itself does."""
        rule_path = next((path for path in _parts(node) if path in self.rules), None)
        wrap = None if rule_path is None else self.rules[rule_path]
        if rule_path is None or wrap is None:
            return None
        owner, found = self.made.get(rule_path, (0, None))
        if found is None or owner != id(model):  # the first time, or in a copy of the model
            found = wrap(bare(model))
            self.made[rule_path] = (id(model), found)
        return found

    def __deepcopy__(self, memo: dict[int, Any]) -> Switch:
        return Switch(dict(self.rules))


class Paced(ChatProtege):
    """`ChatProtege` inside a model that has waited for its rate limit already."""

    def _limited(self) -> bool:
        return False


class TeacherOnly:
    """A route that leaves every call to the teacher: the calls are recorded and not switched."""

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        return Outcome(None, None, "off")

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        return Outcome(None, None, "off")


def switch(model: BaseChatModel, rules: Mapping[Path, Wrap | None]) -> None:
    """Have the model do by these rules, beside those that it has."""
    entry = model.__dict__.get(_ENTRY)
    if entry is None:
        entry = Switch()
        cast(dict[str, Any], model.__dict__)[_ENTRY] = entry
        model.__class__ = _switched(type(model))
    entry.rules |= rules
    entry.made.clear()


def bare(model: BaseChatModel) -> BaseChatModel:
    """The model as it was, sharing all that it holds: what is set on one is set on both."""
    kind = type(model)
    twin = object.__new__(kind.__protege_base__)  # pyright: ignore
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(twin, name, getattr(model, name, None))
    return twin


@functools.cache
def _switched(kind: type[BaseChatModel]) -> type[BaseChatModel]:
    """A subclass under the same name. Only what the class implements is overridden: LangChain looks."""
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
    """Who answers in the step that runs now."""
    entry: Switch | None = self.__dict__.get(_ENTRY)
    node = tuple(node_of(step_metadata(run_manager)))
    return (entry.of(self, node) if entry else None) or bare(self)


def _generate(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return _here(self, run_manager)._generate(messages, stop=stop, **_managed(run_manager), **kwargs)


async def _agenerate(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return await _here(self, run_manager)._agenerate(messages, stop=stop, **_managed(run_manager), **kwargs)


def _stream(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return _here(self, run_manager)._stream(messages, stop=stop, **_managed(run_manager), **kwargs)


def _astream(self: Any, messages: Any, stop: Any = None, run_manager: Any = None, **kwargs: Any) -> Any:
    return _here(self, run_manager)._astream(messages, stop=stop, **_managed(run_manager), **kwargs)


def _managed(run_manager: Any) -> dict[str, Any]:
    """Passed on where there is one: LangChain leaves it out for streams, and some models' methods take none."""
    return {"run_manager": run_manager} if run_manager else {}


def _generate_with_cache(self: Any, *args: Any, run_manager: Any = None, **kwargs: Any) -> Any:
    with inside(run_manager):
        return type(self).__protege_base__._generate_with_cache(self, *args, run_manager=run_manager, **kwargs)


async def _agenerate_with_cache(self: Any, *args: Any, run_manager: Any = None, **kwargs: Any) -> Any:
    with inside(run_manager):
        base = type(self).__protege_base__
        return await base._agenerate_with_cache(self, *args, run_manager=run_manager, **kwargs)


def _traced_params(self: Any, stop: Any = None, **kwargs: Any) -> Any:
    return _here(self)._get_ls_params_with_defaults(stop=stop, **kwargs)


_OVERRIDES: Mapping[str, Any] = {
    "_generate": _generate,
    "_agenerate": _agenerate,
    "_stream": _stream,
    "_astream": _astream,
}


def _reduce(self: Any, _: Any) -> Any:
    """Pickled as what it was: the switch belongs to the graph in this process."""
    twin = bare(self)
    object.__setattr__(twin, "__dict__", {name: value for name, value in self.__dict__.items() if name != _ENTRY})
    return _same, (twin,)


def _same(model: BaseChatModel) -> BaseChatModel:
    return model


def _parts(node: Path) -> list[Path]:
    """The path and what it contains, longest first: a graph may run inside another one."""
    ends = range(len(node), 0, -1)
    return [node[start : start + length] for length in ends for start in range(len(node) - length + 1)]
