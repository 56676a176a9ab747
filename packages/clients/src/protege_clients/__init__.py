"""Protégé for the providers' own clients: openai, anthropic, google-genai, ollama.

    wrap(client)     its calls are recorded, and specialists answer those that they may
    step("writer")   a context: which step of the agent the calls within it are made by

It records calls in OpenAI chat form. It never raises into the agent, never blocks it, and never changes what the
teacher is asked. `protege_clients.testing` has a provider for tests.
"""

from __future__ import annotations

from .place import step
from .wrapping import wrap

__all__ = ["step", "wrap"]
