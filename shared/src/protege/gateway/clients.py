"""How clients are pointed at a gateway, without a change to their code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import orjson

from .settings import FILE


class Pointer(NamedTuple):
    """How one client is pointed at a gateway."""

    client: str
    """The client's name."""
    how: str
    """What to set. <base> stands for the gateway's address with an agent's name."""


POINTERS = (
    Pointer("OpenAI SDKs (Python, TypeScript), OpenAI Agents SDK, LiteLLM, DSPy", "OPENAI_BASE_URL=<base>/v1"),
    Pointer("Azure OpenAI SDKs", "AZURE_OPENAI_ENDPOINT=<base>"),
    Pointer("Anthropic SDKs, Claude Code", "ANTHROPIC_BASE_URL=<base>"),
    Pointer("Google GenAI SDKs", "GOOGLE_GEMINI_BASE_URL=<base>"),
    Pointer("Vercel AI SDK", "createOpenAI({baseURL: '<base>/v1'}), createAnthropic({baseURL: '<base>/v1'})"),
    Pointer("Ollama's clients", "OLLAMA_HOST=<base>"),
)
"""The clients that were tried; `protege doctor` tells them while a gateway runs."""


def running(home: Path) -> str | None:
    """The address of the gateway that runs on a home; None if none does."""
    try:
        told = orjson.loads((home / FILE).read_bytes())
        if os.name == "posix":  # elsewhere it would end the process
            os.kill(int(told["pid"]), 0)
        return str(told["address"])
    except PermissionError:  # another user's process
        return None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def pointers(address: str, agent: str = "NAME") -> tuple[Pointer, ...]:
    """How each client is pointed at the gateway at this address."""
    base = f"{address}/a/{agent}"
    return tuple(Pointer(client, how.replace("<base>", base)) for client, how in POINTERS)
