"""Protégé for LangGraph.

    route(graph)            records and switches the models of a graph that is already built
    reached(graph)          which nodes `route` reached, and which it could not
    ProtegeMiddleware()     the same for an agent made by `create_agent`; needs the package `langchain`

LangChain's model and callback, from `protege_langchain`, work in graphs too.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
