"""Where held-out calls are too few to certify a threshold, the shadow shows a frozen one on the calls to come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from memory_engine import MemoryEngine
from protege import Specialist, Workspace
from protege.errors import BadInput
from protege.loop import retraining
from protege.report import gather, status
from protege.report.formatting import calibration
from protege.rollout import lifecycle
from protege.rollout.policy import policy_of
from protege.rollout.rules import RULES, evidence_for
from protege.rollout.stages import proof_so_far, tries
from protege.rollout.switching import decide
from protege.serve import Replicas
from protege.store import DataSet
from protege.store.records import ImprovementRow
from protege.watch import look, shadow, shadowing
from watched import call, figures, specialist, terms

COUNTS = {"calibration_calls": 52, "kept": 40, "errors": 0}


@pytest.fixture
def second(workspace: Workspace) -> Specialist:
    """In the shadow, beside the one that is live; its route is shown by nothing yet."""
    made = specialist(2, "candidate")
    workspace.save_specialist(made)
    lifecycle.shadow(workspace, made, replace(terms(2, proof="owed"), **COUNTS), "too few to certify")
    return next(s for s in workspace.specialists() if s.id == made.id)


def shadowed(workspace: Workspace, n: int, wrong: int = 0, first: int = 0, **fields: Any) -> None:
    row = {"specialist_id": "s2", "task_id": "colour", "time": 1.0, "outcome": "shadowed", "reason": "kept", **fields}
    workspace.history.add_attempts({**row, "call_id": f"x{first + i}", "agreed": i % n >= wrong} for i in range(n))


def state(workspace: Workspace) -> str:
    return next(s.state for s in workspace.specialists() if s.id == "s2")


def test_it_takes_the_evidence_that_delta_asks_for_and_the_certificate_tells_of_the_shadow(
    workspace: Workspace, second: Specialist
) -> None:
    measured = figures(threshold=None)
    workspace.findings.save_improvement(ImprovementRow("colour", specialist_id="s2", figures=measured.to_record()))
    shadowed(workspace, 5, first=1_000, reason="below threshold")
    shadowed(workspace, 79)
    assert look(workspace) == [] and state(workspace) == "shadow"
    shadowed(workspace, 1, first=79)
    assert [event.what for event in look(workspace)] == ["canary"]
    route = workspace.routes()["s2"]
    assert (route.proof, route.calibration_calls, route.kept, route.errors) == ("shadow", 85, 80, 0)
    certified = (next(s for s in workspace.specialists() if s.id == "s2").report or {})["certificate"]
    assert certified["threshold"] == route.threshold and certified["proof"] == "shadow"
    assert certified["reason"].startswith("The shadow showed it: 80 of 85 calls asked there were kept and 0 of them")
    (task,) = gather(workspace).tasks
    assert task.certified is not None and task.certified.coverage == 80 / 85
    assert calibration(task) == "80 of 85 calls of the shadow kept, 0 of them wrong"
    assert proof_so_far(workspace, second) is None


def test_delta_is_shared_with_the_scan_of_which_a_fifth_goes_on() -> None:
    for delta in (0.05, 0.0125):
        assert delta / RULES.evidence + 1 / evidence_for("owed", delta) == pytest.approx(delta)
    assert evidence_for("held-out", 0.05) == evidence_for("shadow", 0.05) == RULES.evidence


def test_until_then_nobody_lets_it_answer(workspace: Workspace, second: Specialist) -> None:
    shadowed(workspace, 41)
    (task,) = workspace.tasks()
    ways: tuple[Callable[[], object], ...] = (
        lambda: lifecycle.promote(workspace, second),
        lambda: lifecycle.canary(workspace, second, "by hand"),
        lambda: decide(workspace, task, {"pin": "colour-v2"}),
    )
    for way in ways:
        with pytest.raises(BadInput, match="its shadow is to, 41 of about 80 kept answers, none wrong"):
            way()
    assert state(workspace) == "shadow" and not policy_of(workspace, "colour").pin
    lifecycle.retire(workspace, second)
    with pytest.raises(BadInput, match="no shadow has shown it"):
        lifecycle.promote(workspace, second)


def test_how_far_it_is_is_told(workspace: Workspace, second: Specialist) -> None:
    workspace.findings.save_improvement(ImprovementRow("colour", reason="Too few.", specialist_id="s2"))
    shadowed(workspace, 41, wrong=1)
    (task,) = status(workspace)["tasks"]
    proof = task["proof"]
    assert (proof["compared"], proof["disagreed"]) == (41, 1) and 100 < proof["needed"] < 250
    assert task["reason"] == f"Too few. So far 41 of about {proof['needed']} kept answers, 1 wrong."
    assert proof["share"] == 41 / proof["needed"]


def test_one_that_is_too_often_wrong_is_not_expected_to_be_shown(workspace: Workspace, second: Specialist) -> None:
    shadowed(workspace, 40, wrong=4)
    proof = proof_so_far(workspace, second)
    assert proof is not None and proof.needed is None and proof.share == 0.0
    assert proof.words == "40 and not expected within 2,000 kept answers, 4 wrong"


def test_one_that_is_certified_owes_nothing(workspace: Workspace) -> None:
    made = specialist(2, "candidate")
    workspace.save_specialist(made)
    lifecycle.shadow(workspace, made, terms(2), "certified")
    assert proof_so_far(workspace, made) is None and status(workspace)["tasks"][0]["proof"] is None


# Calls that count


def asked(workspace: Workspace, calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The reasons of the tries after one more pass of the shadow."""
    monkeypatch.setattr(shadowing.serve, "open_engines", lambda *_: Replicas([MemoryEngine()]))
    workspace.add_calls(calls)
    made = next(s for s in workspace.specialists() if s.id == "s2")
    shadow(workspace, made)
    return [row.reason for row in workspace.history.attempts(specialist_id="s2")]


