"""Protégé for AutoGen.

    ProtegeChatCompletionClient(client)   a client around the teacher's: records its calls, lets specialists answer

It records calls in OpenAI chat form. It never raises into the agent, never blocks it, and never changes what the
teacher is asked. `protege_autogen.testing` has a teacher for tests.
"""

from __future__ import annotations

from .client import ProtegeChatCompletionClient

__all__ = ["ProtegeChatCompletionClient"]
