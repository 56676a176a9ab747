"""What the last step of the loop changes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from protege import Call, Request
from protege.certify import Candidate
from protege.common.progress import Silent
from protege.flywheel import conclude
from protege.loop.admit import admit
from protege.loop.run import Improvement, Run
from protege.loop.settings import Settings
from protege.rollout import lifecycle
from protege.specialist import Base, Specialist
from protege.task import Example, Task
from protege.workspace import Workspace
from watched import PARITY, figures

BASE = Base("b", "b.gguf", "0", "gguf", "llama", "Apache-2.0", 2048, "")
TASK = Task("t-1", "sort", "label", calls=400)
CALL = Call(id="c", request=Request(({"role": "user", "content": "a"},)), model="large")
CURATED: Any = SimpleNamespace(examples=lambda part: [Example("c", CALL, "a", "s1")], calibration={"signature": ["s1"]})
ANSWERS: Any = SimpleNamespace()


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def specialist(version: int = 1) -> Specialist:
    return Specialist(f"sp-{version}", f"sort-v{version}", "t-1", version, BASE, "slots", created=version)


def route(workspace: Workspace, version: int, threshold: float | None) -> tuple[bool, str]:
    known = {s.id: s for s in workspace.specialists()}
    one = known.get(f"sp-{version}", specialist(version))
    candidate = Candidate(TASK, one, CURATED, PARITY, ANSWERS)
    measured = figures(threshold=threshold, reason="Ninety of a hundred.")
    return admit(Run(workspace, TASK, Settings(), Silent()), candidate, measured)


def live(workspace: Workspace) -> list[str]:
    return [s.name for s in workspace.specialists() if s.state == "live"]


def test_a_certified_specialist_goes_live_and_its_predecessor_is_retired(workspace: Workspace) -> None:
    assert route(workspace, 1, 0.5) == (True, "Ninety of a hundred.")
    assert route(workspace, 2, 0.6)[0]
    assert live(workspace) == ["sort-v2"]
    assert workspace.routes()["sp-2"].threshold == 0.6


def test_terms_that_hold_no_more_end_the_route_and_may_come_back(workspace: Workspace) -> None:
    route(workspace, 1, 0.5)
    assert route(workspace, 1, None) == (False, "Ninety of a hundred.")
    assert live(workspace) == []
    assert route(workspace, 1, 0.5)[0]
    assert live(workspace) == ["sort-v1"]


def test_what_a_person_retired_is_not_brought_back(workspace: Workspace) -> None:
    route(workspace, 1, 0.5)
    lifecycle.retire(workspace, workspace.specialists()[0])
    may, why = route(workspace, 1, 0.5)
    assert not may and "protege promote sort-v1" in why
    assert live(workspace) == []
    lifecycle.promote(workspace, workspace.specialists()[0])
    assert live(workspace) == ["sort-v1"]
    assert route(workspace, 1, 0.4)[0]


def test_where_a_new_version_is_refused_the_old_one_goes_on_and_the_result_says_so(workspace: Workspace) -> None:
    route(workspace, 1, 0.5)
    assert not route(workspace, 2, None)[0]
    assert live(workspace) == ["sort-v1"]
    told = conclude(workspace, Improvement("t-1", "teacher", "Too few.", "sp-2"))
    assert told.decision == "live"
    assert told.reason == "Too few. sort-v1 goes on answering."
