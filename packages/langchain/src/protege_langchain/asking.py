"""Marks the time in which `ChatProtege` asks its teacher: a model that records by itself must not record that call
too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar, Token
from typing import Any

from langchain_core.language_models import BaseChatModel

_asked: ContextVar[BaseChatModel | None] = ContextVar("protege_langchain_asked", default=None)


def is_asked(model: BaseChatModel) -> bool:
    """Whether a `ChatProtege`, which records the call, is asking this very model."""
    return _asked.get() is model


class asking:
    """A context in which the teacher is being asked. Calls that the teacher makes to other models are theirs to record.

    This is a class because a context manager of contextlib costs a microsecond more for each part of a stream.
    """

    __slots__ = ("_teacher", "_token")

    _token: Token[BaseChatModel | None]

    def __init__(self, teacher: BaseChatModel) -> None:
        self._teacher = teacher

    def __enter__(self) -> None:
        self._token = _asked.set(self._teacher)

    def __exit__(self, *error: object) -> None:
        _asked.reset(self._token)


class Parts:
    """A teacher's stream, sync or async, whose parts are each fetched within `asking`.

    The whole stream is not within it: between two parts the agent runs in the same context, and may ask the same model.
    """

    __slots__ = ("_parts", "_teacher")

    def __init__(self, teacher: BaseChatModel, parts: Any) -> None:
        self._teacher = teacher
        self._parts = parts

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        with asking(self._teacher):
            return next(self._parts)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        with asking(self._teacher):
            return await anext(self._parts)

    def close(self) -> None:
        """Close the stream, so that its connection does not stay open until it is collected."""
        if (close := getattr(self._parts, "close", None)) is not None:
            close()

    async def aclose(self) -> None:
        """Like `close`, for an async stream."""
        if (close := getattr(self._parts, "aclose", None)) is not None:
            await close()
