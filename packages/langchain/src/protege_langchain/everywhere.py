"""The recorder attached to a whole process: it sees every call to a LangChain model, wherever it is made."""

from __future__ import annotations

import os
import threading
from contextvars import ContextVar

from langchain_core.tracers.context import register_configure_hook
from protege.adapter import home_path

from .handler import ProtegeCallbackHandler


class _Everywhere(ProtegeCallbackHandler):
    """The process's own handler, which LangChain keeps for good once it knows it: it is switched on and off."""

    on = False

    def __eq__(self, other: object) -> bool:
        """Switched off it equals no other: LangChain keeps one of two equals, and would keep the silent one."""
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

    home: the workspace's folder, else PROTEGE_HOME, else `.protege`. A call under a `ProtegeCallbackHandler` of the
    same home, or to a `ChatProtege`, is recorded once. Attaching again changes the home.
    """
    global _handler
    with _lock:
        if _handler is None:
            _handler = _Everywhere(home)
            # The default of a context variable is seen by all threads, those too that were started before.
            register_configure_hook(ContextVar("protege_recorder", default=_handler), inheritable=True)
        _handler.home = home_path(home)
        _handler.on = True


def detach() -> None:
    """Record no further calls by `attach`; those that are under way are."""
    with _lock:
        if _handler is not None:
            _handler.on = False
