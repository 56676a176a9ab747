"""Clocks that were wrong: what belongs to a stage is found by the order of arrival where times tell nothing."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from protege import Workspace
from protege.loop import retraining
from protege.loop.retraining import STAGE_DAYS
from protege.rollout import lifecycle
from protege.rollout.stages import in_stage
from protege.store.records import Stage
from protege.watch import look
from watched import call, specialist, terms

DAY_S = 86_400.0


def wrong_by(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Any:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + seconds)


def made_now(number: int, model: str) -> Any:
    return replace(call(number, said=None, model=model), time=time.time() + number / 1000)


@pytest.mark.parametrize("ahead_s", [0.0, 3_600.0, 365 * DAY_S])
def test_another_teacher_is_noticed_though_the_clock_was_ahead_when_the_stage_began(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    workspace.save_specialist(specialist(2, "candidate"))
    with monkeypatch.context() as wrong:
        wrong_by(wrong, ahead_s)
        lifecycle.promote(workspace, specialist(2, "candidate"), terms(2))
    workspace.add_calls(made_now(n, "larger") for n in range(40))
    assert "teacher changed" in [event.what for event in look(workspace)]


def test_calls_from_before_such_a_stage_do_not_belong_to_it() -> None:
    began = Stage(0, 10, time.time() + DAY_S)
    assert not in_stage(began, 10, time.time())
    assert in_stage(began, 11, time.time())
    assert in_stage(began, 11, None)


def test_with_a_right_clock_an_import_of_old_calls_does_not_belong_to_a_stage() -> None:
    began = Stage(0, 10, time.time() - DAY_S)
    assert not in_stage(began, 11, time.time() - 2 * DAY_S)
    assert not in_stage(began, 11, None)
    assert in_stage(began, 11, time.time())


def test_a_canary_from_the_future_does_not_keep_others_from_being_made_for_ever(workspace: Workspace) -> None:
    shown = specialist(2, "canary")
    workspace.save_specialist(shown)
    workspace.state.save_stage(shown.id, Stage(0, 0, time.time() + 365 * DAY_S))
    assert not retraining._recent(workspace, shown)
    workspace.state.save_stage(shown.id, Stage(0, 0, time.time() - (STAGE_DAYS - 1) * DAY_S))
    assert retraining._recent(workspace, shown)
