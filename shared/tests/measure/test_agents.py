"""The whole agent with specialists and without: each case twice, paired, priced by what was recorded meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agents import INSTRUCTIONS, LiveHome
from protege import Workspace
from protege.call import Reply, text_of
from protege.capture.calls import OpenCall, Place
from protege.cluster.worth import MACHINE_USD_PER_HOUR
from protege.collect import Recorder
from protege.errors import BadInput
from protege.measure.agents import compare_agents
from protege.report import gather, status, write_report
from protege.rollout import decide

CASES = [f"thing {number}" for number in range(12)]
SPECIALIST_USD = 3.0 * MACHINE_USD_PER_HOUR / 3.6e6
"""Of one answer of the engine in memory, which says that it took 3 ms."""
TEACHER_USD = 100 * 2e-6 + 10 * 8e-6
"""Of one answer of gpt-4.1, of 100 tokens read and 10 written."""


class Agent:
    """Names a thing's colour in one call. said: what its teacher answers; routed: who was asked, in order."""

    def __init__(self, home: LiveHome, model: str = "gpt-4.1") -> None:
        self.home, self.model, self.recorder = home, model, Recorder(home.path)
        self.said = "red"
        self.routed: list[tuple[str, bool]] = []

    def __call__(self, thing: str) -> str:
        messages = [{"role": "system", "content": INSTRUCTIONS["label"]}, {"role": "user", "content": thing}]
        call = OpenCall(self.recorder, messages, {"model": self.model}, Place("test"))
        outcome = self.home.router.answer(call.request)
        call.attempted(outcome.attempts, str(outcome.decision))
        self.routed.append((thing, outcome.message is not None))
        if outcome.message is not None:
            call.answered(Reply(outcome.message, "stop", outcome.specialist_id, 5, 1))
            return text_of(outcome.message)
        call.answered(Reply({"role": "assistant", "content": self.said}, "stop", None, 100, 10))
        return self.said


@pytest.fixture
def agent(live_home: LiveHome) -> Agent:
    return Agent(live_home)


def test_each_case_is_run_with_and_without_in_an_order_that_alternates(live_home: LiveHome, agent: Agent) -> None:
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES)
    expected = [
        (case, kept) for i, case in enumerate(CASES) for kept in ((True, False) if i % 2 == 0 else (False, True))
    ]
    assert agent.routed == expected
    assert (found.with_specialists.runs, found.without.runs) == (12, 12)
    assert (found.with_specialists.calls, found.with_specialists.kept) == (12, 12)
    assert (found.without.calls, found.without.kept) == (12, 0)
    assert found.paired is not None and (found.paired.both, found.paired.p_value) == (12, 1.0)


def test_each_is_priced_by_what_was_recorded_meanwhile(live_home: LiveHome, agent: Agent) -> None:
    agent("before")
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES)
    assert found.with_specialists.cost_usd == pytest.approx(12 * SPECIALIST_USD)
    assert found.without.cost_usd == pytest.approx(12 * TEACHER_USD)
    assert found.without.usd_a_success == pytest.approx(TEACHER_USD)
    assert found.without.latency_ms is not None and found.without.latency_ms > 0


def test_answers_that_are_handed_back_cost_both(live_home: LiveHome, agent: Agent) -> None:
    live_home.engine.probability = 0.1
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES)
    assert found.with_specialists.kept == 0
    assert found.with_specialists.cost_usd == pytest.approx(12 * (TEACHER_USD + SPECIALIST_USD))


def test_success_is_paired_and_tested(live_home: LiveHome, agent: Agent) -> None:
    agent.said = "blue"  # what the user wants of all but the first; the specialist says red
    found = compare_agents(
        live_home.workspace, lambda case: agent(case) == ("red" if case == CASES[0] else "blue"), CASES
    )
    pairs = found.paired
    assert pairs is not None
    assert (pairs.both, pairs.only_with, pairs.only_without, pairs.neither) == (0, 1, 11, 0)
    assert pairs.p_value == pytest.approx(2 * 13 / 2**12)
    assert found.difference == pytest.approx(-10 / 12)
    assert found.interval[0] < found.difference < found.interval[1] < 0


