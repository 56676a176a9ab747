"""Middleware for `create_agent` that replaces the agent's model with one that records and switches."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from protege.adapter import log_once
from protege_langchain import ChatProtege

_MOST_WRAPPERS = 64
"""Wrappers that are cached at most."""


class ProtegeMiddleware(AgentMiddleware[Any, Any, Any]):
    """Records and switches every model call of an agent.

        agent = create_agent(model, tools, middleware=[ProtegeMiddleware()])

    home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. options: `recorder` and `router`, as of
    `ChatProtege`. Calls that other middleware makes to a model by itself, such as a summary, do not pass through it. If
    they matter, wrap the model instead: `ChatProtege(model)`.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None, **options: Any) -> None:
        super().__init__()
        self._make: Callable[[BaseChatModel], ChatProtege] = lambda model: ChatProtege(model, home, **options)
        self._made: dict[int, ChatProtege] = {}
        self._lock = threading.Lock()

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        return handler(request.override(model=self._wrapped(request.model)))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any]:
        return await handler(request.override(model=self._wrapped(request.model)))

    def _wrapped(self, model: Any) -> Any:
        """The model, recording and switching; the model itself if it does so already, or cannot."""
        if isinstance(model, ChatProtege):
            return model
        if not isinstance(model, BaseChatModel):  # `init_chat_model` with fields that are chosen for each call
            log_once(f"Wrapping a {type(model).__name__}, which is no chat model yet,")
            return model
        try:
            return self._wrapper(model)
        except Exception as error:  # noqa: BLE001 - the agent goes on with its own
            log_once("Wrapping an agent's model", error)
            return model

    def _wrapper(self, model: BaseChatModel) -> ChatProtege:
        with self._lock:
            wrapper = self._made.get(id(model))
            if wrapper is None or wrapper.teacher is not model:
                if len(self._made) >= _MOST_WRAPPERS:  # the agent makes a new model for every call
                    self._made.clear()
                wrapper = self._made[id(model)] = self._make(model)
            return wrapper
