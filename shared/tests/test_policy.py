"""What the user allows for a task, and how soon that holds."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from memory_engine import MemoryEngine
from protege import Request, Workspace
from protege.certify import Promise
from protege.cli import main
from protege.errors import BadInput
from protege.loop.settings import Settings
from protege.rollout import in_force, publish
from protege.rollout.policy import BESIDE_ALL, EPSILON_ALL, TaskPolicy, policy_of, price_as_of
from protege.rollout.switching import decide, set_policy, switch
from protege.route import Router
from watched import INSTRUCTION, colour_task, specialist, terms

TASK = colour_task()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = Workspace(tmp_path)
    workspace.save_tasks([TASK], {})
    workspace.save_specialist(specialist(1, "live"))
    workspace.save_route(terms(1, audit=0.0))
    publish(workspace)
    return workspace


@pytest.fixture
def router(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Router:
    monkeypatch.delenv("PROTEGE_ROUTE", raising=False)
    engine: Any = MemoryEngine()
    router = Router(workspace.home, connect=lambda _: engine, start=lambda _: None)
    assert router.wait_until_ready(5)
    return router


def asked(router: Router) -> str:
    messages = ({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "a rose"})
    return router.answer(Request(messages)).decision


def until(router: Router, decision: str) -> float:
    """Seconds until a running agent's calls are so decided."""
    begin_s = time.monotonic()
    while asked(router) != decision:
        assert time.monotonic() - begin_s < 5, f"never {decision}"
        time.sleep(0.01)
    return time.monotonic() - begin_s


def routes(workspace: Workspace) -> list[dict[str, Any]]:
    return [entry["route"] for entry in orjson.loads((workspace.home / "routes.json").read_bytes())["routes"]]


