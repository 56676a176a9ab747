"""The example: one question through the providers' clients, and through frameworks that stand on them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import protege
import pytest
from agents import LiveHome
from protege_clients import wrapping

FILE = Path(__file__).parents[3] / "examples/clients/clients.py"
spec = importlib.util.spec_from_file_location("clients_example", FILE)
assert spec is not None and spec.loader is not None
clients: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(clients)


@pytest.mark.parametrize("name", clients.ASK)
def test_each_is_recorded_by_one_line(name: str, tmp_path: Path) -> None:
    assert clients.ASK[name](home=tmp_path, agent="desk") == "billing"
    workspace = protege.Workspace(tmp_path)
    protege.drain(workspace)
    (call,) = workspace.calls()
    assert call.request.system == clients.SYSTEM and call.agent == "desk"
    assert call.request.messages[-1]["content"] == clients.QUESTION
    assert call.response is not None and call.response["content"] == "billing"
    assert call.from_teacher and call.error is None


@pytest.mark.parametrize("name", clients.ASK)
def test_each_is_answered_by_a_specialist(name: str, live_home: LiveHome, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "SYSTEM", "Name the colour of the thing. Answer with one word.")
    monkeypatch.setattr(wrapping, "router_of", lambda home: live_home.router)
    before = len(clients.PROVIDER.asked)
    assert clients.ASK[name](home=live_home.path) == "red"
    assert len(clients.PROVIDER.asked) == before
    assert live_home.only.answered_by == "id-label"


def test_it_runs_whole(tmp_path: Path, capsys: pytest.CaptureFixture[Any]) -> None:
    clients.main(tmp_path)
    assert "5 calls are recorded" in capsys.readouterr().out
