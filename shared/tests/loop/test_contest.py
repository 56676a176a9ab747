"""Which of several contenders goes on. Tuning and answering are stood in for; what follows from answers is tested."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from protege.common.progress import Silent
from protege.errors import NotClosed, ResourceError
from protege.evaluate import Judged, Parity
from protege.loop import contest, steps
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.rollout import decide
from protege.specialist import Base, Specialist
from protege.task import Task
from protege.tune import TuneSettings
from protege.watch.reasons import Reason, open_reason
from protege.workspace import Workspace

BASE = Base("b", "b.gguf", "0", "gguf", "llama", "Apache-2.0", 2048, "")
TASK = Task("t-1", "sort", "label", calls=400, input_tokens=1000, output_tokens=10)
HOLDS = Parity(9, 9, 9, 0.0, "same", "", True, "")
CALLS = 100
CURATED: Any = SimpleNamespace(
    hash="h",
    calibration={"signature": ["s"]},
    parts={
        part: {"id": [f"c{i}" for i in range(CALLS)], "signature": ["s"] * CALLS}
        for part in ("validation", "calibration", "test")
    },
)


@dataclass
class Stage:
    """What the contenders do, by method and prompt, and what is asked of them."""

    right: dict[tuple[str, str], int]
    """Of CALLS answers, how many agree; the right ones are the surest."""
    fails: dict[tuple[str, str], Exception] = field(default_factory=dict)
    broken: tuple[str, str] | None = None
    """Whose engine does not serve what was tuned."""
    latency_ms: dict[str, float] = field(default_factory=dict)
    made: list[str] = field(default_factory=list)
    let_go: list[str] = field(default_factory=list)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def staged(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> Stage:
    def who(run: Run) -> tuple[str, str]:
        assert run.settings.tune is not None
        return run.settings.tune.method, run.settings.tune.form

    def tune(run: Run, *_: Any) -> Specialist:
        method, form = who(run)
        if (method, form) in stage.fails:
            raise stage.fails[method, form]
        stage.made.append(f"{method} {form}")
        one = Specialist(f"sp-{method}-{form}", f"{method} {form}", "t-1", 1, BASE, "slots")
        if run.workspace.specialist(one.id) is None:
            run.workspace.save_specialist(one)
        return one

    def parity(run: Run, *_: Any) -> Parity:
        return replace(HOLDS, holds=who(run) != stage.broken, reason="What is served is not what was tuned.")

    def validated(run: Run, *_: Any) -> list[Judged]:
        right, took_ms = stage.right[who(run)], stage.latency_ms.get(who(run)[0], 1.0)
        return [Judged(f"c{i}", "", "a", "a", i < right, 1 - i / CALLS, True, took_ms) for i in range(CALLS)]

    monkeypatch.setattr(steps, "select", lambda *_: (BASE, "", []))
    monkeypatch.setattr(steps, "tune", tune)
    monkeypatch.setattr(steps, "served_alike", lambda run, one, curated: (one, parity(run)))
    monkeypatch.setattr(steps, "validated", validated)
    monkeypatch.setattr(contest, "refuse", lambda workspace, one: stage.let_go.append(one.name))
    return stage


def chosen(workspace: Workspace, settings: Settings) -> tuple[str, dict[str, str]]:
    run, others = contest.chosen(Run(workspace, TASK, settings, Silent()), CURATED)
    assert run.settings.tune is not None
    return f"{run.settings.tune.method} {run.settings.tune.form}", dict(others)


def test_the_kind_that_keeps_more_validation_calls_goes_on_and_the_result_is_kept(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(monkeypatch, Stage({("head", "slots"): 40, ("lora", "slots"): 60}))
    for _ in range(2):  # the second time from the cache
        best, others = chosen(workspace, Settings())
        assert best == "lora slots"
        assert others == {"head": "it would keep 42% of the validation calls, and lora 63% of the validation calls."}
    assert stage.made == ["head slots", "lora slots"] and stage.let_go == ["head slots"]


def test_of_two_alike_the_cheaper_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(monkeypatch, Stage({("head", "slots"): 60, ("lora", "slots"): 60}))
    assert chosen(workspace, Settings())[0] == "head slots"


def test_time_counts_where_costs_are_known(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call saves $0.0002 at most here; three minutes of this machine cost more than the calls that it would add."""
    right = {("head", "slots"): 40, ("lora", "slots"): 60}
    staged(monkeypatch, Stage(right, latency_ms={"lora": 180_000.0}))
    assert chosen(workspace, Settings())[0] == "lora slots"
    decide(workspace, None, {"price_as": "gpt-4.1-nano"})
    workspace.clear_cache()
    assert chosen(workspace, Settings())[0] == "head slots"


