"""A call while it is under way, and what becomes of it: one record, given to the recorder when the answer is there.

Shared by the handler and the model. What goes wrong is logged once, without content.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

import uuid_utils
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables.config import var_child_runnable_config
from protege.call import Attempt, Request, request_from
from protege.collect.recorder import Recorder
from protege.route import Router

from .translate import answer_to_openai, finish_reason

logger = logging.getLogger("protege.langchain")


class Records(Protocol):
    """Who takes a call's record: `protege.collect.recorder.Recorder`, or a list's stand-in in a test."""

    def record(self, call_record: dict[str, Any], /) -> None: ...


@functools.cache
def recorder_of(home: Path) -> Records:
    """The one recorder of this process for this home."""
    return Recorder(home)


@functools.cache
def router_of(home: Path) -> Router:
    """The one router of this process for this home."""
    return Router(home)


class Place(NamedTuple):
    """Where in an agent a call was made."""

    framework: str
    node: list[str]
    agent: str | None
    run: str | None
    parent: str | None


def place_of(metadata: Mapping[str, Any] | None, parent: UUID | None = None, own: UUID | None = None) -> Place:
    """Where the call is made: from its run's metadata and ids, else from the step that runs around it.

    The node is the path of `langgraph_checkpoint_ns`, since inside a nested agent `langgraph_node` is "model" only.
    """
    config = cast(Mapping[str, Any], var_child_runnable_config.get() or {})
    if metadata is None:  # `_stream` and `_astream` are given no run manager
        metadata = cast(Mapping[str, Any], config.get("metadata") or {})
        parent = getattr(config.get("callbacks"), "parent_run_id", None)
    step = metadata.get("langgraph_node")
    path = metadata.get("langgraph_checkpoint_ns")
    node = [part.split(":", 1)[0] for part in path.split("|") if not part.isdigit()] if path else []
    return Place(
        framework="langgraph" if step else "langchain",
        node=node or ([step] if step else []),
        agent=metadata.get("lc_agent_name"),
        run=_run(config, metadata) or _text(parent or own),
        parent=_text(parent),
    )


class OpenCall:
    """A call that has been asked and not yet answered."""

    __slots__ = ("_began", "_recorder", "record")

    def __init__(self, recorder: Records, messages: list[dict[str, Any]], fields: dict[str, Any], place: Place) -> None:
        self._recorder = recorder
        self._began = time.perf_counter()
        self.record: dict[str, Any] = {
            "id": str(uuid_utils.uuid7()),
            "messages": messages,
            **fields,
            "framework": place.framework,
            "time": time.time(),
        }
        if place.node:
            self.record["node"] = place.node
        for name, value in (("agent", place.agent), ("run", place.run), ("parent", place.parent)):
            if value:
                self.record[name] = value

    @property
    def age_s(self) -> float:
        return time.perf_counter() - self._began

    @property
    def request(self) -> Request:
        """The request as a route sees it."""
        return request_from(self.record)

    def token(self) -> None:
        """A part of the answer has come."""
        if "ttft_ms" not in self.record:
            self.record["ttft_ms"] = round(self.age_s * 1000, 3)

    def attempted(self, attempt: Attempt | None, decision: str) -> None:
        """What the route decided, and what the specialist did."""
        self.record["decision"] = decision
        if attempt is not None:
            names = ("by", "outcome", "reason", "confidence", "latency_ms", "content")
            found = {name: getattr(attempt, name) for name in names}
            self.record["attempts"] = [{name: value for name, value in found.items() if value is not None}]

    def answered(self, generation: Generation, llm_output: Mapping[str, Any] | None = None, *, by: str = "") -> None:
        """The answer is there: keep the call. `by`: a specialist's id, where it was not the teacher."""
        record = self.record
        if isinstance(generation, ChatGeneration):
            self._read(generation.message, {**(llm_output or {}), **(generation.generation_info or {})})
        else:
            record["response"] = {"role": "assistant", "content": generation.text}
        if by:
            record["answered_by"] = by
        elif "answered_by" not in record and "model" in record:
            record["answered_by"] = record["model"]
        self._close()

    def failed(self, error: BaseException | str, partial: Generation | None = None) -> None:
        """The call came to nothing, or to a part of an answer: keep it with its error."""
        if isinstance(partial, ChatGeneration) and (partial.message.content or _calls_tools(partial.message)):
            self._read(partial.message, partial.generation_info or {})
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}".rstrip(": ")
        self.record["error"] = text[:500]
        self._close()

    def _read(self, message: BaseMessage, info: Mapping[str, Any]) -> None:
        record = self.record
        record["response"] = answer_to_openai(message)
        metadata = message.response_metadata
        if reason := finish_reason(metadata) or finish_reason(info):
            record["finish_reason"] = reason
        if model := metadata.get("model_name") or info.get("model_name") or metadata.get("model"):
            record["answered_by"] = model
        if isinstance(message, AIMessage) and (used := message.usage_metadata):
            record["usage"] = {"input_tokens": used["input_tokens"], "output_tokens": used["output_tokens"]}

    def _close(self) -> None:
        self.record["latency_ms"] = round(self.age_s * 1000, 3)
        self._recorder.record(self.record)


def log_once(what: str, error: Exception | None = None) -> None:
    """Say that a part of Protégé fails, the first time it does; the agent goes on without it."""
    reason = type(error).__name__ if error else "its form is not known"
    if (what, reason) not in _logged:
        _logged.add((what, reason))
        logger.warning("%s failed (%s); the agent goes on without it.", what, reason)
        logger.debug("%s failed.", what, exc_info=error)


_logged: set[tuple[str, str]] = set()
_runs: dict[int, tuple[object, str]] = {}
_runs_lock = threading.Lock()
_RUNS_KEPT = 4096


def _run(config: Mapping[str, Any], metadata: Mapping[str, Any]) -> str | None:
    """The id of the agent's run, which all its calls share, sub-agents' too; None outside LangGraph.

    Not the thread: a thread holds many runs, and a program that gives one thread id to all its work would have but one
    run, which cannot be split. LangGraph names a run where its caller did; else one object goes through all of it.
    """
    runtime = (config.get("configurable") or {}).get("__pregel_runtime")
    if named := getattr(getattr(runtime, "execution_info", None), "run_id", None):
        return str(named)
    control = getattr(runtime, "control", None)
    return metadata.get("thread_id") if control is None else _run_of(control)


def _run_of(control: object) -> str:
    found = _runs.get(id(control))
    if found is None:
        with _runs_lock:
            if len(_runs) >= _RUNS_KEPT:
                del _runs[next(iter(_runs))]
            # The object is kept, so that its id names no other while this entry stands.
            found = _runs.setdefault(id(control), (control, str(uuid_utils.uuid7())))
    return found[1]


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


def _calls_tools(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage) and bool(message.tool_calls or message.invalid_tool_calls)
