"""Specialists whose engine is gone: what is decided about them is carried out all the same."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from protege import Workspace
from protege.rollout import lifecycle
from protege.serve import prune, remove, unload
from watched import colour_task, specialist, terms


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """colour-v1, live, in an engine whose package was uninstalled; colour-v2 in one that is here."""
    workspace = Workspace(tmp_path)
    workspace.save_tasks([colour_task()], {})
    for version, engine in ((1, "gone"), (2, "embedded")):
        placed = replace(specialist(version, "candidate"), engine=engine, placed={engine: {"at": "x"}})
        workspace.save_specialist(placed)
        workspace.save_route(terms(version))
    first = workspace.specialist("s1")
    assert first is not None
    workspace.save_specialist(replace(first, state="live"))
    return workspace


def test_its_rollback_ends_whole_and_says_what_it_could_not_do(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    gone = workspace.specialist("s1")
    assert gone is not None
    with caplog.at_level(logging.WARNING, "protege.serve"):
        assert lifecycle.stop(workspace, gone, "an alarm")
        assert lifecycle.succeed(workspace, gone) is None
    assert workspace.specialist("s1").state == "retired"  # type: ignore[union-attr]
    assert "colour-v1" in caplog.text


def test_another_takes_its_place(workspace: Workspace) -> None:
    second = workspace.specialist("s2")
    assert second is not None
    lifecycle.promote(workspace, second)
    assert {s.name: s.state for s in workspace.specialists()} == {"colour-v1": "retired", "colour-v2": "live"}


def test_nothing_is_raised_for_what_it_has_of_it(workspace: Workspace) -> None:
    gone = workspace.specialist("s1")
    assert gone is not None
    unload(gone)
    assert remove(workspace, gone) == gone
    assert gone.name not in prune(workspace, "colour", 0, ())
    assert workspace.specialist("s1") == gone
