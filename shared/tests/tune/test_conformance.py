"""Every tuner passes the tests that are shipped for them; a toy's among them."""

from __future__ import annotations

from pathlib import Path

import pytest
from protege.curate import Curated
from protege.errors import BadInput, MissingDependency
from protege.heads import NGRAMS
from protege.specialist import Base
from protege.task import Task
from protege.testing.tuners import TunerConformance
from protege.tune import TuneSettings, tuner_names, tuning
from protege.tune.registry import tuners

TOYS = Path(__file__).parents[1] / "toys"


@pytest.fixture
def toy_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's distribution, as `pip install` would have it found."""
    monkeypatch.syspath_prepend(str(TOYS))


class _OfColours(TunerConformance):
    """A task that a tiny random model learns in seconds; `curated` is the folder's own fixture."""

    @pytest.fixture
    def curated(self, coloured: Curated) -> Curated:
        return coloured

    @pytest.fixture
    def task(self, colours: Task) -> Task:
        return colours

    @pytest.fixture
    def base(self, tiny: Base) -> Base:
        return tiny


class TestLora(_OfColours):
    settings = TuneSettings(method="lora", steps=6, evaluations=3, learning_rate=5e-3)


class TestFull(_OfColours):
    settings = TuneSettings(method="full", steps=6, evaluations=3, learning_rate=2e-3)


class TestHead(_OfColours):
    """A head, which takes no base but its own features."""

    settings = TuneSettings(method="head")

    @pytest.fixture
    def base(self) -> Base:
        return NGRAMS


class TestToy(_OfColours):
    settings = TuneSettings()  # named below: nobody knows the method before its distribution is there

    @pytest.fixture(autouse=True)
    def _found_by_its_entry_point(self, toy_on_path: None) -> None:
        type(self).settings = TuneSettings(method="toy")


def test_an_unknown_method_is_refused_and_those_known_are_named(toy_on_path: None) -> None:
    assert tuner_names()[:4] == ("lora", "full", "qlora", "head") and "toy" in tuner_names()
    with pytest.raises(BadInput, match=r"no method 'prompt'.*lora, full, qlora.*toy"):
        TuneSettings(method="prompt")


def test_without_its_libraries_a_method_is_told_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise ImportError("No module named 'torch'", name="torch")

    monkeypatch.setattr(tuners, "get", load)
    with pytest.raises(MissingDependency, match=r"torch is not installed.*protege\[tune\]"):
        tuning.tuner_named("lora")
