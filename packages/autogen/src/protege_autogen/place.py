"""Where in a program of agents a call was made: by which agent, in which run."""

from __future__ import annotations

import functools
import sys
import threading
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary

import uuid_utils
from autogen_agentchat.base import ChatAgent
from autogen_core import AgentId, BaseAgent, CancellationToken, MessageHandlerContext
from protege.adapter import Place

_FRAMES: Final = 16
"""How far up the stack to look: an agent stands two to five frames above its model's call."""


def place_of(token: CancellationToken | None, agent: str | None = None) -> Place:
    """The place of the call that is being made. token: the one that came with it. agent: its name, where it is known.

    The node is the agent's name, in a team as on its own; a team's manager that asks a model has the name that AutoGen
    gives it (`SelectorGroupChatManager`). Empty where no agent asks.
    """
    handler = _handler()
    name = agent or _calling_agent() or (None if handler is None else _name(handler))
    return Place("autogen", node=[name] if name else [], agent=name, run=_run(token, handler is not None))


def _handler() -> AgentId | None:
    """The agent whose message is being handled: in a team, and in programs on AutoGen's core."""
    try:
        return MessageHandlerContext.agent_id()
    except RuntimeError:  # outside of one
        return None


def _name(agent: AgentId) -> str:
    """A team makes the type of its members' names and its own id, which is their key too: `writer_6f1c…`."""
    return agent.type.removesuffix(f"_{agent.key}") or agent.type


def _calling_agent() -> str | None:
    """The name of the nearest agent on the stack.

    The stack goes first: a tool that runs an agent does so inside another agent's message. AssistantAgent calls its
    model from a class method, which knows the agent by `agent_name` alone.
    """
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    for _ in range(_FRAMES):
        if frame is None:
            return None
        takes = _takes(frame.f_code)
        if takes == "agent_name" and frame.f_globals.get("__name__", "").startswith("autogen_agentchat."):
            return str(frame.f_locals.get("agent_name"))
        if takes == "self" and isinstance(found := frame.f_locals.get("self"), ChatAgent):
            return found.name
        frame = frame.f_back
    return None


@functools.lru_cache(maxsize=4096)
def _takes(code: CodeType) -> str | None:
    """Which of its parameters may tell an agent: to look into a frame costs 1 µs and more.

    Parameters only: a selector has a variable `agent_name` too, the agent that it chose.
    """
    parameters = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    if "agent_name" in parameters:
        return "agent_name"
    own = code.co_filename.startswith(_OWN)
    return "self" if parameters[:1] == ("self",) and not own else None


_OWN: Final = str(Path(__file__).parent)


_runs: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
_lock = threading.Lock()


def _run(token: CancellationToken | None, in_runtime: bool) -> str | None:
    """The id of the run. One cancellation token goes through all of it, through nested teams and agents as tools too.

    A selector asks without it, and before the agents do; so the time for which the team's runtime runs counts as well.
    None where there is neither: a call outside of any agent.
    """
    if token is not None and (known := _runs.get(token)) is not None:
        return known
    keys = [key for key in (token, _running() if in_runtime else None) if key is not None]
    if not keys:
        return None
    with _lock:
        run = next((found for key in keys if (found := _runs.get(key))), None) or str(uuid_utils.uuid7())
        for key in keys:
            _runs.setdefault(key, run)
    return run


def _running() -> Any:
    """What stands for one start of the runtime that the calling agent lives in; None where it cannot be seen."""
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    for _ in range(_FRAMES):
        if frame is None:
            return None
        if _takes(frame.f_code) == "self" and isinstance(found := frame.f_locals.get("self"), BaseAgent):
            return getattr(found.runtime, "_run_context", None)
        frame = frame.f_back
    return None
