"""A client's connection: what is bounded before there is a request, and what uvicorn's own protocol leaves open.

Requests are parsed by httptools (llhttp) within uvicorn. It bounds neither how long a client takes to send a request's
head nor how much of one it sends, answers HTTP/1.0 in chunks, and takes trailers for headers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .refusals import Refusal, written
from .request import MOST_HEADER_BYTES

HEAD_S = 30.0
"""The longest wait for the whole head of a request, from the connection or from the head's first byte."""
LEFT_S = 10.0
"""So long a client may go on sending a request that has been answered or refused."""
UNREAD_S = 600.0
"""The longest wait for a client that reads no further."""
VERSIONS = ("1.0", "1.1")
_UPGRADE = re.compile(rb"\r\nupgrade:(?![ \t]{0,9}websocket)", re.IGNORECASE)


class Connection(HttpToolsProtocol):
    """uvicorn's protocol with bounds. A connection without its head in time, or with too large a one, is closed."""

    _head_bytes = 0
    """Bytes of a head that is not whole."""
    _in_head, _deaf = True, False
    _refusal: Refusal | None = None
    _head_timer: asyncio.TimerHandle | None = None
    _left_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._left_timer, self._unread_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._in_head:
            self._head_bytes += len(data)
            self._await_head()
            data = _without_upgrade(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > MOST_HEADER_BYTES:
            self._refuse(Refusal(431, "the headers are too large"))

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer is no header, and must not become one
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        version = cast(Any, self.parser).get_http_version()
        if version not in VERSIONS:
            self._refusal = Refusal(505, "this version of HTTP is not spoken here")
            raise ValueError
        self._take_host()
        super().on_headers_complete()
        if version == "1.0" and (cycle := cast(Any, self.cycle)):
            cycle.send = _until_closed(cycle)

    def on_message_complete(self) -> None:
        self._in_head = True
        if self._left_timer is not None:
            self._left_timer.cancel()
            self._left_timer = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        is_last = self.cycle.response_complete  # else it is the body of the next request that is still coming
        if is_last and not self._in_head and self._left_timer is None:
            self._left_timer = self.loop.call_later(LEFT_S, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        self._refuse(self._refusal or Refusal(400, "this is no request of HTTP/1.1"))

    def _unsupported_upgrade_warning(self) -> None:
        """What follows is in another protocol; the request itself is refused by the guard."""
        self._deaf = True
        if self.cycle:
            self.cycle.keep_alive = False

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_timer = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._late)

    def _take_host(self) -> None:
        """The host of an absolute address counts, and not what a Host header says beside it (RFC 9112, 3.2.2)."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1:
            self._refusal = Refusal(400, "a request has one Host header")
            raise ValueError
        if not self.url.startswith((b"/", b"*")) and (host := httptools.parse_url(self.url).host):
            self.headers[:] = [*(each for each in self.headers if each[0] != b"host"), (b"host", host)]

    def _late(self) -> None:
        self._head_timer = None
        if self._head_bytes or self.cycle:
            self._refuse(Refusal(408, "the request's head did not come whole in time"))
        else:  # nothing was asked
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Tell why, and close: nothing more that comes on this connection could be understood."""
        self._deaf = True
        cycle: Any = self.cycle
        if cycle and not cycle.response_complete:
            if not cycle.more_body:  # a request came whole before; its answer is its own
                cycle.keep_alive = False
                return
            if cycle.response_started:
                self.transport.abort()
                return
            if self.pipeline:  # an earlier request has its answer first
                self.pipeline[0] = (cycle, self._refusing(refusal))
                return
            cycle.disconnected = True  # nothing of its own may follow
            cycle.message_event.set()
        body = written(refusal, None)
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[refusal.status] + head + body)
        self.transport.write_eof()  # closing now, with bytes unread, would reset the connection before the client reads
        self._left_timer = self.loop.call_later(LEFT_S, self.transport.abort)

    def _refusing(self, refusal: Refusal) -> Any:
        async def refuse(*_: Any) -> None:
            self._refuse(refusal)

        return refuse


def _without_upgrade(data: bytes) -> bytes:
    """The beginning of a request without a wish for HTTP/2, which Java's client has: the parser would take its body for
    the other protocol."""
    if b"pgrade" not in data:
        return data
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-protege-upgrade:", head) + end + rest


def _until_closed(cycle: Any) -> Callable[[Any], Awaitable[None]]:
    """`send` for HTTP/1.0, which knows no chunks: an answer of unknown length ends where the connection does."""
    send = cycle.send
    is_open = False

    async def sent(message: Any) -> None:
        nonlocal is_open
        if message["type"] == "http.response.start":
            is_open = all(name.lower() != b"content-length" for name, _ in message.get("headers", ()))
            cycle.chunked_encoding = False if is_open else None
        elif is_open:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return sent
