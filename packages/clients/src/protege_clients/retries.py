"""How often a client tries again, told to what it sends through.

Clients that `with_options` makes share an httpx client and may each have another number of retries.
"""

from __future__ import annotations

from typing import Any

RETRIES = "protege_retries"
"""The extension of a request that tells how often its client tries again. No server sees it."""
_COPYING = ("copy", "with_options")


def telling_retries(client: Any) -> None:
    """Let a client of openai or anthropic, and the copies that it makes of itself, tell their retries in each request.
    Other clients stay as they are."""
    build = getattr(client, "_build_request", None)
    if build is None or not hasattr(client, "max_retries") or "_build_request" in vars(client):
        return

    def telling(options: Any, **more: Any) -> Any:
        request = build(options, **more)
        request.extensions[RETRIES] = options.get_max_retries(client.max_retries)
        return request

    client._build_request = telling
    for name in _COPYING:
        setattr(client, name, _copying(getattr(client, name)))


def _copying(copy: Any) -> Any:
    def copied(*values: Any, **options: Any) -> Any:
        made = copy(*values, **options)
        telling_retries(made)
        return made

    return copied
