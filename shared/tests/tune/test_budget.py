"""When a training run evaluates, how fast it learns, and what ends it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from protege.tune.budget import Budget
from protege.tune.settings import TuneSettings
from protege.tune.training import budget_of
from torch import nn
from torch.optim import SGD
from transformers import TrainerControl, get_cosine_schedule_with_warmup


class Clock:
    """Stands for the monotonic clock; it moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("protege.tune.budget.time", clock)
    return clock


def run(budget: Budget, clock: Clock, seconds_a_step: float, begin: int = 0) -> tuple[list[int], int]:
    """The steps after which it evaluates, and the last."""
    evaluated: list[int] = []
    budget.on_train_begin(None, SimpleNamespace(global_step=begin), TrainerControl())
    for step in range(begin + 1, 10_000):
        clock.now += seconds_a_step
        control = TrainerControl()
        budget.on_step_end(None, SimpleNamespace(global_step=step), control)
        if control.should_evaluate:
            assert control.should_save
            evaluated.append(step)
        if control.should_training_stop:
            return evaluated, step
    raise AssertionError("it never ends")


@pytest.mark.parametrize(("minutes", "ended"), [(None, 60), (10.0, 60), (0.5, 30)])
def test_steps_end_a_run_or_time_does_and_evaluations_are_spread_over_it(
    clock: Clock, minutes: float | None, ended: int
) -> None:
    budget = budget_of(TuneSettings(steps=60, evaluations=3, minutes=minutes), rows=100)
    evaluated, last = run(budget, clock, seconds_a_step=1.0)
    assert last == ended
    assert evaluated == [ended // 3, 2 * ended // 3, ended]


def test_time_ends_no_run_that_has_not_seen_every_row(clock: Clock) -> None:
    budget = budget_of(TuneSettings(steps=600, batch=8, evaluations=3, minutes=0.5), rows=900)
    evaluated, last = run(budget, clock, seconds_a_step=5.0)  # a busy machine
    assert last == 113 and evaluated == [38, 76, 113]
    assert budget.rate(last) == pytest.approx(0.0)


def test_one_step_longer_than_all_time_is_evaluated_once(clock: Clock) -> None:
    assert run(Budget(60, 5, 3, seconds=10), clock, seconds_a_step=30.0) == ([1], 1)


def test_without_a_limit_of_time_the_rate_is_the_usual_cosine() -> None:
    optimizer = SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    usual: Any = get_cosine_schedule_with_warmup(optimizer, 15, 180).lr_lambdas[0]
    budget = Budget(180, 15, 3)
    assert [budget.rate(step) for step in range(181)] == pytest.approx([usual(step) for step in range(181)])


def test_the_rate_is_zero_when_time_ends_the_run(clock: Clock) -> None:
    budget = Budget(1_000, 10, 3, seconds=50)
    _, last = run(budget, clock, seconds_a_step=1.0)
    assert last == 50 and budget.rate(last) == pytest.approx(0.0)


def test_a_run_that_its_steps_end_is_the_same_however_long_they_take(clock: Clock) -> None:
    rates: list[list[float]] = []
    for seconds_a_step in (0.1, 2.0):
        budget = Budget(200, 15, 3, seconds=600)
        budget.on_train_begin(None, SimpleNamespace(global_step=0), TrainerControl())
        rates.append([])
        for step in range(1, 201):
            clock.now += seconds_a_step
            budget.on_step_end(None, SimpleNamespace(global_step=step), TrainerControl())
            rates[-1].append(budget.rate(step))
    assert rates[0] == rates[1]


def test_time_before_an_interrupt_counts(clock: Clock) -> None:
    budget = Budget(1_000, 10, 2, seconds=100)
    budget.on_train_begin(None, SimpleNamespace(global_step=0), TrainerControl())
    for step in range(1, 41):
        clock.now += 1.0
        budget.on_step_end(None, SimpleNamespace(global_step=step), TrainerControl())
    clock.now += 5_000.0  # it was killed, and begun again an hour later
    again: Any = Budget.from_state(budget.state())
    evaluated, last = run(again, clock, seconds_a_step=1.0, begin=40)
    assert last == 100 and evaluated == [50, 100]
