"""`wrap`: the providers' clients send through httpx, so what they send is seen, and may be answered, there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from protege.adapter import (
    Answerer,
    BadCall,
    Records,
    dialect_at,
    home_path,
    loads,
    log_once,
    recorder_of,
    router_of,
)

from .exchange import Exchange
from .place import place_of, taken
from .retries import RETRIES, telling_retries
from .streams import streams_of

T = TypeVar("T")

LIBRARIES = ("httpx", "httpx2")
"""What clients send through; the second is the first's fork."""
_MARK = "_protege"
_NAMES = {"google": "google-genai"}
_TRIES = "x-stainless-retry-count"
_AGAIN = frozenset({408, 409, 429})
"""The statuses below 500 after which the clients ask again."""


def wrap(
    client: T,
    home: str | os.PathLike[str] | None = None,
    *,
    agent: str | None = None,
    recorder: Records | None = None,
    router: Answerer | None = None,
) -> T:
    """Record the calls of a client, and let specialists answer those that they may. Returns the client, changed.

        client = wrap(OpenAI())

    client: one of openai, anthropic or google-genai, synchronous or not, Azure's included; one of ollama; or an httpx
    client itself. Clients that share an httpx client, such as those that `with_options` makes, are wrapped with it; to
    wrap it again changes nothing. home: the workspace's folder; by default PROTEGE_HOME, else `.protege`. agent: the
    name of the agent that asks; see `step` too. recorder, router: in place of the home's. Raises TypeError if nothing
    in the client sends through httpx.
    """
    found = list(_senders(client))
    if not found:
        raise TypeError(
            f"wrap takes a client of openai, anthropic, google-genai or ollama, not a {type(client).__name__}."
        )
    telling_retries(client)
    name = type(client).__module__.partition(".")[0]
    for http in found:
        if not hasattr(http, _MARK):
            library = _library_of(http)
            wrapped = Wrapped(client, library, _NAMES.get(name, name), home_path(home), agent, recorder, router)
            kind = AsyncSending if isinstance(http, library.AsyncClient) else Sending
            setattr(http, _MARK, True)
            http.send = kind(wrapped, http.send)
    return client


def _senders(client: Any) -> Iterator[Any]:
    """The httpx clients that a client sends through."""
    api = getattr(client, "_api_client", None)  # google-genai's, for synchronous and for asynchronous calls
    if api is not None and getattr(api, "_async_httpx_client", None) is not None:
        # So that asynchronous calls go through httpx where aiohttp is installed, too.
        api._http_options.httpx_async_client = api._async_httpx_client
    names = ("_httpx_client", "_async_httpx_client")
    candidates = (client, getattr(client, "_client", None), *(getattr(api, name, None) for name in names))
    yield from (each for each in candidates if _library_of(each) is not None)


