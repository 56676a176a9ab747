"""What protege-clients exports, and the name of it in the core."""

from __future__ import annotations

import sys
from typing import Any

import protege
import protege_clients
import pytest
from protege.errors import ProtegeError


def test_the_names_that_agents_may_rely_on() -> None:
    assert sorted(protege_clients.__all__) == ["step", "wrap"]
    assert all(hasattr(protege_clients, name) for name in protege_clients.__all__)


def test_the_core_has_it_as_wrap(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def wrap(client: Any, home: Any, *, agent: str | None) -> Any:
        seen.append((client, home, agent))
        return client

    monkeypatch.setattr(protege_clients, "wrap", wrap)
    assert protege.wrap("client", "home", agent="a") == "client"
    assert seen == [("client", "home", "a")]


def test_the_core_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "protege_clients", None)
    with pytest.raises(ProtegeError, match="pip install protege-clients"):
        protege.wrap(object())
