"""Who may ask, and with whose credentials the upstream is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from ..common.loopback import is_loopback
from ..errors import WorkspaceError
from .address import Address
from .keys import MARK, Key, Keys
from .refusals import Refusal
from .request import Incoming
from .settings import Settings

_CREDENTIAL: Mapping[str, tuple[bytes, bytes]] = {
    "openai": (b"authorization", b"Bearer "),
    "azure": (b"api-key", b""),
    "anthropic": (b"x-api-key", b""),
    "gemini": (b"x-goog-api-key", b""),
    "ollama": (b"authorization", b"Bearer "),
}
"""The header in which each API is given a key, and what stands before it there."""
_CREDENTIAL_HEADERS = (b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key")
_BEARER = re.compile(r"bearer\s+", re.IGNORECASE)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ORIGIN, _OWN_KEY = "origin", "x-protege-key"
PICKED = "x-protege-upstream"
"""The header by which a client picks among a front's upstreams."""


class Admitted(NamedTuple):
    """Who asks."""

    key: Key | None
    """The key of ours that was shown; None where none is needed."""
    instead: Mapping[bytes, bytes]
    """Headers for the upstream in place of the client's, by names in lower case; an empty one is dropped."""
    query_string: str
    """The query for the upstream."""


class Guard:
    """Lets in who may ask."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = Keys(settings.home)

    def admit(self, incoming: Incoming, address: Address) -> Admitted:
        """Who asks. Raises Refusal."""
        if incoming.method not in _METHODS:  # TRACE would tell the client the upstream's key
            raise Refusal(405, f"only {', '.join(_METHODS)} are passed on")
        if "upgrade" in incoming.headers:
            raise Refusal(501, "no WebSockets, nor other protocols; ask over HTTP/1.1")
        self.check_browser(incoming.headers)
        if incoming.method == "OPTIONS" and _ORIGIN in incoming.headers:  # a browser asks first, without any key
            return Admitted(None, {}, incoming.query_string)
        shown = incoming.headers.get(_OWN_KEY) or address.key
        ours = [bare for name, value in incoming.raw_headers if (bare := _ours(name, value)) is not None]
        in_query = [part for part in incoming.query_string.split("&") if part.startswith(f"key={MARK}")]
        if shown is None and ours:
            shown = ours[0]
        elif shown is None and in_query:
            shown = in_query[0].removeprefix("key=")
        try:
            key = self._keys.of(shown) if shown and self._keys.needed else None
            if self._keys.needed and key is None:
                raise Refusal(401, "no valid key of this gateway: give one as x-protege-key, in /k/KEY/, or as api key")
        except WorkspaceError:
            raise Refusal(500, "the gateway's keys cannot be read: see `protege keys`") from None
        if not (ours or in_query):
            return Admitted(key, {}, incoming.query_string)
        query = "&".join(part for part in incoming.query_string.split("&") if part not in in_query)
        return Admitted(key, self._credential(incoming, address), query)

    def for_pages(self, headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """What lets an allowed web page read an answer of the gateway's own. The upstream's have the upstream's."""
        origin = headers.get(_ORIGIN)
        allowed = origin is not None and origin in self._settings.origins
        return [(b"access-control-allow-origin", origin.encode()), (b"vary", b"Origin")] if allowed and origin else []

    def check_browser(self, headers: Mapping[str, str]) -> None:
        """A web page must not use its visitor's gateway: not from its own origin, nor by a name that it points here."""
        origin = headers.get(_ORIGIN)
        if origin is not None and origin not in self._settings.origins:
            raise Refusal(403, "web pages may not ask here: --origin names those that may")
        if is_loopback(self._settings.host) and not is_loopback(_host_in(headers.get("host", ""))):
            raise Refusal(403, "the Host header names no address of this machine")

    def _credential(self, incoming: Incoming, address: Address) -> Mapping[bytes, bytes]:
        """The upstream's key, for a client whose key is ours and must go no further."""
        front = address.front or ""
        picked = incoming.headers.get(PICKED, "")
        variable = dict(self._settings.credentials).get(f"{front}/{picked}".rstrip("/"))
        secret = os.environ.get(variable, "") if variable else ""
        if not secret:
            raise Refusal(401, "this gateway has no key for that API: start it with --credentials FRONT=VARIABLE")
        name, before = _CREDENTIAL[front]
        return {**dict.fromkeys(_CREDENTIAL_HEADERS, b""), name: before + secret.encode()}


def _ours(name: bytes, value: bytes) -> str | None:
    """The key of ours in a header that holds a key; None if it is another's."""
    if name.lower() not in _CREDENTIAL_HEADERS:
        return None
    told = value.decode("latin-1").strip()
    scheme = _BEARER.match(told)  # at the beginning alone: to look all through a header takes a hostile one's square
    bare = told[scheme.end() :] if scheme else told
    return bare if bare.startswith(MARK) else None


def _host_in(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
