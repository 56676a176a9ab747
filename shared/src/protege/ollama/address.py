"""Where an Ollama is: as OLLAMA_HOST names it, and whether that is this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import os
from urllib.parse import urlsplit

from ..errors import BadInput

PORT = 11434


def address(setting: str | None = None) -> str:
    """The server's URL from a setting, else from OLLAMA_HOST, read as Ollama's own tools read it; else loopback.

    `host`, `host:port`, `:port`, `http://host:port`; an address to listen on everywhere is asked on loopback.
    Raises BadInput.
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
    with contextlib.suppress(ValueError):  # Ollama takes its own port where the one given is none
        port = parts.port or port
    host = f"[{host}]" if ":" in host else host
    return f"{scheme or 'http'}://{host}:{port}{parts.path.rstrip('/')}"


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
