"""Protégé for LangGraph.

    route(graph)            records and switches the models of a graph that is already built
    reached(graph)          which nodes that reached, and which it could not
    ProtegeMiddleware()     the same for an agent made by `create_agent`

LangChain's model and callback, `protege_langchain`, work in graphs too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .reach import NodeReach, Reach
from .routing import NodeRule, reached, route

if TYPE_CHECKING:
    from .middleware import ProtegeMiddleware

__all__ = ["NodeReach", "NodeRule", "ProtegeMiddleware", "Reach", "reached", "route"]


def __getattr__(name: str) -> Any:
    """The middleware alone needs the `langchain` package, which its users have."""
    if name == "ProtegeMiddleware":
        from .middleware import ProtegeMiddleware

        return ProtegeMiddleware
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
