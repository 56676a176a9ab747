"""What protege-autogen exports."""

from __future__ import annotations

import protege_autogen


def test_the_names_that_agents_may_rely_on() -> None:
    assert sorted(protege_autogen.__all__) == ["ProtegeChatCompletionClient"]
    assert all(hasattr(protege_autogen, name) for name in protege_autogen.__all__)
