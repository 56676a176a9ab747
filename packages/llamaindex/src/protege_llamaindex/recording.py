"""Marks the time in which `ProtegeLLM` asks its teacher: it records the call itself, and nobody else must."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_recorded: ContextVar[bool] = ContextVar("protege_llamaindex_recorded", default=False)


@contextmanager
def recorded() -> Iterator[None]:
    """A context in which `ProtegeLLM` asks an LLM and records the call itself."""
    token = _recorded.set(True)
    try:
        yield
    finally:
        _recorded.reset(token)


def recording() -> bool:
    """Whether the call that is being made is recorded already."""
    return _recorded.get()
