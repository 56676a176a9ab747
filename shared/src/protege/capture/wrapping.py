"""`protege.wrap`: the adapter for the providers' own clients, found when it is called."""

from __future__ import annotations

import importlib
import os
from typing import TypeVar

from ..errors import ProtegeError

T = TypeVar("T")

ADAPTER = "protege_clients"
"""The adapter's module. It is imported by name, since adapters stand on the core and not the other way round."""


def wrap(client: T, home: str | os.PathLike[str] | None = None, *, agent: str | None = None) -> T:
    """Record the calls of a client, and let specialists answer those that they may. Returns the client, changed.

        client = protege.wrap(OpenAI())

    client: one of openai, anthropic or google-genai, synchronous or not. home: the workspace's folder; by default
    PROTEGE_HOME, else `.protege`. agent: the name of the agent that asks. See `protege_clients.wrap`. Raises
    ProtegeError if protege-clients is not installed; TypeError if it is no such client.
    """
    try:
        adapter = importlib.import_module(ADAPTER)
    except ModuleNotFoundError as error:
        if error.name != ADAPTER:
            raise
        raise ProtegeError("protege-clients is not installed.", "Install it: pip install protege-clients") from None
    return adapter.wrap(client, home, agent=agent)
