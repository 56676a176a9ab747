"""A call that would wait too long for an engine is not made."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from protege.errors import EngineBusy
from protege.route import pace
from protege.route.pace import Pace


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(pace.time, "perf_counter", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def answered(own: Pace, clock: Clock, took_s: float) -> None:
    with own.turn(1000.0, 0.0):
        clock.now_s += took_s


def admitted(own: Pace, left_s: float, takes_s: float = 0.0) -> int:
    """How many calls that come at once are made."""
    with ExitStack() as stack:
        for number in range(100):
            try:
                stack.enter_context(own.turn(left_s, takes_s))
            except EngineBusy:
                return number
    return 100


def test_as_many_wait_as_can_be_answered_in_time(clock: Clock) -> None:
    own = Pace()
    answered(own, clock, 2.0)
    assert admitted(own, 10.0) == 5


def test_before_any_answer_what_certification_saw_counts(clock: Clock) -> None:
    assert admitted(Pace(), 10.0, takes_s=2.5) == 4
    assert admitted(Pace(), 10.0) == 100


def test_a_call_that_is_alone_is_made_however_slow_the_engine_was(clock: Clock) -> None:
    own = Pace()
    answered(own, clock, 60.0)
    assert admitted(own, 10.0) == 1


def test_an_engine_that_answers_several_at_once_is_given_as_many(clock: Clock) -> None:
    own = Pace()
    answered(own, clock, 4.0)
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(own.turn(10.0, 0.0))
        second.enter_context(own.turn(10.0, 0.0))
        clock.now_s += 0.5
        first.close()
        clock.now_s += 0.5
    assert admitted(own, 10.0) == 20


def test_one_answer_after_a_suspended_night_changes_nothing(clock: Clock) -> None:
    own = Pace()
    for _ in range(4):
        answered(own, clock, 1.0)
    answered(own, clock, 30_000.0)
    assert admitted(own, 10.0) == 10


def test_calls_that_fail_together_do_not_pass_for_a_fast_engine(clock: Clock) -> None:
    own = Pace()
    answered(own, clock, 2.0)
    for _ in range(20):
        with pytest.raises(TimeoutError), own.turn(10.0, 0.0):
            raise TimeoutError
    assert admitted(own, 10.0) == 5


def test_what_is_declined_takes_no_place() -> None:
    own = Pace()
    with own.turn(10.0, 20.0), pytest.raises(EngineBusy), own.turn(10.0, 20.0):
        pass
    assert own._waiting == 0