def test_once_nearly_all_is_kept_nothing_dearer_is_made(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = staged(monkeypatch, Stage({("head", "slots"): 96}))
    assert chosen(workspace, Settings()) == ("head slots", {"lora": "head keeps enough."})
    assert stage.made == ["head slots"]


def test_answers_that_are_made_leave_the_model_alone_without_a_comparison(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(monkeypatch, Stage({}, fails={("head", "slots"): NotClosed("They are made.", "")}))
    best, others = chosen(workspace, Settings())
    assert best == "lora slots" and others["head"].startswith("They are made.")
    assert stage.made == []


@pytest.mark.parametrize("broken", [False, True], ids=["cannot be tuned", "is served otherwise"])
def test_a_head_goes_on_where_no_model_can_be_had_and_the_next_time_it_is_tried_again(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, broken: bool
) -> None:
    lora = ("lora", "slots")
    stage = Stage({("head", "slots"): 30, lora: 90}, {} if broken else {lora: ResourceError("No memory.", "")})
    stage.broken = lora if broken else None
    staged(monkeypatch, stage)
    best, others = chosen(workspace, Settings())
    assert best == "head slots" and others["lora"].startswith("What is served" if broken else "No memory.")
    stage.fails, stage.broken = {}, None
    assert chosen(workspace, Settings())[0] == "lora slots"


def test_of_two_prompts_and_two_kinds_the_best_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    right = {("head", "slots"): 50, ("head", "whole"): 55, ("lora", "slots"): 60, ("lora", "whole"): 70}
    stage = staged(monkeypatch, Stage(right))
    best, others = chosen(workspace, Settings(compare_prompts=True))
    assert best == "lora whole"
    assert list(others) == ["head, slots prompt", "head, whole prompt", "lora, slots prompt"]
    assert len(stage.let_go) == 3


def test_what_was_decided_is_not_compared(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(monkeypatch, Stage({}))
    for method in ("head", "lora", "full"):
        settings = Settings(compete=False, tune=TuneSettings(method=method))
        assert chosen(workspace, settings) == (f"{method} slots", {})
    assert chosen(workspace, Settings(tune=TuneSettings(method="head"))) == ("head slots", {})


def test_a_model_gets_the_head_that_was_made_for_a_second_opinion(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored model has it, so that the steps that follow find it; a head that cannot be copied is no obstacle."""
    staged(monkeypatch, Stage({("head", "slots"): 40, ("lora", "slots"): 60}))
    tune = steps.tune
    written: dict[str, Any] = {"sha256": "0"}

    def with_file(run: Run, curated: Any, base: Base) -> Specialist:
        one = tune(run, curated, base)
        return replace(one, files={"head": "head.bin"}) if "head" in one.name else one

    monkeypatch.setattr(steps, "tune", with_file)
    assert chosen(workspace, Settings())[0] == "lora slots"
    assert stored(workspace) == [None, None], "its file is not there"
    workspace.clear_cache()
    monkeypatch.setattr(contest.serve, "advised", lambda _, one, head: replace(one, second_opinion=written))
    assert chosen(workspace, Settings())[0] == "lora slots"
    assert stored(workspace) == [None, written]


def stored(workspace: Workspace) -> list[Any]:
    return [one.second_opinion for one in sorted(workspace.specialists(), key=lambda one: one.id)]


def test_one_in_service_is_left_there_though_another_wins(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(monkeypatch, Stage({("head", "slots"): 40, ("lora", "slots"): 60}))
    live = Specialist("sp-head-slots", "head slots", "t-1", 1, BASE, "slots", state="live")
    workspace.save_specialist(live)
    assert chosen(workspace, Settings())[0] == "lora slots"
    assert stage.let_go == []


def changed(workspace: Workspace, since: float = 50.0) -> Any:
    """A data set of which a third of the training rows are from after a change."""
    open_reason(workspace, TASK.id, Reason("rolled back", since))
    later = SimpleNamespace(**{**vars(CURATED), "hash": "later", "train": [0] * 100, "save": lambda folder: None})
    return SimpleNamespace(**{**vars(CURATED), "train": [0] * 300, "since": lambda time: {since: later}[time]})


@pytest.mark.parametrize(
    ("whole", "later", "best"),
    [(20, 60, "later"), (60, 20, "h"), (60, 60, "h")],
    ids=["older ones teach what is wrong", "they still help", "alike"],
)
def test_what_was_answered_before_a_change_is_learnt_from_while_it_helps(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, whole: int, later: int, best: str
) -> None:
    stage = staged(monkeypatch, Stage({}))
    right = {"h": whole, "later": later}

    def validated(run: Run, one: Specialist, curated: Any) -> list[Judged]:
        stage.right["head", "slots"] = right[curated.hash]
        return [Judged(f"c{i}", "", "a", "a", i < right[curated.hash], 1 - i / CALLS, True, 1.0) for i in range(CALLS)]

    monkeypatch.setattr(steps, "validated", validated)
    curated, run = changed(workspace), Run(workspace, TASK, Settings(), Silent())
    for _ in range(2):  # the second time from the cache
        assert contest.recent(run, curated).hash == best
    assert stage.made == ["head slots"] * 2 and stage.let_go == ["head slots"] * 2


def test_what_no_cheap_kind_can_tell_stays_as_it_is(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    staged(monkeypatch, Stage({}, fails={("head", "slots"): NotClosed("Its answers are made.", "")}))
    curated = changed(workspace)
    few: Any = SimpleNamespace(**{**vars(curated), "since": lambda time: SimpleNamespace(train=[0] * 99)})
    lora = Settings(compete=False)
    for given, settings in ((curated, Settings()), (few, Settings()), (curated, lora)):
        assert contest.recent(Run(workspace, TASK, settings, Silent()), given) is given
