"""One request, from its first byte to its record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote

import aiohttp

from ..call import Reply
from ..capture import Answerer, OpenCall, Watch, opened, router_of
from ..common.checks import MOST_BYTES
from ..common.plain_json import loads
from ..common.tracing import span
from ..dialects import CUT, Asked, Dialect, is_cut, reply_of, tried_id, without_images
from ..errors import BadCall
from ..route import Outcome
from .address import Address, address_of, joined
from .coding import decoded
from .figures import Figures
from .guard import PICKED, Admitted, Guard
from .keys import begins_so
from .media import set_apart
from .places import place_of
from .recording import Recording
from .refusals import Refusal, written
from .request import ClientGone, Incoming, Receive, Scope, Send
from .settings import Settings
from .upstream import Headers, Upstreams, answered_headers, asked_headers, failed

MOST_PARTS = 50_000
"""A request with more objects and lists passes through, and is not read: it would take seconds."""
GONE = "the client left"
ASIDE_BYTES = 256 << 10
"""Answers of more bytes are read for their record in another thread, so that they hold nobody else up."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A call that is recorded and may be routed."""

    dialect: Dialect
    asked: Asked
    reading: Reading
    watch: Watch


class Proxy:
    """An ASGI application that answers every HTTP request: by a specialist, by an upstream, or with an error.

    router: who may answer in the upstream's place; by default the home's router.
    """

    def __init__(
        self, settings: Settings, upstreams: Upstreams, figures: Figures, router: Answerer | None = None
    ) -> None:
        self._settings = settings
        self._router = router
        self._upstreams = upstreams
        self._figures = figures
        self._guard = Guard(settings)
        self._recording = Recording(settings.home, figures.unrecorded)

    def close(self) -> None:
        """Return once all that was answered is recorded."""
        self._recording.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive)
        send = incoming.sending(send)
        address = address_of(incoming.method, incoming.path, incoming.headers)
        try:
            by = await self._answer(incoming, address, send)
        except Refusal as refusal:
            by = "gateway"
            headers = [(b"content-type", b"application/json"), *self._guard.for_pages(incoming.headers)]
            await send_whole(send, refusal.status, headers, written(refusal, address.front))
        except ClientGone:
            by = "gone"
        except BrokenOff:  # the server closes a connection whose answer is left unended
            by = "broken off"
        self._figures.answered(address.front or "none", by)

    async def _answer(self, incoming: Incoming, address: Address, send: Send) -> str:
        """Answer a request; who did. Raises Refusal, ClientGone, BrokenOff."""
        admitted = self._guard.admit(incoming, address)
        url = self._url(incoming, address, admitted)
        body = await incoming.read(self._settings.most_bytes)
        began_s = time.perf_counter()
        if body is not None and len(body) > ASIDE_BYTES:
            exchange = await asyncio.to_thread(self._exchange, incoming, address, body)
        else:
            exchange = self._exchange(incoming, address, body)
        _check_scope(admitted, exchange)
        headers = asked_headers(incoming.raw_headers, admitted.instead)
        if body is None and (length := incoming.headers.get("content-length")):
            headers.append((b"content-length", length.encode()))
        forwarded = Forwarded(incoming.method, url, headers, incoming.rest() if body is None else body)
        self._figures.took(time.perf_counter() - began_s)
        if exchange is None:
            work = self._pass(forwarded, Tee(None), send)
            return await (work if body is None else _while_there(incoming, work))
        with exchange.watch, span("protege.gateway", operation="chat", model=exchange.asked.model) as told:
            own = self._guard.for_pages(incoming.headers)
            by = await _while_there(incoming, self._decide(exchange, forwarded, own, send))
            told.set(answered_by=by)
            return by

    async def _decide(self, exchange: Exchange, forwarded: Forwarded, own: Headers, send: Send) -> str:
        """Answer a call; who did. own: headers of the gateway's own answers."""
        if (routed := await self._routed(exchange)) is None:
            return await self._pass(forwarded, Tee(exchange), send)
        headers, parts = routed
        await _send_parts(send, [*headers, *own], parts)
        return "specialist"

    def _url(self, incoming: Incoming, address: Address, admitted: Admitted) -> str:
        """The address at the upstream. Raises Refusal: nothing but the upstreams of the settings is forwarded to."""
        if address.front is None:
            raise Refusal(404, "no API that this gateway stands in front of has this path")
        picked = incoming.headers.get(PICKED, "")
        upstream = self._settings.upstream(address.front, picked)
        if upstream is None:
            which = "of that name " if picked else ""
            raise Refusal(404, f"no upstream {which}is set for {address.front}: --upstream {address.front}=URL")
        query = f"?{admitted.query_string}" if admitted.query_string else ""
        return f"{joined(upstream.url, address.path)}{query}"

    def _exchange(self, incoming: Incoming, address: Address, body: bytes | None) -> Exchange | None:
        """The call in a request; None if it holds none, or it cannot be read, which is counted."""
        dialect = address.dialect
        if dialect is None:
            return None
        if body is None or body.count(b"{") + body.count(b"[") > MOST_PARTS:
            self._figures.unrecorded("too large")
            return None
        if incoming.headers.get("content-encoding"):
            self._figures.unrecorded("compressed request")
            return None
        path, query = unquote(address.path), incoming.query
        small, media = set_apart(body)
        try:
            document = loads(small)
            asked = self._as_seen(dialect.asked(path, query, document), incoming, document, address)
            if media and asked.teacher_only is None:  # what was set apart is text, which a specialist may be shown
                small, media, document = body, (), loads(body)
                asked = self._as_seen(dialect.asked(path, query, document), incoming, document, address)
        except (BadCall, ValueError):  # the upstream says what is wrong with it
            self._figures.unrecorded("not read")
            return None
        recorder = self._recording.with_media(media)

        def read() -> OpenCall:
            place = place_of(incoming.headers, document, address.agent, asked.record)
            if (key := incoming.headers.get("idempotency-key")) is not None:
                place = place._replace(call_id=tried_id(key, small))
            fields = dict(asked.record)
            return OpenCall(recorder, fields.pop("messages"), fields, place)

        reading = Reading(dialect, asked)
        return Exchange(dialect, asked, reading, Watch(opened(read), reading))

    def _as_seen(self, asked: Asked, incoming: Incoming, document: Any, address: Address) -> Asked:
        """The request without its images, if the settings say that the text of its node is enough. Raises BadCall."""
        nodes = self._settings.text_suffices
        if not nodes or asked.teacher_only is None:
            return asked
        place = place_of(incoming.headers, document, address.agent, asked.record)
        return without_images(asked) if begins_so(place.node, nodes) else asked

    async def _routed(self, exchange: Exchange) -> tuple[Headers, list[bytes]] | None:
        """A specialist's answer in the dialect that was asked for: its headers and the parts of its body. None if the
        upstream must answer."""
        watch, asked = exchange.watch, exchange.asked
        if asked.teacher_only is not None:
            if watch.call is not None:
                watch.call.attempted((), asked.teacher_only)
            return None

        def shape(outcome: Outcome) -> tuple[Headers, list[bytes]]:
            assert watch.call is not None
            told = exchange.dialect.headers(asked, watch.call.record["id"], outcome.specialist_id)
            parts = exchange.dialect.parts(specialists_reply(outcome, asked), asked)
            return [(name.encode(), value.encode()) for name, value in told.items()], parts

        return await watch.arouted(lambda: self._router or router_of(self._settings.home), shape)

    async def _pass(self, forwarded: Forwarded, tee: Tee, send: Send) -> str:
        """Give the upstream's answer, byte for byte as it comes, and record it. Raises Refusal, BrokenOff."""
        began = False
        try:
            async with self._upstreams.ask(*forwarded) as answer:
                kept = answered_headers(answer.raw_headers)
                await send({"type": "http.response.start", "status": answer.status, "headers": kept})
                began = True
                tee.begins(answer)
                async for part in answer.content.iter_any():
                    tee.add(part)
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                if not tee.is_long:  # before the end is told: a gateway that is killed then has lost nothing
                    await tee.ended()
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except asyncio.CancelledError:
            await tee.left()
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            status, reason = failed(error)
            await tee.failed(reason)
            if began:
                raise BrokenOff from None
            raise Refusal(status, reason) from None
        await tee.ended()
        return "upstream"


