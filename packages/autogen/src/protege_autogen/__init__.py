"""Protégé for AutoGen.

    ProtegeChatCompletionClient(client)   a client around the teacher's: records its calls, lets specialists answer

It reads a call as AutoGen gives it and passes it on as it was given. It never raises into the agent, never blocks it,
and never changes what the teacher is asked. `protege_autogen.testing` has a teacher for tests.
"""

from __future__ import annotations

from .client import ProtegeChatCompletionClient

__all__ = ["ProtegeChatCompletionClient"]