def fresh(number: int, prompt: int | None = None, **fields: Any) -> Any:
    made = call(number if prompt is None else prompt, said=None, **fields)
    return replace(made, id=f"c{number}", time=time.time() + 60 + number)


@pytest.mark.parametrize("cleared", [False, True])
def test_of_a_run_and_of_a_prompt_one_call_counts_in_all_passes(
    workspace: Workspace, second: Specialist, monkeypatch: pytest.MonkeyPatch, cleared: bool
) -> None:
    """Ten calls of one run, and a prompt ten times: counted one by one, errors that come together show too much."""
    runs = [fresh(n, run=f"run {n // 10}") for n in range(20)]
    assert sorted(asked(workspace, runs, monkeypatch)) == ["kept"] * 2 + ["repeated"] * 18
    if cleared:
        workspace.clear_cache()
    prompts = [fresh(100 + n, prompt=7) for n in range(10)]
    later = [fresh(200 + n, run="run 1") for n in range(10)]
    counts = asked(workspace, [*prompts, *later], monkeypatch)[20:]
    assert counts.count("kept") == 1 and counts.count("repeated") == 19
    assert len(tries(workspace, second)) == 3


def test_calls_of_a_wording_that_the_route_leaves_to_the_teacher_do_not_count(
    workspace: Workspace, second: Specialist, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.save_route(replace(workspace.routes()["s2"], signatures=("sig-other",)))
    assert asked(workspace, [fresh(n) for n in range(20)], monkeypatch) == []


def test_from_the_shadow_s_calls_to_a_canary(
    workspace: Workspace, second: Specialist, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asked(workspace, [fresh(n, run=f"run {n}") for n in range(79)], monkeypatch) == ["kept"] * 79
    assert look(workspace) == []
    asked(workspace, [fresh(n, run=f"run {n}") for n in range(79, 90)], monkeypatch)
    assert [event.what for event in look(workspace)] == ["canary"]
    assert workspace.routes()["s2"].proof == "shadow" and state(workspace) == "canary"


# Retraining


@pytest.mark.parametrize(
    ("calls", "compared", "wrong", "is_due"),
    [(150, 10, 0, False), (199, 10, 0, False), (200, 10, 0, True), (900, 41, 0, False), (900, 41, 4, True)],
)
def test_a_retraining_waits_for_twice_the_calls_or_for_a_proof_that_is_half_there(
    workspace: Workspace, second: Specialist, calls: int, compared: int, wrong: int, is_due: bool
) -> None:
    shadowed(workspace, compared, wrong)
    (task,) = workspace.tasks()
    workspace.add_calls(call(n, said=None) for n in range(calls))
    workspace.save_tasks([task], {f"c{n}": task.id for n in range(calls)})
    due, why = retraining.due_since(workspace, task, DataSet(calls=100))
    assert due is is_due, why
