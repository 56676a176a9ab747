"""Every engine, and every kind of engine, passes the tests that are shipped for them; a toy's among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from protege.errors import BadInput
from protege.serve import EmbeddedEngine, Engine, choose, engine_kind, engine_names
from protege.specialist import Specialist
from protege.testing.engines import EngineConformance, EngineKindConformance
from protege.workspace import Workspace

TOYS = Path(__file__).parents[1] / "toys"


class TestEmbedded(EngineConformance):
    """Three specialists as LoRA weights over one base in memory."""

    @pytest.fixture
    def engine(self, embedded: EmbeddedEngine) -> Engine:
        return embedded

    @pytest.fixture
    def specialist(self, trio: list[Specialist]) -> Specialist:
        return trio[0]


class TestEmbeddedMerged(TestEmbedded):
    @pytest.fixture
    def engine(self, embedded_merged: EmbeddedEngine) -> Engine:
        return embedded_merged


class TestRemote(TestEmbedded):
    """The embedded engine, as other processes ask it."""

    @pytest.fixture
    def engine(self, remote: Engine) -> Engine:
        return remote


class TestOllama(EngineConformance):
    @pytest.fixture
    def engine(self, ollama: Engine) -> Engine:
        return ollama

    @pytest.fixture
    def specialist(self, in_ollama: Specialist) -> Specialist:
        return in_ollama


@pytest.fixture
def toy_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's distribution, as `pip install` would have it found."""
    monkeypatch.syspath_prepend(str(TOYS))


class TestToy(EngineConformance):
    """An engine that another distribution brings."""

    @pytest.fixture
    def engine(self, toy_on_path: None, make_workspace: Callable[[], Workspace], specialist: Specialist) -> Engine:
        return engine_kind("toy").open(make_workspace(), specialist)

    @pytest.fixture
    def specialist(self, trio: list[Specialist]) -> Specialist:
        return replace(trio[0], engine="toy", placed={"toy": {"address": "toy:1"}})


class TestEmbeddedKind(EngineKindConformance):
    kind = "embedded"

    @pytest.fixture
    def workspace(self, make_workspace: Callable[[], Workspace]) -> Workspace:
        return make_workspace()

    @pytest.fixture
    def candidate(self, workspace: Workspace) -> Specialist:
        return workspace.specialists()[0]


class TestOllamaKind(TestEmbeddedKind):
    kind = "ollama"

    @pytest.fixture
    def candidate(self, workspace: Workspace, ollama_server: Any, monkeypatch: pytest.MonkeyPatch) -> Specialist:
        monkeypatch.setenv("OLLAMA_HOST", ollama_server.url)
        return replace(workspace.specialists()[0], serve_as="merged")


class TestToyKind(TestEmbeddedKind):
    kind = "toy"

    @pytest.fixture(autouse=True)
    def _found_by_its_entry_point(self, toy_on_path: None) -> None:
        """Before anything asks for it."""


def test_an_unknown_engine_is_refused_and_those_known_are_named(toy_on_path: None) -> None:
    assert engine_names()[:3] == ("ollama", "embedded", "head") and "toy" in engine_names()
    with pytest.raises(BadInput, match=r"no engine 'sglang'.*auto, ollama, embedded.*toy"):
        choose("sglang", "merged")
    with pytest.raises(BadInput, match=r"no engine 'sglang'.*ollama, embedded"):
        engine_kind("sglang")


def test_nobodys_engine_is_chosen_unasked(toy_on_path: None) -> None:
    assert choose("auto", "lora").name == "embedded"


def test_a_package_that_cannot_be_loaded_is_told_and_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "broken.dist-info").mkdir()
    (tmp_path / "broken.dist-info" / "entry_points.txt").write_text("[protege.engines]\nbroken = no_such_module:Kind\n")
    (tmp_path / "broken.dist-info" / "METADATA").write_text("Name: broken\nVersion: 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(BadInput, match=r"'broken' cannot be loaded from no_such_module:Kind.*protege\.engines"):
        engine_kind("broken")
    assert choose("auto", "merged").name == "embedded"
    assert "broken" in caplog.text