def test_a_run_that_raises_has_failed_and_is_told_by_its_type_alone(
    live_home: LiveHome, agent: Agent, tmp_path: Path
) -> None:
    def run(case: str) -> bool:
        if agent(case) == "red" and case in CASES[:3]:
            raise LookupError("the content of a call")
        return True

    found = compare_agents(live_home.workspace, run, CASES)
    for runs in (found.with_specialists, found.without):
        assert (runs.succeeded, runs.errors) == (9, {"LookupError": 3})
    for suffix in ("md", "html", "json"):
        text = write_report(tmp_path / f"report.{suffix}", gather(live_home.workspace)).read_text()
        assert "LookupError" in text and "the content of a call" not in text


@pytest.mark.parametrize("before", [None, "off", "on"])
def test_the_switch_is_afterwards_as_it_was(
    live_home: LiveHome, agent: Agent, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    if before is not None:
        monkeypatch.setenv("PROTEGE_ROUTE", before)
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES[:2])
    assert found.with_specialists.kept == 2, "also where it was off"
    assert os.environ.get("PROTEGE_ROUTE") == before

    def interrupted(case: str) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_agents(live_home.workspace, interrupted, CASES)
    assert os.environ.get("PROTEGE_ROUTE") == before
    kept = live_home.workspace.findings.end_to_end()
    assert kept is not None and kept["with"]["runs"] == 2, "what was measured before stands"


def test_what_has_no_price_has_no_cost_unless_one_stands_for_it(live_home: LiveHome) -> None:
    agent = Agent(live_home, model="a model of no list")
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES[:2])
    assert found.without.cost_usd is None and found.without.usd_a_success is None
    assert found.with_specialists.cost_usd == pytest.approx(2 * SPECIALIST_USD)
    decide(live_home.workspace, None, {"price_as": "gpt-4.1"})
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES[:2])
    assert found.without.cost_usd == pytest.approx(2 * TEACHER_USD)


def test_an_agent_that_records_elsewhere_has_no_cost(live_home: LiveHome) -> None:
    found = compare_agents(live_home.workspace, lambda case: True, CASES)
    assert found.without.cost_usd is None and found.without.calls == 0


def test_report_and_status_show_what_was_compared(live_home: LiveHome, agent: Agent, tmp_path: Path) -> None:
    found = compare_agents(live_home.workspace, lambda case: agent(case) == "red", CASES)
    assert gather(live_home.workspace).end_to_end == found
    told = status(live_home.workspace)["end_to_end"]
    assert told == found.to_record() and told["paired"]["p_value"] == 1.0
    text = write_report(tmp_path / "report.md", gather(live_home.workspace)).read_text()
    assert "12 of 12 runs succeed" in text and "specialists answer 12 of 12 calls" in text
    assert "McNemar's exact p = 1" in text


def test_counts_from_elsewhere_are_read_as_independent_samples(live_home: LiveHome) -> None:
    counts = {"without": {"runs": 50, "succeeded": 43}, "with": {"runs": 40, "succeeded": 32, "cost_usd": 0.1}}
    live_home.workspace.findings.save_end_to_end(counts)
    found = gather(live_home.workspace).end_to_end
    assert found is not None and found.paired is None and found.without.cost_usd is None
    assert found.difference == pytest.approx(-0.06)
    assert found.interval[0] < found.difference < found.interval[1]


@pytest.mark.parametrize("cases", [(), []])
def test_without_a_case_nothing_is_run(live_home: LiveHome, cases: Any) -> None:
    with pytest.raises(BadInput, match="no case"):
        compare_agents(live_home.workspace, lambda case: True, cases)


def test_without_a_live_specialist_nothing_is_run(tmp_path: Path, agent: Callable[[str], str]) -> None:
    with pytest.raises(BadInput, match="No specialist is live"):
        compare_agents(Workspace(tmp_path / "none"), lambda case: bool(agent(case)), CASES)
