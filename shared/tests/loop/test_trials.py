"""Which settings are tried within a budget, and which are taken. Training is stood in for by a function of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from protege.common.progress import Silent
from protege.errors import BaseModelError, ProtegeError, ResourceError
from protege.loop import steps, trials
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.specialist import Base, Specialist
from protege.task import Task
from protege.tune import TuneSettings
from protege.tune.methods.lora import Lora
from protege.workspace import Workspace

BASE = Base("b", "b.gguf", "0", "gguf", "llama", "Apache-2.0", 2048, "")
TASK = Task("t-1", "sort", "label")
CURATED: Any = SimpleNamespace(hash="h", examples=lambda part: ["row"])
NONE: Any = SimpleNamespace(hash="h", examples=lambda part: [])
STEP_S = 2.0


@dataclass
class Training:
    """Stands in for training: a step takes two seconds of a clock that only it moves."""

    loss: Callable[[TuneSettings], float]
    fails: Callable[[TuneSettings], ProtegeError | None] = lambda settings: None
    interrupt_at: int = 1000
    done: list[TuneSettings] = field(default_factory=list)
    now: float = 0.0

    def try_out(self, curated: Any, task: Any, base: Any, folder: Path, settings: TuneSettings, progress: Any) -> Any:
        if len(self.done) == self.interrupt_at:
            raise KeyboardInterrupt
        self.done.append(settings)
        self.now += STEP_S * settings.steps
        if (error := self.fails(settings)) is not None:
            raise error
        folder.mkdir(parents=True)
        return {"validation_loss": self.loss(settings), "learning_rate": settings.learning_rate or 0.001}


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[TuneSettings, dict[str, Any]]]:
    """Search within so many seconds."""
    workspace = Workspace(tmp_path)

    def search(
        training: Training, budget_s: float | None, curated: Any = CURATED, **changes: Any
    ) -> tuple[TuneSettings, dict[str, Any]]:
        monkeypatch.setattr(trials.tuning, "try_out", training.try_out)
        monkeypatch.setattr(trials.time, "perf_counter", lambda: training.now)
        settings = Settings(budget_s=budget_s, **{"tune": TuneSettings(steps=80), **changes})
        return trials.best_settings(Run(workspace, TASK, settings, Silent()), curated, BASE)

    return search


def lengths(figures: Mapping[str, Any]) -> list[int]:
    return [trial["steps"] for trial in figures["trials"]]


def test_the_better_half_is_tried_for_longer_until_longer_is_no_better(go: Any, tmp_path: Path) -> None:
    training = Training(lambda s: abs((s.learning_rate or 0.001) - 0.002) + 1 / min(s.steps, 80))
    settings, figures = go(training, 100_000)
    assert lengths(figures) == [10] * 6 + [20] * 3 + [40, 80, 160]
    assert (settings.learning_rate, settings.steps) == (0.002, 80)
    assert [trial["steps"] for trial in figures["trials"] if trial["taken"]] == [80]
    assert figures["validation_loss"] == 1 / 80 and figures["seconds"] == 2 * (60 + 60 + 40 + 80 + 160)
    left = [path.name for path in (tmp_path / "specialists").iterdir()]
    run = Run(Workspace(tmp_path), TASK, Settings(), Silent())
    assert left == [trials.identity_of(run, CURATED, BASE, settings)], "the checkpoints that it is written from"


def test_more_steps_are_taken_where_the_loss_still_falls_and_time_is_left(go: Any) -> None:
    settings, figures = go(Training(lambda s: 1 / s.steps), 2800)
    assert settings.steps == 640 and figures["seconds"] <= 2800
    assert lengths(figures)[-4:] == [80, 160, 320, 640]


@pytest.mark.parametrize(
    ("budget_s", "tried"),
    [
        (1, [10]),  # the first is made in any case
        (200, [10, 80]),  # time for one of the length asked for
        (360, [10, 40, 40, 80]),
        (520, [10, 20, 20, 20, 20, 40, 40, 80]),
        (700, [10, 10, 10, 10, 10, 10, 20, 20, 20, 40, 80]),
    ],
)
def test_fewer_settings_are_tried_where_time_is_short(go: Any, budget_s: float, tried: list[int]) -> None:
    _, figures = go(Training(lambda s: 1 / s.steps), budget_s)
    assert lengths(figures) == tried
    assert figures["seconds"] <= max(budget_s, STEP_S * 10)


def test_an_interrupted_search_goes_on_and_ends_alike(go: Any) -> None:
    def loss(settings: TuneSettings) -> float:
        return settings.rank / settings.steps

    whole = go(Training(loss), 520)
    for seed in (1, 2):  # of another data set, as far as the cache knows
        curated: Any = SimpleNamespace(hash=f"h{seed}", examples=lambda part: ["row"])
        first = Training(loss, interrupt_at=3 * seed)
        with pytest.raises(KeyboardInterrupt):
            go(first, 520, curated)
        second = Training(loss)
        assert go(second, 520, curated) == whole
        assert len(first.done) + len(second.done) == len(whole[1]["trials"])
        third = Training(loss)
        assert go(third, 520, curated) == whole and not third.done


def test_a_setting_that_fails_is_passed_over_and_the_first_one_tells_why(go: Any) -> None:
    def fails(settings: TuneSettings) -> ProtegeError | None:
        if settings.learning_rate == 0.002:
            return ProtegeError("The training loss is not a finite number.", "")
        return ResourceError("No memory.", "") if settings.rank == 64 else None

    settings, figures = go(Training(lambda s: 1 / s.steps, fails), 700)
    assert settings.rank == 16 and settings.learning_rate != 0.002
    told = trials.outdone(Specialist("s", "s", "t-1", 1, BASE, "slots", report={"tuning": figures}))
    assert [reason for _, reason in told if "loss is not" in reason or "memory" in reason] == [
        "The training loss is not a finite number.",
        "No memory.",
    ]
    assert len(told) == len(figures["trials"]) - 1
    with pytest.raises(BaseModelError):
        go(
            Training(lambda s: 1.0, lambda s: BaseModelError("Damaged.", "")),
            700,
            SimpleNamespace(**{**vars(CURATED), "hash": "x"}),
        )


def test_what_cannot_be_varied_or_judged_is_not_tried(go: Any) -> None:
    for budget_s, curated, tune in (
        (None, CURATED, TuneSettings()),
        (700, NONE, TuneSettings()),
        (700, CURATED, TuneSettings(method="head")),
    ):
        assert go(Training(lambda s: 1.0), budget_s, curated, tune=tune) == (tune, {})


def test_dora_and_other_ranks_are_not_tried_for_what_is_served_as_lora_weights(go: Any) -> None:
    for serve_as, variants in (("merged", {"lora", "dora", "rslora"}), ("lora", {"lora"})):
        training = Training(lambda s: 1.0)
        curated: Any = SimpleNamespace(hash=serve_as, examples=lambda part: ["row"])
        go(training, 100_000, curated, serve_as=serve_as)
        assert {settings.variant for settings in training.done} == variants
    with pytest.raises(ProtegeError, match="DoRA"):
        steps.decided(Settings(serve_as="lora", tune=TuneSettings(variant="dora")))


def test_no_setting_is_tried_twice_in_a_round(go: Any) -> None:
    training = Training(lambda s: 1.0)
    _, figures = go(training, 100_000, tune=TuneSettings(steps=80, variant="dora"))
    assert len({*training.done}) == len(training.done) == len(figures["trials"]) == 5 + 2


def test_settings_differ_from_what_was_asked_in_one_respect_each() -> None:
    asked = TuneSettings()
    others: Sequence[TuneSettings] = Lora().variations(asked, {"learning_rate": 0.001})
    assert len({*others}) == len(others) == 5
    for one in others:
        same = replace(one, learning_rate=None) == asked or replace(one, seed=asked.seed) == asked
        assert same or one.variant != "lora"
