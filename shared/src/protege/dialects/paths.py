"""The paths of providers' APIs, as clients really send them.

A base URL may end in a slash or in the API's own version, or lack it, so paths come as `//openai/…`, `/messages` and
`/v1/v1/messages`; proxies and clouds put their own parts in front. The end of a path tells what it is.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]{1,200})/")
_GEMINI = re.compile(r"/(?:models|tunedModels|endpoints)/([^/:]{1,200}):(generateContent|streamGenerateContent)$")
_GEMINIS_OPENAI = re.compile(
    r"/v1(?:alpha|beta)\w{0,8}/openai/|/v1\w{0,8}/projects/[^/]{1,200}/locations/[^/]{1,200}/endpoints/[^/:]{1,200}/"
)
"""Gemini's API, and Vertex AI, take requests in OpenAI's form, too: https://ai.google.dev/gemini-api/docs/openai"""
_SLASHES = re.compile(r"/{2,}")
_MOST = 4096
"""A longer path is none of an API."""
_BY_END: tuple[tuple[str, str, str], ...] = (
    ("/chat/completions", "openai", "chat"),
    ("/responses/compact", "openai", "compact"),
    ("/responses/input_tokens", "openai", "count_tokens"),
    ("/responses", "openai", "responses"),
    ("/completions", "openai", "completions"),
    ("/api/embeddings", "ollama", "embeddings"),
    ("/embeddings", "openai", "embeddings"),
    ("/moderations", "openai", "moderations"),
    ("/models", "openai", "models"),
    ("/realtime", "openai", "realtime"),
    ("/messages/count_tokens", "anthropic", "count_tokens"),
    ("/messages/batches", "anthropic", "batches"),
    ("/messages", "anthropic", "messages"),
    (":generateContent", "gemini", "generateContent"),
    (":streamGenerateContent", "gemini", "streamGenerateContent"),
    (":countTokens", "gemini", "count_tokens"),
    (":embedContent", "gemini", "embeddings"),
    (":batchEmbedContents", "gemini", "embeddings"),
    ("/api/chat", "ollama", "chat"),
    ("/api/generate", "ollama", "generate"),
    ("/api/embed", "ollama", "embeddings"),
    ("/api/tags", "ollama", "models"),
    ("/api/show", "ollama", "models"),
)
_BY_BEGINNING = (("/v1beta/", "gemini"), ("/api/v1/", "openai"), ("/api/", "ollama"))


class Place(NamedTuple):
    """What a path is of a provider's API."""

    front: str
    """Whose API it is: "openai", "azure", "anthropic", "gemini" or "ollama". Where the path does not tell: "openai"."""
    operation: str
    """What it does: "chat", "responses", "completions", "messages", "generateContent", "streamGenerateContent",
    "generate", "embeddings", "models", "count_tokens", "batches", "moderations", "compact", "realtime"; "other"."""


def place_of(path: str) -> Place:
    """What a path is. path: decoded, without its query."""
    if len(path) > _MOST:
        return Place("openai", "other")
    path = _SLASHES.sub("/", "/" + path.rstrip("/"))
    front = next((front for beginning, front in _BY_BEGINNING if path.startswith(beginning)), "openai")
    operation = "other"
    for end, whose, what in _BY_END:
        if path.endswith(end) and not (whose == "anthropic" and "/threads/" in path):  # of OpenAI's Assistants
            front, operation = front if what == "models" and whose == "openai" else whose, what
            break
    if front == "openai" and path.startswith("/openai/"):
        front = "azure"
    if _GEMINIS_OPENAI.match(path):
        front = "gemini"
    return Place(front, operation)


def deployment_in(path: str) -> str | None:
    """The deployment that a path of Azure's names; None in any other path."""
    found = _DEPLOYMENT.search(path[:_MOST])
    return found[1] if found else None


def gemini_model_in(path: str) -> tuple[str, bool]:
    """The model that a path of Gemini's names, and whether it asks for a stream. Raises ValueError for another path."""
    if (found := _GEMINI.search(path[:_MOST])) is None:
        raise ValueError("no path of Gemini's")
    return found[1], found[2] == "streamGenerateContent"