class Forwarded(NamedTuple):
    """A request as it goes to an upstream."""

    method: str
    url: str
    headers: Headers
    body: bytes | AsyncIterator[bytes]


class BrokenOff(Exception):
    """The upstream broke an answer off that the client has the beginning of."""


class Tee:
    """What passes to the client, for the record."""

    def __init__(self, exchange: Exchange | None) -> None:
        self._exchange = exchange
        self._size = 0
        self._status = 0

    @property
    def is_long(self) -> bool:
        """Whether the answer takes a while to read, so that another thread does it."""
        return self._size > ASIDE_BYTES

    def begins(self, answer: aiohttp.ClientResponse) -> None:
        """The head of the answer has come."""
        self._status = answer.status
        if self._exchange is not None:
            self._exchange.reading.begins(answer.headers)

    def add(self, part: bytes) -> None:
        """A part of the body has come."""
        self._size += len(part)
        if self._exchange is not None and self._size <= MOST_BYTES:
            self._exchange.watch.part(part)

    async def failed(self, reason: str) -> None:
        """The answer broke off, or never came."""
        if self._exchange is not None:
            watch = self._exchange.watch
            await self._aside(lambda: watch.failed(reason))

    async def left(self) -> None:
        """The client has left; some do so as soon as the end of a stream is told, before its last bytes."""
        if self._exchange is not None and 0 < self._status < 400 and self._size <= MOST_BYTES:
            watch = self._exchange.watch
            self._exchange.reading.whole = True
            await self._aside(lambda: watch.left(GONE))

    async def ended(self) -> None:
        """The whole answer has come: record it, once."""
        if self._exchange is None:
            return
        watch = self._exchange.watch
        self._exchange.reading.whole = True
        if self._status >= 400:
            watch.failed(f"HTTP {self._status}")
        elif self._size > MOST_BYTES:
            watch.failed("the answer is too large to be recorded")
        else:
            await self._aside(watch.ended)

    async def _aside(self, record: Callable[[], None]) -> None:
        """Read the answer and record it: a long one in another thread, so that it holds nobody else up."""
        if self.is_long:
            await asyncio.shield(asyncio.to_thread(record))
        else:
            record()


