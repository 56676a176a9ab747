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
"""How many frames to look up the stack: an agent is two to five frames above its model's call."""


def place_of(token: CancellationToken | None, agent: str | None = None) -> Place:
    """The place of the call that is being made.

    token: the cancellation token of the call. agent: the agent's name, if it is known. The node is the agent's name, in
    a team as well as on its own. A team's manager that asks a model has the name that AutoGen gives it
    (`SelectorGroupChatManager`). The node is empty if no agent asks.
    """
    handler = _handler()
    name = agent or _calling_agent() or (None if handler is None else _name(handler))
    return Place("autogen", node=[name] if name else [], agent=name, run=_run(token, handler is not None))


def _handler() -> AgentId | None:
    """The agent whose message is being handled, in a team or in a program on AutoGen's core; None outside."""
    try:
        return MessageHandlerContext.agent_id()
    except RuntimeError:  # no message is being handled
        return None


def _name(agent: AgentId) -> str:
    """The agent's name. A team's members have their name and the team's id as type (`writer_6f1c…`), and the id as
    key."""
    return agent.type.removesuffix(f"_{agent.key}") or agent.type


def _calling_agent() -> str | None:
    """The name of the nearest agent on the stack; None if there is none.

    The stack is looked at first, because a tool that runs an agent does so while another agent's message is handled.
    AssistantAgent calls its model from a class method, which knows the agent only by `agent_name`.
    """
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    for _ in range(_FRAMES):
        if frame is None:
            return None
        takes = _takes(frame.f_code)
        if takes == "agent_name" and frame.f_globals.get("__name__", "").startswith("autogen_agentchat."):
            return str(frame.f_locals.get("agent_name"))
        if takes == "self" and isinstance(owner := frame.f_locals.get("self"), ChatAgent):
            return owner.name
        frame = frame.f_back
    return None


@functools.lru_cache(maxsize=4096)
def _takes(code: CodeType) -> str | None:
    """Which parameter of this code may tell the agent. Cached, because looking into a frame costs 1 µs and more.

    Only parameters count: a selector also has a variable `agent_name`, for the agent that it chose.
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
    """The id of the run. One cancellation token goes through all of it, nested teams and agents as tools included.

    A selector asks without the token, and before the agents do; so one start of the team's runtime counts as a run too.
    None if there is neither: for a call outside any agent.
    """
    if token is not None and (known := _runs.get(token)) is not None:
        return known
    keys = [key for key in (token, _running() if in_runtime else None) if key is not None]
    if not keys:
        return None
    with _lock:
        run = next((known for key in keys if (known := _runs.get(key))), None) or str(uuid_utils.uuid7())
        for key in keys:
            _runs.setdefault(key, run)
    return run


def _running() -> Any:
    """An object that stands for one start of the calling agent's runtime; None if it cannot be seen."""
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    for _ in range(_FRAMES):
        if frame is None:
            return None
        if _takes(frame.f_code) == "self" and isinstance(owner := frame.f_locals.get("self"), BaseAgent):
            return getattr(owner.runtime, "_run_context", None)
        frame = frame.f_back
    return None
