"""What a file says that specialists did was not measured here: it promotes, ends, counts and teaches nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from protege import Attempt, Call, Workspace
from protege.collect import collect
from protege.report import exposition
from protege.report.gather import status
from protege.watch import look
from watched import call, specialist, terms


def imported(workspace: Workspace, tmp_path: Path, calls: list[dict[str, Any]]) -> Any:
    file = tmp_path / "from-elsewhere.jsonl"
    file.write_text("\n".join(map(json.dumps, calls)))
    return collect(workspace, [file])


def states(workspace: Workspace) -> dict[str, str]:
    return {each.id: each.state for each in workspace.specialists()}


def test_agreements_of_a_file_make_no_canary_live(workspace: Workspace, tmp_path: Path) -> None:
    workspace.save_specialist(specialist(2, "canary"))
    workspace.save_route(terms(2, share=0.2))
    got = imported(workspace, tmp_path, [call(n, by="s2").to_record() for n in range(80)])
    look(workspace)
    assert (got.added, got.claims, states(workspace)["s2"]) == (80, 80, "canary")


@pytest.mark.parametrize("field", ["attempts", "claims"])
def test_disagreements_of_a_file_end_nobody(workspace: Workspace, tmp_path: Path, field: str) -> None:
    records = [call(n, said="blue").to_record() for n in range(20)]
    imported(workspace, tmp_path, [{**record, field: record.pop("attempts")} for record in records])
    look(workspace)
    assert states(workspace)["s1"] == "live"


def test_a_file_does_not_change_what_was_measured_of_a_call(workspace: Workspace, tmp_path: Path) -> None:
    measured = [call(n) for n in range(20)]
    workspace.add_calls(measured)
    imported(workspace, tmp_path, [call(n, said="blue").to_record() for n in range(20)])
    look(workspace)
    assert states(workspace)["s1"] == "live"
    assert [each.attempts for each in workspace.calls()] == [each.attempts for each in measured]


def test_a_file_counts_towards_no_figure(workspace: Workspace, tmp_path: Path) -> None:
    before = status(workspace)
    kept = Attempt("s1", "kept", "kept", 0.9, 5.0, None, None)
    imported(workspace, tmp_path, [replace(call(n, said=None), attempts=(kept,)).to_record() for n in range(20)])
    after = status(workspace)
    assert (after["kept"], after["saved_usd"]) == (before["kept"], before["saved_usd"])
    assert 'outcome="kept"' not in exposition(workspace)


def test_what_a_file_says_that_a_specialist_answered_is_not_learnt_from() -> None:
    kept = Attempt("s1", "kept", "kept", 0.9, 5.0, None, None)
    record = replace(call(1, said=None), attempts=(kept,)).to_record()
    assert Call.from_record({**record, "attempts": [], "claims": record["attempts"]}).from_teacher is False
