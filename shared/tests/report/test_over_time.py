"""Live calls by day and hour, and what a workspace gives a report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE
from protege import Call, Route, Specialist, Task, Workspace
from protege.errors import ProtegeError
from protege.report import HourlyCounts, OverTime, examples, gather, history, status, write_report
from protege.stats.intervals import clopper_pearson
from protege.store.records import AttemptCount, Event, ImprovementRow

HOUR_S, DAY_S = 3600.0, 86_400.0
NOON = 20_000 * DAY_S + 12 * HOUR_S


def attempt(
    outcome: str, time: float | None = NOON, reason: str = "", task: str = "t", agreed: bool | None = None
) -> AttemptCount:
    return AttemptCount(task, "s", outcome, reason, agreed, time, 1)


def counted(*attempts: AttemptCount, saved_usd: float | None = None) -> OverTime:
    return HourlyCounts({"t": saved_usd}).take(attempts).over_time()


def test_no_attempt_is_no_period() -> None:
    assert counted() == OverTime()
    assert counted(attempt("kept", None)) == OverTime()
    assert counted(attempt("shadowed", reason="kept", agreed=False)) == OverTime(), "no agent was answered"


def test_coverage_counts_what_would_have_been_kept_had_it_not_been_audited() -> None:
    [period] = counted(
        *[attempt("kept")] * 5,
        *[attempt("audited", reason="kept", agreed=True)] * 2,
        attempt("audited", reason="kept", agreed=False),
        attempt("audited", reason="kept"),
        attempt("audited", reason="below threshold", agreed=False),
        attempt("handed_back", reason="below threshold"),
        attempt("failed", reason="timed out"),
        saved_usd=0.25,
    ).periods
    assert (period.asked, period.kept, period.coverage) == (12, 5, 0.75)
    assert (period.compared, period.disagreed) == (3, 1), "only what was compared, and would have been kept"
    assert period.agreement == pytest.approx(2 / 3)
    assert period.interval == clopper_pearson(2, 3)
    assert period.saved_usd == 1.25


def test_two_days_are_shown_by_the_hour_and_more_by_the_day() -> None:
    found = counted(attempt("kept"), attempt("kept", NOON + 59 * 60), attempt("failed", NOON + 47 * HOUR_S))
    assert found.unit == "hour"
    assert [(p.start, p.asked) for p in found.periods] == [(NOON, 2), (NOON + 47 * HOUR_S, 1)]
    found = counted(attempt("failed", NOON + 48 * HOUR_S), attempt("kept"), attempt("kept", NOON + 11 * HOUR_S))
    assert found.unit == "day"
    assert [(p.start, p.asked) for p in found.periods] == [(NOON - 12 * HOUR_S, 2), (NOON + 36 * HOUR_S, 1)]
    assert found.whole is not None
    assert (found.whole.asked, found.whole.kept) == (3, 2)


def test_a_task_alone_has_the_unit_of_all_and_savings_only_where_its_costs_are_known() -> None:
    ledger = HourlyCounts({"t": 0.5, "u": None}).take([attempt("kept"), attempt("kept", NOON + 3 * DAY_S, task="u")])
    assert ledger.over_time().unit == ledger.over_time("t").unit == "day"
    assert [p.saved_usd for p in ledger.over_time().periods] == [0.5, None]
    assert ledger.over_time("u").whole is not None
    assert ledger.over_time("other") == OverTime("day")


# From a workspace

EVALUATION = {
    "grader": "exact match",
    "n": 100,
    "agreement": 0.97,
    "interval": [0.91, 0.99],
    "latency_p50_ms": 36.0,
    "input_tokens": 20.0,
    "auroc": 0.9,
    "examples": [
        {
            "outcome": "wrong",
            "prompt": "card 4111 1111 1111 1111",
            "answer": "red",
            "teacher": "blue",
            "confidence": 0.9,
        }
    ],
}
NEW_PARTS = {
    "aurc": 0.01,
    "reliability": {
        "bins": [{"n": 9, "confidence": 0.8, "agreement": 0.9, "interval": [0.5, 1]}],
        "ece": 0.1,
        "brier": 0,
    },
    "slices": [
        {"by": "answer", "value": "red", "n": 60, "agreed": 59, "agreement": 0.98, "interval": [0.9, 1.0]},
        {"by": "node", "value": "paint", "n": 60, "agreed": 59, "agreement": 0.98, "interval": [0.9, 1.0]},
    ],
    "confusions": [{"teacher": "blue", "specialist": "red", "n": 3}],
    "fields": [
        {"field": "a", "calls": 9, "missing": 1, "extra": 0, "different": 0},
        {"field": "Anna", "calls": 1, "missing": 1, "extra": 0, "different": 0},
    ],
    "worst": EVALUATION["examples"],
}
TASK = Task("t", "colours", "label", labels=("red", "blue"), calls=3, cost_usd=0.0002)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return made(Workspace(tmp_path / "home"), {**EVALUATION, **NEW_PARTS})


def made(workspace: Workspace, evaluation: dict[str, Any], task: Task = TASK) -> Workspace:
    workspace.save_tasks([task], {})
    figures = {"evaluation": evaluation, "certified_coverage": 0.9, "hindsight_coverage": 0.95}
    workspace.save_specialist(
        Specialist("s", "colours-v1", "t", 1, BASE, "slots", state="live", report=figures, created=1.0)
    )
    workspace.findings.save_improvement(ImprovementRow("t", "live", "kept", "s", figures))
    return workspace


def tried(call_id: str, outcome: str, reason: str, **known: Any) -> Call:
    return Call.from_record(
        {
            "id": call_id,
            "messages": [{"role": "user", "content": "What colour?"}],
            "response": {"role": "assistant", "content": "red"},
            "time": NOON,
            "attempts": [{"by": "s", "outcome": outcome, "reason": reason, **known}],
        }
    )


def test_the_report_shows_what_was_tried_and_what_happened(workspace: Workspace, tmp_path: Path) -> None:
    workspace.add_calls(
        [tried("1", "kept", "kept"), tried("2", "kept", "kept"), tried("3", "handed_back", "below threshold")]
    )
    workspace.history.note(Event("canary", "It may answer a tenth.", "t", "s", NOON))
    workspace.history.note(Event("rolled back", "Audits disagree.", "t", "s", NOON + 60))
    workspace.history.note(Event("drift", "Wordings are new.", "gone", None, NOON + 30))
    workspace.findings.save_end_to_end(
        {
            "without": {"runs": 9, "succeeded": 8, "cost_usd": 0.9},
            "with": {"runs": 9, "succeeded": 8, "cost_usd": None},
        },
    )
    data = gather(workspace)
    assert data.over_time.whole is not None
    assert (data.over_time.whole.asked, data.over_time.whole.kept) == (3, 2)
    assert data.over_time.whole.saved_usd == pytest.approx(2 * (0.0002 - 36 / 3_600_000 * 0.05), rel=0.5)
    assert [(i.what, i.task, i.specialist) for i in data.incidents] == [
        ("rolled back", "colours", "colours-v1"),
        ("drift", "gone", None),
        ("canary", "colours", "colours-v1"),
    ]
    assert data.end_to_end is not None and data.end_to_end.with_specialists.usd_a_success is None
    for suffix in ("html", "json", "md"):
        assert "Audits disagree" in write_report(tmp_path / f"r.{suffix}", data).read_text()


def test_attempts_are_counted_by_sort_and_period(workspace: Workspace) -> None:
    def row(call_id: str, time: float | None, outcome: str = "kept", agreed: bool | None = None) -> dict[str, Any]:
        return {
            "call_id": call_id,
            "specialist_id": "s",
            "task_id": "t",
            "time": time,
            "outcome": outcome,
            "reason": "kept",
        } | {"agreed": agreed}

    assert workspace.history.count_attempts() == []
    rows = [
        row("1", NOON),
        row("2", NOON + HOUR_S - 1),
        row("3", NOON + HOUR_S),
        row("4", None),
        row("5", NOON, "audited"),
    ]
    workspace.history.add_attempts([*rows, row("6", NOON, "audited", False), row("7", NOON, "audited", False)])

    def counts(every_s: int | None) -> set[tuple[str, bool | None, float | None, int]]:
        return {(c.outcome, c.agreed, c.start, c.n) for c in workspace.history.count_attempts(every_s)}

    audited = {("audited", None, NOON, 1), ("audited", False, NOON, 2)}
    assert counts(3600) == {
        *audited,
        ("kept", None, NOON, 2),
        ("kept", None, NOON + HOUR_S, 1),
        ("kept", None, None, 1),
    }
    assert counts(None) == {("audited", None, None, 1), ("audited", False, None, 2), ("kept", None, None, 4)}


@pytest.mark.parametrize("state", ["live", "canary", "shadow"])
def test_a_task_is_as_far_as_its_furthest_specialist(workspace: Workspace, state: Any) -> None:
    [old] = workspace.specialists()
    workspace.save_specialist(replace(old, state=state))
    workspace.save_specialist(replace(old, id="s2", name="colours-v2", version=2, state="candidate"))
    workspace.save_route(Route("t", "s", 0.9, "f", 0.05, 0.05, 100, 90, 1, share=0.1))
    [task] = gather(workspace).tasks
    assert (task.state, task.share) == (state, 0.1)
    workspace.save_specialist(replace(old, state="retired"))
    assert gather(workspace).tasks[0].state == "teacher"


def test_the_status_is_json_and_tells_the_same(workspace: Workspace) -> None:
    workspace.add_calls([tried("1", "kept", "kept"), tried("2", "audited", "kept", rate=0.1)])
    workspace.history.note(Event("live", "Certified.", "t", "s", NOON))
    found = json.loads(json.dumps(status(workspace)))
    assert found["over_time"]["unit"] == "hour"
    assert found["over_time"]["whole"]["coverage"] == 1.0
    assert found["over_time"]["whole"]["agreement"] is None
    assert found["incidents"][0]["what"] == "live"
    assert found["end_to_end"] is None
    over_time, [incident] = history(workspace)
    assert over_time.whole is not None and over_time.whole.asked == 2 and incident.what == "live"


def test_figures_of_an_older_version_are_shown_without_the_new_parts(tmp_path: Path) -> None:
    [task] = gather(made(Workspace(tmp_path / "home"), EVALUATION)).tasks
    assert task.agreement is not None and task.auroc == 0.9
    assert (task.reliability, task.aurc, task.slices, task.worst) == (None, None, (), ())
    assert len(task.examples) == 1


def test_examples_are_redacted_and_labels_stay(workspace: Workspace) -> None:
    [task] = gather(workspace).tasks
    for example in (*task.examples, *task.worst):
        assert "4111" not in example.prompt and len(example.prompt) > 19
        assert (example.answer, example.teacher) == ("red", "blue")


def test_no_example_is_shown_that_cannot_be_redacted(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ProtegeError("No model.", "Install it.")

    monkeypatch.setattr(examples, "load_policy", broken)
    data = gather(workspace)
    assert data.tasks[0].examples == data.tasks[0].worst == ()
    assert any("No examples are shown" in note and "Install it." in note for note in data.notes)


def test_answers_are_shown_as_kinds_of_call_only_where_they_are_labels(workspace: Workspace) -> None:
    [task] = gather(workspace).tasks
    assert {s.by for s in task.slices} == {"answer", "node"} and task.confusions
    assert [f.field for f in task.fields] == ["a"], "what only one call has may be a name"
    made(workspace, {**EVALUATION, **NEW_PARTS}, replace(TASK, kind="text", labels=()))
    [task] = gather(workspace).tasks
    assert {s.by for s in task.slices} == {"node"} and not task.confusions
