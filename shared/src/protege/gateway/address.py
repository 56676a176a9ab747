"""Where a request goes by its path: which front, which agent, and the path at the upstream.

/a/NAME/…       the agent's name
/k/KEY/…        a key of ours
the rest        a path of one of the APIs, as clients send it, doubled slashes and versions included
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

from ..dialects import Dialect, dialect_at

FRONTS = ("openai", "azure", "anthropic", "gemini", "ollama")
"""The APIs that can be stood in front of."""
MOST_NAME = 100
"""The most characters of an agent's name."""

_PREFIX = re.compile(r"/+([ak])/([^/]{1,300})(?=/)")
_OLLAMA = re.compile(r"/(?:$|api/(?!v1/))")
"""Its command line asks for / first."""
_ASTRAY = re.compile(r"/\.{1,2}(?:[/;]|$)|[\x00-\x1f\x7f]")
_SHORT = re.compile(r"/(?:messages|chat/completions|completions|responses|embeddings|models)(?=/|$)")
_GEMINI = re.compile(
    r"/v1(?:alpha|beta)\w{0,8}/"
    r"|/v1/(?:models|tunedModels|publishers/[^/]{1,100}/models)/[^/:]{1,200}:(?:\w{1,20}Content|countTokens|predict)"
)
"""A colon stands before the method; the names of OpenAI's own tuned models have several."""


class Address(NamedTuple):
    """Where a request goes."""

    front: str | None
    """One of FRONTS; None if no API has such a path."""
    path: str
    """The path at the upstream."""
    agent: str | None = None
    """The agent's name, if the path names it."""
    key: str | None = None
    """The key of ours, if the path holds it."""
    dialect: Dialect | None = None
    """How the request is read; None if it only passes through."""


def address_of(method: str, path: str, headers: Mapping[str, str]) -> Address:
    """The address of a request. path: as sent, percent-encoded. headers: by their names in lower case."""
    named: dict[str, str] = {}
    while match := _PREFIX.match(path):
        named.setdefault(match[1], unquote(match[2]))
        path = path[match.end() :]
    path = _mended(path)
    agent = "".join(c for c in named.get("a", "") if c.isprintable())[:MOST_NAME]
    if _leads_astray(path):
        return Address(None, path)
    operation = dialect_at(method, unquote(path))
    front = operation.front if operation.dialect is not None else _front(path, headers)
    return Address(front, path, agent or None, named.get("k"), operation.dialect)


def _leads_astray(path: str) -> bool:
    """Whether a path would lead out of the upstream's own, also at one that decodes it twice or knows backslashes; or
    holds what no path does."""
    once = unquote(path)
    return any(_ASTRAY.search(each.replace("\\", "/")) for each in (once, unquote(once)))


def _mended(path: str) -> str:
    """A path without what clients double or leave out when the base URL has another end than they expect."""
    path = f"/{path.lstrip('/')}"
    while path.startswith("/v1/v1/"):
        path = path[3:]
    return f"/v1{path}" if _SHORT.match(path) else path


def _front(path: str, headers: Mapping[str, str]) -> str | None:
    """The API of a path that only passes through, which may be several APIs'."""
    if path.startswith("/openai/"):
        return "azure"
    if _GEMINI.match(path) or "x-goog-api-key" in headers:
        return "gemini"
    if path.startswith("/v1/messages") or "anthropic-version" in headers or "x-api-key" in headers:
        return "anthropic" if path.startswith(("/v1/", "/api/")) else None
    if _OLLAMA.match(path):
        return "ollama"
    if not path.startswith(("/v1/", "/api/v1/")):
        return None
    return "azure" if "api-key" in headers else "openai"


def joined(base: str, path: str) -> str:
    """An upstream's address with a path. A version that both have stands once."""
    version = f"/{path.split('/', 2)[1]}"
    if base.endswith(version) and (version.startswith("/v") or version == "/openai"):
        base = base[: -len(version)]
    return f"{base}{path}"