class Reading:
    """Reads the bytes of an upstream's answer, also of one that broke off."""

    def __init__(self, dialect: Dialect, asked: Asked) -> None:
        self._dialect = dialect
        self._asked = asked
        self._coding = self._kind = ""
        self.whole = False
        """Whether the answer came to its end."""

    def begins(self, headers: Mapping[str, str]) -> None:
        """How the bytes are to be read."""
        self._coding, self._kind = headers.get("content-encoding", ""), headers.get("content-type", "")

    def __call__(self, parts: list[Any]) -> Reply:
        """The reply. parts: the bytes. Raises BadCall."""
        body = decoded(b"".join(parts), self._coding, MOST_BYTES)
        record = self._dialect.answered(body, self._kind)
        if record.get("error"):
            raise BadCall("the answer ended with an error.")
        if self.whole and is_cut(self._asked, record, body):
            self.whole = False  # what came of it is read next
            raise BadCall(f"{CUT}.")
        return reply_of(record)


def specialists_reply(outcome: Outcome, asked: Asked) -> Reply:
    """A specialist's answer as the model's that the client asked."""
    assert outcome.message is not None
    reason = "tool_calls" if outcome.message.get("tool_calls") else "stop"
    return Reply(outcome.message, reason, asked.model, outcome.input_tokens, outcome.output_tokens)


def _check_scope(admitted: Admitted, exchange: Exchange | None) -> None:
    """Raises Refusal if the key that was shown is not for this node."""
    if admitted.key is None or not admitted.key.nodes:
        return
    call = exchange.watch.call if exchange is not None else None
    if call is None or not admitted.key.allows(call.record.get("node") or ()):
        raise Refusal(403, "this key is not for that node")


async def _while_there(incoming: Incoming, work: Awaitable[T]) -> T:
    """What comes of the work. It is cancelled when the client goes. Raises ClientGone."""
    mine = asyncio.current_task()
    assert mine is not None
    gone = asyncio.ensure_future(incoming.gone())
    gone.add_done_callback(lambda done: None if done.cancelled() else mine.cancel())
    try:
        return await work
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled() and not mine.uncancel():
            raise ClientGone from None
        raise
    finally:
        gone.cancel()


async def send_whole(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    """An answer of the gateway's own."""
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _send_parts(send: Send, headers: list[tuple[bytes, bytes]], parts: list[bytes]) -> None:
    """A specialist's answer, whole or as the parts of a stream."""
    if len(parts) == 1:
        await send_whole(send, 200, headers, parts[0])
        return
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
