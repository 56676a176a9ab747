"""What protege-langgraph exports."""

from __future__ import annotations

import protege_langgraph


def test_the_names_that_agents_may_rely_on() -> None:
    assert sorted(vars(protege_langgraph)["__all__"]) == [
        "NodeReach",
        "NodeRule",
        "ProtegeMiddleware",
        "Reach",
        "reached",
        "route",
    ]
    assert all(hasattr(protege_langgraph, name) for name in vars(protege_langgraph)["__all__"])
