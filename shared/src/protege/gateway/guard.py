"""Who may ask, and with whose credentials the upstream is asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

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
_CREDENTIAL_HEADERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
_ORIGIN, _OWN_KEY = "origin", "x-protege-key"


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
        self._check_browser(incoming.headers)
        shown, as_credential = _shown(incoming, address)
        try:
            key = self._keys.of(shown) if shown and self._keys.needed else None
            if self._keys.needed and key is None:
                raise Refusal(401, "no valid key of this gateway: give one as x-protege-key, in /k/KEY/, or as api key")
        except WorkspaceError:
            raise Refusal(500, "the gateway's keys cannot be read: see `protege keys`") from None
        if key is None or not as_credential:
            return Admitted(key, {}, incoming.query_string)
        return Admitted(key, self._credential(address), _without_key(incoming.query_string))

    def _check_browser(self, headers: Mapping[str, str]) -> None:
        """A web page must not use its visitor's gateway: not from its own origin, nor by a name that it points here."""
        origin = headers.get(_ORIGIN)
        if origin is not None and origin not in self._settings.origins:
            raise Refusal(403, "web pages may not ask here: --origin names those that may")
        if is_loopback(self._settings.host) and not is_loopback(_host_in(headers.get("host", ""))):
            raise Refusal(403, "the Host header names no address of this machine")

    def _credential(self, address: Address) -> Mapping[bytes, bytes]:
        """The upstream's key, for a client whose key is ours and must go no further."""
        front = address.front or ""
        variable = dict(self._settings.credentials).get(front)
        secret = os.environ.get(variable, "") if variable else ""
        if not secret:
            raise Refusal(401, "this gateway has no key for that API: start it with --credentials FRONT=VARIABLE")
        name, before = _CREDENTIAL[front]
        return {**{each.encode(): b"" for each in _CREDENTIAL_HEADERS}, name: before + secret.encode()}


def _shown(incoming: Incoming, address: Address) -> tuple[str | None, bool]:
    """The key of ours that a client shows, and whether it shows it in place of the upstream's."""
    if key := incoming.headers.get(_OWN_KEY) or address.key:
        return key, False
    written = [incoming.headers.get(name, "").removeprefix("Bearer ") for name in _CREDENTIAL_HEADERS]
    if "key=" in incoming.query_string:
        written.append(incoming.query.get("key", ""))
    return next(((each, True) for each in written if each.startswith(MARK)), (None, False))


def _without_key(query_string: str) -> str:
    pairs = parse_qsl(query_string, keep_blank_values=True)
    kept = [(name, value) for name, value in pairs if not (name == "key" and value.startswith(MARK))]
    return query_string if len(kept) == len(pairs) else urlencode(kept)


def _host_in(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""
