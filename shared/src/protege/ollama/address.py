"""The address of an Ollama, as OLLAMA_HOST gives it."""

from __future__ import annotations

import contextlib
import os
from urllib.parse import urlsplit

from ..errors import BadInput

PORT = 11434
CONNECT_S = 2.0
"""How long to wait for a connection. Loopback answers within a millisecond; a machine that swaps, within a second."""


def address(setting: str | None = None) -> str:
    """The server's URL: from a setting, else from OLLAMA_HOST as Ollama's own tools read it, else loopback.

    setting: `host`, `host:port`, `:port` or `http://host:port`. If it is an address to listen on everywhere, loopback
    is used. Raises BadInput if it is no address.
    """
    given = (setting or os.environ.get("OLLAMA_HOST") or "").strip().strip("\"'")
    scheme, _, rest = given.rpartition("://")
    scheme = scheme.lower()
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"
    try:
        if scheme not in ("", "http", "https"):
            raise ValueError(scheme)
        parts = urlsplit(f"{scheme or 'http'}://{rest}")
        host = parts.hostname or "127.0.0.1"
    except ValueError:  # not quoted: it may hold a password
        raise BadInput("OLLAMA_HOST is no address.", "Write host:port.") from None
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    port = {"http": 80, "https": 443}.get(scheme, PORT)
    with contextlib.suppress(ValueError):  # Ollama uses its own port if the given one is invalid
        port = parts.port or port
    host = f"[{host}]" if ":" in host else host
    return f"{scheme or 'http'}://{host}:{port}{parts.path.rstrip('/')}"