def _library_of(http: Any) -> Any:
    """The library that an httpx client is of; None if it is none."""
    for kind in type(http).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in LIBRARIES and kind.__name__ in ("Client", "AsyncClient"):
            return sys.modules[name]
    return None


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A client that was wrapped."""

    client: Any
    library: Any
    """httpx, or its fork."""
    framework: str
    """The name of the client's distribution."""
    home: Path
    agent: str | None
    recorder: Records | None
    answerer: Answerer | None

    def exchange(self, request: Any) -> Exchange | None:
        """The call in a request; None if it holds none, or cannot be read."""
        try:
            told = taken(request.headers)
            dialect = dialect_at(request.method, request.url.path).dialect
            if dialect is None or not isinstance(request.stream, self.library.ByteStream):
                return None
            body = request.read()
            asked = dialect.asked(request.url.path, dict(request.url.params), loads(body))
            place = place_of(self.framework, self.agent, told, asked.record, body)
            return Exchange(dialect, asked, place, self._recorder, self._decoded)
        except (BadCall, ValueError):  # the provider says what is wrong with it
            return None
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Reading a request", error)
            return None

    def router(self) -> Answerer:
        """Who may answer in the teacher's place."""
        return router_of(self.home) if self.answerer is None else self.answerer

    def response(self, request: Any, exchange: Exchange, parts: list[bytes]) -> Any:
        """A specialist's answer as the provider's."""
        assert exchange.watch.call is not None
        stream = streams_of(self.library).parts(parts)
        response = self.library.Response(200, headers=exchange.headers, stream=stream, request=request)
        response.elapsed = timedelta(seconds=exchange.watch.call.age_s)
        return response

    def asks_again(self, request: Any, response: Any = None) -> bool:
        """Whether the client will send this request again. response: None if none came."""
        tries = request.headers.get(_TRIES, "")
        most = request.extensions.get(RETRIES, getattr(self.client, "max_retries", 0))
        if not tries.isdecimal() or int(tries) >= most:
            return False
        if response is None:
            return True
        said = response.headers.get("x-should-retry")
        return said == "true" or (said != "false" and (response.status_code in _AGAIN or response.status_code >= 500))

    def _recorder(self) -> Records:
        return recorder_of(self.home) if self.recorder is None else self.recorder

    def _decoded(self, body: bytes, headers: Any) -> bytes:
        """A body without its content coding. Raises BadCall."""
        coding = headers.get("content-encoding")
        if not coding:
            return body
        try:
            return self.library.Response(200, headers={"content-encoding": coding}, content=body).content
        except self.library.DecodingError:
            raise BadCall("an answer is not compressed as it says.") from None


class Sending:
    """The `send` of an httpx client, with ours around it."""

    def __init__(self, wrapped: Wrapped, send: Any) -> None:
        self._wrapped = wrapped
        self._send = send

    def __call__(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        wrapped = self._wrapped
        if (exchange := wrapped.exchange(request)) is None:
            return self._send(request, stream=stream, **options)
        with exchange.watch:
            if (parts := exchange.routed(wrapped.router)) is not None:
                routed = wrapped.response(request, exchange, parts)
                if not stream:
                    routed.read()
                return routed
            try:
                response = self._send(request, stream=stream, **options)
            except wrapped.library.TransportError:
                if wrapped.asks_again(request):
                    exchange.drop()
                raise
            if _began(wrapped, exchange, request, response, stream):
                response.stream = streams_of(wrapped.library).tee(response.stream, exchange)
            return response


class AsyncSending:
    """The `send` of an asynchronous httpx client, with ours around it."""

    def __init__(self, wrapped: Wrapped, send: Any) -> None:
        self._wrapped = wrapped
        self._send = send

    async def __call__(self, request: Any, *, stream: bool = False, **options: Any) -> Any:
        wrapped = self._wrapped
        if (exchange := wrapped.exchange(request)) is None:
            return await self._send(request, stream=stream, **options)
        with exchange.watch:
            if (parts := await exchange.arouted(wrapped.router)) is not None:
                routed = wrapped.response(request, exchange, parts)
                if not stream:
                    await routed.aread()
                return routed
            try:
                response = await self._send(request, stream=stream, **options)
            except wrapped.library.TransportError:
                if wrapped.asks_again(request):
                    exchange.drop()
                raise
            if _began(wrapped, exchange, request, response, stream):
                response.stream = streams_of(wrapped.library).atee(response.stream, exchange)
            return response


def _began(wrapped: Wrapped, exchange: Exchange, request: Any, response: Any, stream: bool) -> bool:
    """Take note of a teacher's answer. Returns whether its body is still to come, and is to be recorded."""
    exchange.begins(response.headers)
    if response.status_code >= 400:
        if wrapped.asks_again(request, response):
            exchange.drop()
        exchange.refused(response.status_code, None if stream else response.content)
        return False
    if not stream or response.is_closed:  # a transport for tests may have read it
        exchange.answered(response.content)
        return False
    return True
