"""Attaches the recorder to the whole process: it sees every call to a LangChain model, wherever it is made."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar

from langchain_core.tracers.context import register_configure_hook
from protege.adapter import home_path

from .handler import ProtegeCallbackHandler


class _Everywhere(ProtegeCallbackHandler):
    """The process's own handler. LangChain never lets go of it, so it is switched on and off instead."""

    on = False

    def __eq__(self, other: object) -> bool:
        """Off, it equals no other: LangChain keeps one of two equal handlers, and might keep the silent one."""
        return self is other or (self.on and super().__eq__(other))

    __hash__ = ProtegeCallbackHandler.__hash__

    @property
    def ignore_llm(self) -> bool:
        return not self.on

    @property
    def ignore_chat_model(self) -> bool:
        return not self.on


_lock = threading.Lock()
_handler: _Everywhere | None = None


def attach(home: str | os.PathLike[str] | None = None) -> None:
    """Record every call that this process makes to a LangChain model from now on, threads and LangGraph included.

    home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. A call under a `ProtegeCallbackHandler` of
    the same home, or to a `ChatProtege`, is recorded once. Attaching again changes the home.
    """
    global _handler
    with _lock:
        if _handler is None:
            _handler = _Everywhere(home)
            # All threads see the default of a context variable, even those that were started before.
            register_configure_hook(ContextVar("protege_recorder", default=_handler), inheritable=True)
        _handler.home = home_path(home)
        _handler.on = True


def detach() -> None:
    """Record no more calls through `attach`. Calls that are under way are still recorded."""
    with _lock:
        if _handler is not None:
            _handler.on = False
