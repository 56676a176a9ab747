"""What protege-llamaindex exports."""

from __future__ import annotations

import protege_llamaindex


def test_the_names_that_agents_may_rely_on() -> None:
    assert sorted(protege_llamaindex.__all__) == ["ProtegeLLM", "attach", "detach"]
    assert all(hasattr(protege_llamaindex, name) for name in protege_llamaindex.__all__)
