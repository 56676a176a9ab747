"""One odd call costs itself, or the odd figure in it, and never another call or a loop."""

from __future__ import annotations

import contextlib
import importlib.metadata
from pathlib import Path
from typing import Any

import orjson
import pytest
from poison import GOOD, good, poisoned, written
from protege import Workspace
from protege.cli import doctor
from protege.collect import Recorder, collect, drain
from protege.collect.journal import JournalWriter
from protege.curate import curate
from protege.errors import ProtegeError
from protege.loop.tasks import find_tasks
from protege.redact import RedactionPolicy
from protege.watch import look

CALLS = 100


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "home")


def journal(workspace: Workspace, *payloads: bytes) -> None:
    writer = JournalWriter(workspace.home / "journal")
    for payload in payloads:
        writer.append(payload)
    writer.close()


def ids(workspace: Workspace) -> set[str]:
    return {call.id for call in workspace.calls()}


def set_aside(workspace: Workspace, place: str) -> int:
    return sum(workspace.quarantine.counts().get(place, {}).values())


def through_the_loops(workspace: Workspace, expected: set[str]) -> None:
    tasks = find_tasks(workspace)
    assert tasks and expected <= ids(workspace)
    for task in tasks:
        with contextlib.suppress(ProtegeError):
            curate(task, list(workspace.calls(task_id=task.id)), None, RedactionPolicy(model=False))
    look(workspace)


def test_poison_in_the_journal(workspace: Workspace) -> None:
    for i, call in enumerate(poisoned(1, CALLS)):
        journal(workspace, written(call), good(f"good-{i}"))
    added = drain(workspace)
    assert added + set_aside(workspace, "drain") == 2 * CALLS
    through_the_loops(workspace, {f"good-{i}" for i in range(CALLS)})
    assert drain(workspace) == 0


def test_poison_in_a_file(workspace: Workspace, tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    file.write_bytes(b"\n".join(written(c) + b"\n" + good(f"good-{i}") for i, c in enumerate(poisoned(2, CALLS))))
    result = collect(workspace, [file], form="calls")
    assert result.added + result.unusable == 2 * CALLS
    assert result.unusable >= set_aside(workspace, "import") > 0
    assert not list(workspace.history.attempts()), "what a file says of specialists was not measured here"
    through_the_loops(workspace, {f"good-{i}" for i in range(CALLS)})


def test_poison_from_an_agent(workspace: Workspace) -> None:
    recorder = Recorder(workspace.home)
    for i, call in enumerate(poisoned(3, CALLS)):
        recorder.record(call)
        recorder.record(orjson.loads(good(f"good-{i}")))
    added = drain(workspace)
    assert recorder.lost == 0
    assert added + set_aside(workspace, "drain") == 2 * CALLS
    through_the_loops(workspace, {f"good-{i}" for i in range(CALLS)})


@pytest.mark.parametrize(
    "odd",
    [{"usage": {"input_tokens": 1e300, "output_tokens": 5}}, {"latency_ms": -1}, {"cost_usd": float("inf")},
     {"model": {"name": "x"}}, {"finish_reason": ["stop"]}, {"error": "x" * 9000}, {"time": 1e300}],
)  # fmt: skip
def test_what_a_server_reports_wrongly_costs_the_figure_and_not_the_call(workspace: Workspace, odd: Any) -> None:
    Recorder(workspace.home).record({**GOOD, "id": "a", **odd})
    assert drain(workspace) == 1
    (call,) = workspace.calls()
    assert call.response == GOOD["response"]
    assert call.tokens_estimated == ("usage" in odd) and (call.input_tokens == 12 or call.tokens_estimated)
    if call.tokens_estimated:
        assert 0 < (call.input_tokens or 0) < 100 and call.output_tokens == 5


@pytest.mark.parametrize("mark", [{"$part": ["x"]}, {"$part": "0" * 32}, {"$part": {"$part": "y"}}, {"$part": None}])
def test_a_call_may_hold_what_the_store_marks_its_parts_with(workspace: Workspace, mark: Any) -> None:
    journal(workspace, orjson.dumps({**GOOD, "id": "a", "response_format": mark}))
    drain(workspace)
    (call,) = workspace.calls()
    assert call.request.response_format == mark


def test_what_is_set_aside_is_told_and_read_again_by_a_later_version_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "a secret word"
    journal(workspace, orjson.dumps({**GOOD, "id": "a", "node": 5, "feedback": secret}), good("good"))
    drain(workspace)
    assert workspace.quarantine.counts() == {"drain": {"BadCall": 1}}
    told = [finding for finding in doctor.checkup(workspace.home) if finding.name == "set aside"]
    assert len(told) == 1 and "1 BadCall" in told[0].fact and secret not in str(told)
    assert not workspace.quarantine.of_other_versions(("drain",)), "never by the version that set it aside"
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.0")
    assert drain(workspace) == 0
    assert not workspace.quarantine.of_other_versions(("drain",)), "once a version"
    assert set_aside(workspace, "drain") == 1
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "99.1")
    monkeypatch.setattr("protege.collect.draining.without_odd_fields", lambda record: {**record, "node": ["n"]})
    assert drain(workspace) == 1 and ids(workspace) == {"a", "good"}
    assert workspace.quarantine.total() == 0


def test_a_damaged_row_of_the_store_costs_that_call(workspace: Workspace) -> None:
    journal(workspace, good("a"), good("b"))
    drain(workspace)
    with workspace._database.connection() as connection:
        connection.exec_driver_sql("UPDATE calls SET body = X'00' WHERE id = 'a'")
    assert ids(workspace) == {"b"}
    assert set_aside(workspace, "store") == 1


def test_a_grader_that_breaks_on_an_answer_costs_that_comparison(workspace: Workspace, tmp_path: Path) -> None:
    """See `evaluate.judging`: an unexpected error makes the answer invalid, and the others are judged."""
    from protege.common.confinement import Aside, Confinement

    asides: list[Aside] = []
    confinement = Confinement("evaluation", asides.append, through=(ProtegeError,))
    with confinement.each("a"):
        raise RecursionError
    with pytest.raises(ProtegeError), confinement.each("b"):
        raise ProtegeError("this speaks of all")
    with pytest.raises(KeyboardInterrupt), confinement.each("c"):
        raise KeyboardInterrupt
    assert [(aside.key, aside.reason) for aside in asides] == [("a", "RecursionError")]
