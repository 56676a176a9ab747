"""Protégé for LlamaIndex.

    ProtegeLLM(llm)       an LLM around your own: records its calls, lets specialists answer
    attach(), detach()    record every LLM of this process, and change nothing

They record calls in OpenAI chat form. They never raise into the agent, never block it, and never change what the LLM is
asked. `protege_llamaindex.testing` has an LLM for tests.
"""

from __future__ import annotations

from .handler import attach, detach
from .llm import ProtegeLLM

__all__ = ["ProtegeLLM", "attach", "detach"]
