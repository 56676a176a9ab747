"""Training takes as many threads as are worth it on a machine that others use too."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from protege.tune.threads import Threads


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> Threads:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    return Threads([1] * 1000)


def steps(threads: Threads, seconds: dict[int, float], count: int) -> list[int]:
    """How many threads each of `count` steps takes, where steps last so long."""
    taken: list[int] = []
    for _ in range(count):
        taken.append(threads.now)
        threads.took(seconds[threads.now])
    return taken


@pytest.mark.parametrize(("seconds", "best"), [({1: 1.0, 2: 0.6}, 2), ({1: 0.8, 2: 10.0}, 1)])
def test_nearly_all_steps_take_the_faster_number(threads: Threads, seconds: dict[int, float], best: int) -> None:
    taken = steps(threads, seconds, 300)
    assert set(taken) == {1, 2}
    assert taken.count(best) >= 290


def test_a_machine_that_becomes_busy_is_noticed_at_once_and_its_rest_soon(threads: Threads) -> None:
    idle, busy = {1: 1.0, 2: 0.6}, {1: 1.0, 2: 5.0}
    assert steps(threads, idle, 20)[-1] == 2
    assert steps(threads, busy, 3)[-1] == 1
    assert steps(threads, idle, 100)[-1] == 2


def test_a_long_batch_is_not_taken_for_a_slow_step(threads: Threads, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    threads.sizes = [100 if step % 2 else 500 for step in range(40)]
    taken: list[int] = []
    for step, size in enumerate(threads.sizes):
        taken.append(threads.now)
        threads.on_step_begin(None, SimpleNamespace(global_step=step), None)
        clock[0] += size * (0.6 if threads.now == 2 else 1.0)
        threads.on_step_end(None, SimpleNamespace(global_step=step + 1), None)
    assert taken.count(2) >= 36
