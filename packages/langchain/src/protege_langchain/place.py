"""Where in an agent a call was made, and which call it is, from what LangChain and LangGraph tell about the run."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple, cast
from uuid import UUID

import orjson
import uuid_utils
from langchain_core.runnables.config import var_child_runnable_config
from protege.adapter import Message, Place


def place_of(
    messages: Sequence[Message],
    metadata: Mapping[str, Any] | None = None,
    parent: UUID | None = None,
    own: UUID | None = None,
) -> Place:
    """Where the call is made: from its run's metadata and ids, or else from the step that runs around it.

    Call it once for each call, because it counts the calls with the same words in a step.
    """
    config = cast(Mapping[str, Any], var_child_runnable_config.get() or {})
    if metadata is None:  # `_stream` and `_astream` get no run manager
        metadata = step_metadata()
        parent = getattr(config.get("callbacks"), "parent_run_id", None)
    run, call_id = _run(config, metadata, messages)
    return Place(
        framework="langgraph" if metadata.get("langgraph_node") else "langchain",
        node=node_of(metadata),
        agent=metadata.get("lc_agent_name"),
        run=run or _text(parent or own),
        parent=_text(parent),
        call_id=call_id,
    )


def step_metadata(run_manager: Any = None) -> Mapping[str, Any]:
    """The metadata of the step that runs now, from the call's run, or else from LangChain's context."""
    if run_manager is not None and run_manager.metadata:
        return run_manager.metadata
    config = cast(Mapping[str, Any], var_child_runnable_config.get() or {})
    return cast(Mapping[str, Any], config.get("metadata") or _outer_metadata.get())


@contextlib.contextmanager
def inside(run_manager: Any) -> Iterator[None]:
    """Keep a run's metadata for a stream inside the run, which gets none.

    If a node is a chain, `add_node("x", prompt | model)`, LangGraph gives its context only to the chain's first part.
    """
    token = _outer_metadata.set(run_manager.metadata or {} if run_manager else {})
    try:
        yield
    finally:
        _outer_metadata.reset(token)


_outer_metadata: ContextVar[Mapping[str, Any]] = ContextVar("protege_outer_metadata", default={})  # noqa: B039 - read only


def node_of(metadata: Mapping[str, Any]) -> list[str]:
    """The path of LangGraph nodes: `researcher:1f…|model:2e…` → researcher, model; empty outside LangGraph.

    From `langgraph_checkpoint_ns`, because inside a nested agent `langgraph_node` is only "model".
    """
    namespace: str = metadata.get("langgraph_checkpoint_ns") or ""
    path = [part.split(":", 1)[0] for part in namespace.split("|") if part and not part.isdigit()]
    step = metadata.get("langgraph_node")
    return path or ([step] if step else [])


class _Invocation(NamedTuple):
    """One invocation of a graph."""

    control: object
    """The object that goes through all of it, held so that no other object gets its id."""
    run: str
    """The id of the agent's run."""
    asked: Counter[bytes]
    """How often each request came in each step."""


_invocations: dict[int, _Invocation] = {}
_lock = threading.Lock()
_MOST_INVOCATIONS = 4096


def _run(
    config: Mapping[str, Any], metadata: Mapping[str, Any], messages: Sequence[Message]
) -> tuple[str | None, str | None]:
    """The id of the agent's run, which all its calls share, sub-agents' too; None outside LangGraph. And the call's id.

    The run is not the thread: a thread holds many runs, and a program that gives all its work one thread id would have
    a single run, which cannot be split. LangGraph names a run if its caller did; else one object goes through all of
    it.
    """
    configurable: Mapping[str, Any] = config.get("configurable") or {}
    runtime = configurable.get("__pregel_runtime")
    control = getattr(runtime, "control", None)
    if control is None:
        return metadata.get("thread_id"), None
    invocation = _invocation(control)
    named = getattr(getattr(runtime, "execution_info", None), "run_id", None)
    step = metadata.get("langgraph_checkpoint_ns") if configurable.get("__pregel_checkpointer") else None
    return str(named or invocation.run), _call_id(step, messages, invocation) if step else None


def _call_id(step: str, messages: Sequence[Message], invocation: _Invocation) -> str:
    """The id of a call in a step that may be replayed. A replay gives the same id, so the store holds the call once.

    An interrupted step runs again from its beginning under the same name, and makes its calls again. Within one
    invocation, a second call with the same words is another call: an agent that asks twice, or a retry.
    """
    asked = hashlib.blake2b(orjson.dumps((step, messages), default=repr, option=orjson.OPT_NON_STR_KEYS))
    with _lock:
        invocation.asked[asked.digest()] += 1
        number = invocation.asked[asked.digest()]
    asked.update(number.to_bytes(8, "big"))
    return str(UUID(bytes=asked.digest()[:16], version=5))  # 5: made from a hash


def _invocation(control: object) -> _Invocation:
    invocation = _invocations.get(id(control))
    if invocation is None:
        with _lock:
            if len(_invocations) >= _MOST_INVOCATIONS:
                del _invocations[next(iter(_invocations))]
            fresh = _Invocation(control, str(uuid_utils.uuid7()), Counter())
            invocation = _invocations.setdefault(id(control), fresh)
    return invocation


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