def test_a_task_s_own_word_goes_before_the_one_for_all(workspace: Workspace) -> None:
    assert policy_of(workspace, "colour") == TaskPolicy()
    set_policy(workspace, None, {"epsilon": 0.1, "audit": 0.5})
    set_policy(workspace, TASK, {"epsilon": 0.02})
    assert policy_of(workspace, "colour") == TaskPolicy(epsilon=0.02, audit=0.5)
    assert set_policy(workspace, TASK, {"epsilon": None}) == TaskPolicy(epsilon=0.1, audit=0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilon": 0.0},
        {"epsilon_all": 1.0},
        {"promise": "some"},
        {"delta": 1.0},
        {"audit": 0.0},
        {"latency_ms": -1.0},
        {"budget_usd": float("nan")},
        {"x": 1},
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(workspace: Workspace, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        set_policy(workspace, TASK, wrong)
    assert policy_of(workspace, "colour") == TaskPolicy() and workspace.history.events() == []


def test_a_policy_says_which_promise_and_what_was_certified_for_another_is_off(workspace: Workspace) -> None:
    (made,) = workspace.specialists()
    plain = terms(1)
    both = replace(plain, epsilon=0.10, epsilon_all=0.05)
    for policy, on in (
        (TaskPolicy(), [plain, both]),
        (TaskPolicy(promise="kept"), [plain]),
        (TaskPolicy(promise="all"), [both]),
        (TaskPolicy(promise="all", epsilon_all=0.03), []),
        (TaskPolicy(promise="all", epsilon=0.06), []),
    ):
        assert [route for route in (plain, both) if in_force(route, made, policy)] == on
    assert in_force(replace(plain, proof="owed"), made, TaskPolicy()) is None


def test_the_policy_s_promise_goes_before_the_loop_s_settings() -> None:
    found = Settings(epsilon=0.04).under(TaskPolicy(promise="all")).promise
    assert (found.epsilon, found.of_all, found.delta_each) == (BESIDE_ALL, EPSILON_ALL, 0.025)
    asked = TaskPolicy(promise="all", epsilon=0.08, epsilon_all=0.02, delta=0.02)
    assert Settings(cascade="larger").under(asked).promise == Promise(0.08, 0.02, of_all=0.02)
    assert Settings(epsilon=0.04).under(TaskPolicy(promise="kept")).promise == Promise(0.04)
    assert Promise(0.04).to_record() == {"epsilon": 0.04, "delta": 0.05, "scanned": True}


def test_the_switch_takes_effect_within_a_second_in_a_running_agent(workspace: Workspace, router: Router) -> None:
    assert asked(router) == "kept"
    for task in (TASK, None):
        switch(workspace, task, off=True)
        assert until(router, "no live route") < 1.0
        switch(workspace, task, off=False)
        assert until(router, "kept") < 1.0
    assert [event.what for event in workspace.history.events()] == ["off", "on", "off", "on"]


def test_the_switch_does_not_wait_for_a_loop_at_work_nor_is_it_undone_by_one(workspace: Workspace) -> None:
    with workspace.lock():
        switch(Workspace(workspace.home), TASK, off=True)
    publishing = [threading.Thread(target=publish, args=(Workspace(workspace.home),)) for _ in range(8)]
    for thread in publishing:
        thread.start()
    for thread in publishing:
        thread.join()
    assert routes(workspace) == []


def test_a_stricter_promise_than_was_certified_leaves_the_answers_to_the_teacher(workspace: Workspace) -> None:
    for name in ("epsilon", "delta"):
        set_policy(workspace, TASK, {name: 0.01})
        assert routes(workspace) == []
        set_policy(workspace, TASK, {name: 0.2})
        assert len(routes(workspace)) == 1


def test_another_meaning_of_the_same_answer_has_to_be_certified_first(workspace: Workspace) -> None:
    set_policy(workspace, TASK, {"grader": "label any case"})
    assert routes(workspace) == []
    workspace.save_route(terms(1, grader="label any case"))
    publish(workspace)
    assert len(routes(workspace)) == 1


def test_the_latency_limit_is_the_longest_that_an_agent_waits(workspace: Workspace) -> None:
    set_policy(workspace, TASK, {"latency_ms": 250.0})
    assert routes(workspace)[0]["timeout_s"] == 0.25


def test_a_pin_decides_who_answers(workspace: Workspace) -> None:
    decide(workspace, TASK, {"pin": "teacher"})
    assert routes(workspace) == []
    workspace.save_specialist(specialist(2, "candidate"))
    with pytest.raises(BadInput, match="No threshold is certified"):
        decide(workspace, TASK, {"pin": "colour-v2"})
    workspace.save_route(terms(2))
    decide(workspace, TASK, {"pin": "colour-v2"})
    assert [route["specialist_id"] for route in routes(workspace)] == ["s2"]
    with pytest.raises(BadInput, match="has no specialist"):
        decide(workspace, TASK, {"pin": "colour-v9"})
    with pytest.raises(BadInput, match="own task alone"):
        decide(workspace, None, {"pin": "colour-v2"})


def test_a_grader_that_is_none_is_refused(workspace: Workspace) -> None:
    with pytest.raises(BadInput):
        decide(workspace, TASK, {"grader": "no such grader"})
    assert policy_of(workspace, "colour").grader == ""


def test_a_model_stands_for_the_teacher_s_price_of_a_task_or_of_all(workspace: Workspace) -> None:
    assert price_as_of(workspace, "colour") is None
    decide(workspace, None, {"price_as": "gpt-4.1"})
    decide(workspace, TASK, {"price_as": "openai/gpt-4.1-mini"})
    assert (price_as_of(workspace), price_as_of(workspace, "colour")) == ("gpt-4.1", "openai/gpt-4.1-mini")
    decide(workspace, TASK, {"price_as": None})
    assert price_as_of(workspace, "colour") == "gpt-4.1"


def test_a_model_whose_price_nobody_lists_is_refused_with_the_remedy(workspace: Workspace) -> None:
    with pytest.raises(BadInput, match="unknown") as refused:
        decide(workspace, TASK, {"price_as": "a model of no list"})
    assert "genai-prices" in refused.value.remedy
    assert policy_of(workspace, "colour") == TaskPolicy() and workspace.history.events() == []


def test_the_command_sets_it_and_takes_it_back(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*given: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["protege", "policy", *given, "--home", str(workspace.home), "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().out

    for given, price_as in ((["--price-as", "gpt-4.1"], "gpt-4.1"), (["--unset", "price-as"], "")):
        code, out = said("colour", *given)
        assert code == 0 and orjson.loads(out)["price_as"] == price_as
    assert said("--price-as", "a model of no list")[0] == 2
