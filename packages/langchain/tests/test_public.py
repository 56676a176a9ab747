"""What protege-langchain exports."""

from __future__ import annotations

import protege_langchain


def test_the_names_that_agents_may_rely_on() -> None:
    assert sorted(protege_langchain.__all__) == ["ChatProtege", "ProtegeCallbackHandler", "attach", "detach"]
    assert all(hasattr(protege_langchain, name) for name in protege_langchain.__all__)
