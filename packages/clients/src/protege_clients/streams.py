"""Streams of bytes as httpx and its fork httpx2 have them, each from its own classes."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, NamedTuple

from .exchange import Exchange


class Streams(NamedTuple):
    """The kinds of streams of one library."""

    parts: Any
    """`parts(list of bytes)`: a stream of what is there already."""
    tee: Any
    """`tee(stream, exchange)`: a stream that also tells its parts to the exchange."""
    atee: Any
    """The same for an asynchronous stream."""


@functools.cache
def streams_of(library: Any) -> Streams:
    """The kinds of streams of httpx or httpx2, which take streams of their own classes only."""

    class Parts(library.SyncByteStream, library.AsyncByteStream):
        def __init__(self, parts: Sequence[bytes]) -> None:
            self._parts = parts

        def __iter__(self) -> Iterator[bytes]:
            yield from self._parts

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for part in self._parts:
                yield part

    class Tee(library.SyncByteStream):
        def __init__(self, stream: Any, exchange: Exchange) -> None:
            self._stream, self._exchange = stream, exchange

        def __iter__(self) -> Iterator[bytes]:
            with self._exchange.watch:
                try:
                    for part in self._stream:
                        self._exchange.part(part)
                        yield part
                except GeneratorExit:
                    self._exchange.left()
                    raise
            self._exchange.ended()

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._exchange.left()

    class AsyncTee(library.AsyncByteStream):
        def __init__(self, stream: Any, exchange: Exchange) -> None:
            self._stream, self._exchange = stream, exchange

        async def __aiter__(self) -> AsyncIterator[bytes]:
            with self._exchange.watch:
                try:
                    async for part in self._stream:
                        self._exchange.part(part)
                        yield part
                except GeneratorExit:
                    self._exchange.left()
                    raise
            self._exchange.ended()

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._exchange.left()

    return Streams(Parts, Tee, AsyncTee)
