"""A cascade in the agent: what the first specialist hands back, the second is asked before the teacher is."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from memory_engine import MemoryEngine
from protege import Request, Route, Specialist, Workspace
from protege.errors import EngineError, NotServed
from protege.rollout import publish
from protege.route import Router

SMALL, LARGE = "colour-v1", "colour-v2"
SYSTEM = {"role": "system", "content": "You name the colour of a thing. Answer with one word."}
ASKED = Request((SYSTEM, {"role": "user", "content": "a rose"}))


@dataclass
class Two:
    """Two specialists in one engine: how sure each is, what it says, how long it takes, what it raises."""

    sure: dict[str, float] = field(default_factory=lambda: {SMALL: 0.5, LARGE: 0.9})
    said: dict[str, str] = field(default_factory=lambda: {SMALL: "blue", LARGE: "red"})
    takes_s: dict[str, float] = field(default_factory=dict[str, float])
    raises: dict[str, Exception] = field(default_factory=dict[str, Exception])
    asked: list[str] = field(default_factory=list[str])

    def fingerprint(self, specialist: Specialist) -> str:
        if isinstance(error := self.raises.get(specialist.name), NotServed):
            raise error
        return "engine-1"

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Any:
        self.asked.append(specialist.name)
        time.sleep(self.takes_s.get(specialist.name, 0.0))
        if specialist.name in self.raises:
            raise self.raises[specialist.name]
        one = MemoryEngine(self.said)
        one.probability = self.sure[specialist.name]
        return one.complete(specialist, prompt, timeout_s=timeout_s)

    def close(self) -> None:
        pass


@pytest.fixture
def engine() -> Two:
    return Two()


@pytest.fixture
def cascade(workspace: Workspace, specialist: Specialist, live_route: Route, engine: Two) -> Iterator[Any]:
    """Makes a router whose second route is as the changes say; and its first, as those under `first` say."""
    made: list[Router] = []

    def make(first: Mapping[str, Any] | None = None, elsewhere: bool = False, **changes: Any) -> Router:
        placed = {"engine": "ollama", "placed": {"ollama": {"address": "http://elsewhere"}}} if elsewhere else {}
        workspace.save_specialist(replace(specialist, id="s2", name=LARGE, version=2, created=2.0, **placed))
        workspace.save_route(replace(live_route, **(first or {})))
        workspace.save_route(replace(live_route, specialist_id="s2", after="s1", below=0.75, **changes))
        publish(workspace)
        start: Callable[[Any], None] = lambda _: None  # noqa: E731
        router = Router(workspace.home, connect=lambda _: engine, start=start)  # type: ignore[arg-type, return-value]
        assert router.wait_until_ready(5)
        made.append(router)
        return router

    yield make
    for router in made:
        router.close()


def tries(outcome: Any) -> list[tuple[str, str, str]]:
    return [(attempt.by, attempt.outcome, attempt.reason) for attempt in outcome.attempts]


HANDED_BACK = ("s1", "handed_back", "below threshold")


def test_the_second_s_answer_is_kept_where_the_first_was_not_sure(cascade: Any, engine: Two) -> None:
    outcome = cascade().answer(ASKED)
    assert (outcome.decision, outcome.specialist, outcome.specialist_id) == ("kept", LARGE, "s2")
    assert outcome.message == {"role": "assistant", "content": "red"}
    assert tries(outcome) == [HANDED_BACK, ("s2", "kept", "kept")]
    assert engine.asked == [SMALL, LARGE]


async def test_the_async_form_gives_the_same(cascade: Any) -> None:
    outcome = await cascade().aanswer(ASKED)
    assert outcome.decision == "kept" and tries(outcome) == [HANDED_BACK, ("s2", "kept", "kept")]


def test_where_the_first_is_sure_the_second_is_not_asked(cascade: Any, engine: Two) -> None:
    engine.sure[SMALL] = 0.9
    outcome = cascade().answer(ASKED)
    assert outcome.specialist == SMALL and tries(outcome) == [("s1", "kept", "kept")]
    assert engine.asked == [SMALL]


def test_what_both_hand_back_is_the_teacher_s_with_both_attempts(cascade: Any, engine: Two) -> None:
    engine.sure[LARGE] = 0.5
    outcome = cascade().answer(ASKED)
    assert (outcome.decision, outcome.message) == ("below threshold", None)
    assert tries(outcome) == [HANDED_BACK, ("s2", "handed_back", "below threshold")]


def test_between_the_two_thresholds_the_teacher_answers(cascade: Any, engine: Two) -> None:
    engine.sure[SMALL] = 0.76  # handed back below .8, handed on below .75
    assert tries(cascade().answer(ASKED)) == [HANDED_BACK]
    assert engine.asked == [SMALL]


def test_a_fault_of_the_answer_is_handed_on_and_none_of_the_engine(cascade: Any, engine: Two) -> None:
    router = cascade()
    engine.said[SMALL] = "green"
    assert tries(router.answer(ASKED)) == [("s1", "failed", "invalid structure"), ("s2", "kept", "kept")]
    engine.raises[SMALL] = EngineError("Gone.")
    assert tries(router.answer(ASKED)) == [("s1", "failed", "engine failed")]


def test_the_second_is_never_asked_alone(cascade: Any, engine: Two) -> None:
    router = cascade(first={"signatures": ("sig-of-another-wording",)})
    assert router.answer(ASKED).decision == "another wording"
    assert engine.asked == []


def test_a_wording_that_only_the_first_was_calibrated_on_is_not_handed_on(cascade: Any, engine: Two) -> None:
    assert tries(cascade(signatures=("sig-of-another-wording",)).answer(ASKED)) == [HANDED_BACK]
    assert engine.asked == [SMALL]


def test_without_time_enough_the_second_is_not_asked(cascade: Any, engine: Two) -> None:
    assert tries(cascade(takes_s=6.0).answer(ASKED)) == [HANDED_BACK]  # the first's time-out is 5 s
    engine.takes_s[SMALL] = 0.2
    assert tries(cascade(first={"timeout_s": 0.4}, takes_s=0.3).answer(ASKED)) == [HANDED_BACK]
    assert engine.asked == [SMALL, SMALL]


def test_both_together_take_no_longer_than_the_first_s_time_out(cascade: Any, engine: Two) -> None:
    router, engine.takes_s[LARGE] = cascade(first={"timeout_s": 0.3}), 2.0
    begin_s = time.monotonic()
    outcome = router.answer(ASKED)
    assert time.monotonic() - begin_s < 1.0
    assert outcome.decision == "timed out"
    assert tries(outcome) == [HANDED_BACK, ("s2", "failed", "timed out")]


def test_without_the_second_s_engine_the_teacher_answers(cascade: Any, engine: Two) -> None:
    router = cascade(elsewhere=True)
    router._links["ollama", "http://elsewhere"].close()
    outcome = router.answer(ASKED)
    assert outcome.decision == "below threshold" and tries(outcome) == [HANDED_BACK]


def test_one_that_is_not_served_yet_leaves_the_first_s_outcome_as_it_is(cascade: Any, engine: Two) -> None:
    router, engine.raises[LARGE] = cascade(), NotServed("Not served here.")
    outcome = router.answer(ASKED)
    assert outcome.decision == "below threshold" and tries(outcome) == [HANDED_BACK]
    assert outcome.specialist == SMALL


def test_an_engine_that_fails_at_the_second_is_the_teacher_s_call(cascade: Any, engine: Two) -> None:
    router, engine.raises[LARGE] = cascade(), EngineError("Gone.")
    outcome = router.answer(ASKED)
    assert outcome.message is None and tries(outcome) == [HANDED_BACK, ("s2", "failed", "engine failed")]


def test_a_drawn_call_is_the_teacher_s_and_all_are_asked_who_would_have_been(cascade: Any, engine: Two) -> None:
    router = cascade(first={"audit": 1.0})
    outcome = router.answer(ASKED)
    assert (outcome.decision, outcome.message) == ("audited", None)
    assert tries(outcome) == [("s1", "audited", "below threshold"), ("s2", "audited", "kept")]
    assert [attempt.rate for attempt in outcome.attempts] == [1.0, 1.0]
    engine.sure[SMALL] = 0.9
    assert tries(router.answer(ASKED)) == [("s1", "audited", "kept")]


def test_the_second_may_be_audited_more_often_by_the_same_draw(cascade: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    router = cascade(first={"audit": 0.2}, audit=0.5)
    monkeypatch.setattr("protege.route.router._CHANCE", random.Random(3))
    outcomes = [router.answer(ASKED) for _ in range(400)]
    seen = Counter(tuple(outcome for _, outcome, _ in tries(one)) for one in outcomes)
    assert set(seen) == {("audited", "audited"), ("handed_back", "audited"), ("handed_back", "kept")}
    assert 50 <= seen["audited", "audited"] <= 110 and 85 <= seen["handed_back", "audited"] <= 155
    assert {one.attempts[1].rate for one in outcomes} == {0.5, None}


def test_calls_of_many_threads_keep_their_own_attempts(cascade: Any, engine: Two) -> None:
    router = cascade()
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda: outcomes.append(router.answer(ASKED))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 16 and all(tries(one) == [HANDED_BACK, ("s2", "kept", "kept")] for one in outcomes)
