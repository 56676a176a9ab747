"""Protégé for LangChain and LangGraph.

    ChatProtege(teacher)        a chat model around the teacher's: records its calls, lets specialists answer
    ProtegeCallbackHandler()    a callback that records only
    attach(), detach()          the same callback for the whole process

They record calls in OpenAI chat form. They never raise into the agent, never block it, and never change what the
teacher is asked. `protege_langchain.testing` has a teacher for tests.
"""

from __future__ import annotations

from .chat import ChatProtege
from .everywhere import attach, detach
from .handler import ProtegeCallbackHandler

__all__ = ["ChatProtege", "ProtegeCallbackHandler", "attach", "detach"]
