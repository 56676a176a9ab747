"""A request as it comes in over ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

from .refusals import Refusal

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_S, WHOLE_S = 60.0, 600.0
"""The longest waits for the next part of a request's body, and for all of it."""
MOST_HEADER_BYTES = 1 << 17
"""Of all headers of a request."""


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


class Incoming:
    """One request. Its body is read by `read`, and where that is too large passed on by `rest`."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
        self.query_string: str = scope["query_string"].decode("latin-1")
        self.raw_headers: list[tuple[bytes, bytes]] = list(scope["headers"])
        self.headers: Mapping[str, str] = {n.decode("latin-1"): v.decode("latin-1") for n, v in self.raw_headers}
        self.answered = False
        """Whether the last part of the answer is on its way."""
        self._receive = receive
        self._held: list[bytes] = []
        self._more = True

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of several with one name the last."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True, max_num_fields=None))

    async def read(self, most: int) -> bytes | None:
        """The whole body; None if it has more bytes than `most`. Raises ClientGone; Refusal if it comes too slowly."""
        if sum(len(name) + len(value) for name, value in self.raw_headers) > MOST_HEADER_BYTES:
            raise Refusal(431, "the headers are too large")
        size, until_s = 0, time.monotonic() + WHOLE_S
        if int(self.headers.get("content-length") or 0) > most:
            return None
        while self._more:
            part = await self._part()
            if time.monotonic() > until_s:
                raise Refusal(408, "the request did not come whole in time")
            size += len(part)
            self._held.append(part)
            if size > most:
                return None
        body = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held = [body]
        return body

    async def rest(self) -> AsyncIterator[bytes]:
        """All of the body, what was read of it first."""
        for part in self._held:
            yield part
        while self._more:
            yield await self._part()

    async def gone(self) -> None:
        """Returns if the client goes before it has its answer. To be called when the body has been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self.answered:
            await asyncio.Future()

    def sending(self, send: Send) -> Send:
        """`send`, which takes note of the last part of the answer."""

        async def noted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.answered = True
            await send(message)

        return noted

    async def _part(self) -> bytes:
        try:
            message = await asyncio.wait_for(self._receive(), BODY_S)
        except TimeoutError:
            raise Refusal(408, "the request did not come whole in time") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._more = message.get("more_body", False)
        return message.get("body", b"")
