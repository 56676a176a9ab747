"""Connections to the teachers. Nothing is added to a request, and nothing of an answer is decoded."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from .settings import Settings, is_near

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Those that are for the next machine alone (RFC 9110, 7.6.1)."""
_OURS = b"x-protege-"
_NOT_ASKED = frozenset({b"host", b"content-length", b"expect"})
"""The client that asks the upstream writes these itself."""
KEPT_S = 5.0
"""A connection that is not used is kept so long, as the clients themselves do: not longer than upstreams do."""
MOST_HEADER, MOST_HEADERS = 1 << 16, 1000
"""The longest header, and the most headers, of an answer."""
_ADDED = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Upstreams:
    """One pool of connections. Made, used and closed in one event loop."""

    def __init__(self, settings: Settings) -> None:
        resolver = ThreadedResolver() if settings.private else PublicOnly(settings)
        connector = aiohttp.TCPConnector(limit=0, resolver=resolver, ttl_dns_cache=30, keepalive_timeout=KEPT_S)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s, sock_read=settings.wait_s),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_ADDED,
            read_bufsize=1 << 18,
            max_line_size=MOST_HEADER,
            max_field_size=MOST_HEADER,
            max_headers=MOST_HEADERS,
        )
        # There is no public way; the tries are for the client to make.
        self._session._retry_connection = False  # pyright: ignore[reportPrivateUsage]

    def ask(
        self, method: str, url: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The answer to a request. Raises aiohttp.ClientError, or TimeoutError."""
        return self._session.request(
            method,
            URL(url, encoded=True),
            headers=[(name.decode("latin-1"), _text(value)) for name, value in headers],
            data=body or None,
            allow_redirects=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


def _text(value: bytes) -> str:
    """A header's value as aiohttp takes it, which writes UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class PublicOnly(AbstractResolver):
    """Resolves names to public addresses alone, unless the settings name a host of this network.

    A name that anyone may point to this network (DNS rebinding) must not open it to the gateway's clients.
    """

    def __init__(self, settings: Settings) -> None:
        self._inner = ThreadedResolver()
        hosts = (URL(each.url).host or "" for each in settings.upstreams)
        self._near = frozenset(host for host in hosts if is_near(host))

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if host in self._near:
            return found
        if public := [each for each in found if ip_address(each["host"].partition("%")[0]).is_global]:
            return public
        raise OSError(None, f"{host} leads to a private address, which --private allows")

    async def close(self) -> None:
        await self._inner.close()


def asked_headers(headers: Iterable[tuple[bytes, bytes]], instead: Mapping[bytes, bytes]) -> Headers:
    """A client's headers for the upstream. instead: values for some names in lower case; an empty one drops it."""
    dropped = _HOP_BY_HOP | _NOT_ASKED | instead.keys() | _connection(headers)
    passed = [(n, v) for n, v in headers if n.lower() not in dropped and not n.lower().startswith(_OURS)]
    return passed + [(name, value) for name, value in instead.items() if value]


def answered_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    """An upstream's headers for the client."""
    dropped = _HOP_BY_HOP | _connection(headers)
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _connection(headers: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """What a Connection header names is for the next machine alone too."""
    return {
        each.strip().lower() for name, value in headers if name.lower() == b"connection" for each in value.split(b",")
    }


def failed(error: BaseException) -> tuple[int, str]:
    """The status for a request that an upstream did not answer, and why."""
    if isinstance(error, TimeoutError):
        return 504, "the upstream did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, OSError):
        reason: Any = error.os_error.strerror or "no connection"
        return 502, f"the upstream cannot be reached ({str(reason)[:200]})"
    return 502, f"the upstream broke off ({type(error).__name__})"
