"""State is not cache: what is cached may be deleted at any time without changing who answers, or what that rests on."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from protege import Workspace
from protege.certify import ledger
from protege.report import status
from protege.rollout import TaskPolicy, lifecycle, policy_of, publish, set_policy
from protege.store import DataSet, Decision, ImprovementRow, Realised, Reason, Stage, tables
from watched import call, colour_task, specialist, terms

TASK = colour_task()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """One in which a specialist has replaced another, one is in the shadow, and one was taken out."""
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([TASK], {})
    for version in range(1, 5):
        workspace.save_specialist(specialist(version, "candidate"))
    for version in (4, 1, 2):
        lifecycle.promote(workspace, specialist(version, "candidate"), terms(version), "certified")
        if version == 4:
            lifecycle.retire(workspace, specialist(4, "live"))
    lifecycle.shadow(workspace, specialist(3, "candidate"), terms(3), "certified")
    workspace.add_calls(call(number, by="s2") for number in range(30))
    set_policy(workspace, TASK, {"epsilon": 0.1, "latency_ms": 700.0, "price_as": "gpt-4.1"})
    workspace.state.add_decision(TASK.id, Decision("of before", ("c1", "c2"), 0.05))
    figures = {"evaluation": {"agreement": 0.97, "latency_p50_ms": 5.0}, "certified_coverage": 0.9}
    workspace.findings.save_improvement(ImprovementRow(TASK.id, "live", "It keeps 90%.", "s2", figures))
    workspace.findings.save_data_set(TASK.id, DataSet("d", "m", 20, 5.0, 3))
    workspace.watched.save_reason(TASK.id, Reason("A drift.", 5.0))
    for key in ("judged:s2:f:test:h", "parity:s2:f", "select:h", "prompts:h", f"worth:{TASK.id}", "tasks:30"):
        workspace.cache(key, {"some": "thing"})
    publish(workspace)
    return workspace


def told(workspace: Workspace) -> dict[str, Any]:
    """All that decides who answers, and what people are shown of it."""
    publish(workspace)
    every = workspace.specialists()
    return {
        "routes.json": (workspace.home / "routes.json").read_bytes(),
        "states": {s.id: s.state for s in every},
        "policy": policy_of(workspace, TASK.id),
        "stages": {s.id: workspace.state.stage(s.id) for s in every},
        "predecessors": [s.id for s in lifecycle.predecessors(workspace, every[1])],
        "taken out": [s.id for s in every if lifecycle.taken_out(workspace, s)],
        "ledger": workspace.state.decisions(TASK.id),
        "events": workspace.history.events(),
        "watched": (workspace.watched.noticed(), workspace.watched.reason(TASK.id)),
        "data set": workspace.findings.data_set(TASK.id),
        "status": status(workspace),
    }


def test_without_the_cache_the_same_specialists_answer_on_the_same_promise(workspace: Workspace) -> None:
    before = told(workspace)
    assert before["states"] == {"s1": "retired", "s2": "live", "s3": "shadow", "s4": "retired"}
    assert before["predecessors"] == ["s1"] and before["taken out"] == ["s4"]
    workspace.clear_cache()
    with sa.create_engine(f"sqlite:///{workspace.home / 'store.db'}").connect() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(tables.cache)) == 0
    assert told(Workspace(workspace.home)) == before


def test_without_the_cache_what_was_spent_of_delta_stays_spent(workspace: Workspace) -> None:
    judged: Any = [SimpleNamespace(call_id=f"c{number}") for number in range(4)]

    def spent(decision: str) -> float:
        return ledger.spend(workspace, TASK.id, decision, judged, 0.05).delta

    first, again = spent("a"), spent("b")
    workspace.clear_cache()
    assert (spent("a"), spent("b")) == (first, again) and again < first
    assert spent("c") < again, "a third look at the same calls costs more still"


def test_two_entries_of_one_decision_are_one_and_the_first_holds(workspace: Workspace) -> None:
    workspace.state.add_decision(TASK.id, Decision("of before", ("c9",), 0.01))
    assert workspace.state.decisions(TASK.id) == [Decision("of before", ("c1", "c2"), 0.05)]


def test_what_was_never_said_is_told_from_what_was(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert (workspace.state.policy("t"), workspace.state.stage("s"), workspace.state.decisions("t")) == ({}, None, [])
    assert not workspace.state.replaced("s") and not workspace.state.taken_out("s")
    assert workspace.findings.data_set("t") is workspace.findings.improvement("t") is workspace.findings.ceiling("t")
    assert workspace.findings.realised("t") is workspace.findings.end_to_end() is workspace.findings.stand_in() is None
    assert workspace.watched.reason("t") is None and workspace.watched.noticed() == workspace.watched.compared("t") == 0
    workspace.state.save_policy("t", {"off": False, "pin": ""})
    assert workspace.state.policy("t") == {"off": False, "pin": ""}
    workspace.state.save_policy("t", {})
    assert workspace.state.policy("t") == {} and policy_of(workspace, "t") == TaskPolicy()


def test_marks_are_set_one_by_one(tmp_path: Path) -> None:
    state = Workspace(tmp_path).state
    state.save_replaced("s", True)
    state.save_taken_out("s", True)
    state.save_replaced("s", False)
    assert (state.replaced("s"), state.taken_out("s")) == (False, True)
    state.save_stage("s", Stage(3, 9, 1.5))
    assert state.stage("s") == Stage(3, 9, 1.5)


def test_scripts_may_tell_the_report_what_calls_cannot(tmp_path: Path) -> None:
    findings = Workspace(tmp_path).findings
    findings.save_stand_in("Labels, not a model.")
    assert findings.stand_in() == "Labels, not a model."
    findings.save_stand_in(None)
    assert findings.stand_in() is None
    findings.save_realised("t", Realised(9, 8, 8, 1))
    assert findings.realised("t") == Realised(9, 8, 8, 1)


def test_a_task_is_found_by_its_id_before_its_name_and_a_merged_one_by_its_specialist(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    other = replace(TASK, id="t-2", name="colour", merged=("t-0",))
    workspace.save_tasks([other, replace(TASK, name="hue")], {})
    assert workspace.task("colour") == replace(TASK, name="hue") and workspace.task("t-2") == other
    assert workspace.task("hue") == replace(TASK, name="hue") and workspace.task("none") is None
    assert workspace.task_of(replace(specialist(1, "live"), task_id="t-0")) == other
    assert workspace.specialist("s1") is None


def test_two_processes_may_open_a_new_home_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_open, args=(tmp_path / "home", which)) for which in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert [Workspace(tmp_path / "home").cached(str(which)) for which in range(3)] == [0, 1, 2]


def _open(home: Path, which: int) -> None:
    Workspace(home).cache(str(which), which)
