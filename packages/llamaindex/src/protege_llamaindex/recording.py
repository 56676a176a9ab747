"""While `ProtegeLLM` asks its teacher, it records that call itself: nobody else is to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_recorded: ContextVar[bool] = ContextVar("protege_llamaindex_recorded", default=False)


@contextmanager
def recorded() -> Iterator[None]:
    """In here LLMs are asked by `ProtegeLLM`, which records the call by itself: nobody else is to."""
    token = _recorded.set(True)
    try:
        yield
    finally:
        _recorded.reset(token)


def recording() -> bool:
    """Whether the call that is being made is recorded already."""
    return _recorded.get()
