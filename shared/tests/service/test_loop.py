"""The loop as a service: it improves every so often, watches meanwhile, and shares its home with others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from protege import Workspace
from protege.errors import WorkspaceBusy
from protege.rollout import publish
from protege.service import loop
from protege.watch import Reason, open_reason
from watched import call, colour_task, specialist, terms


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(loop, "LOOK_S", 0.02)
    workspace = Workspace(tmp_path / "home")
    workspace.save_tasks([colour_task()], {})
    workspace.save_specialist(specialist(1, "live"))
    workspace.save_route(terms(1))
    publish(workspace)
    workspace.cache("tasks:0", 1)  # found already
    return workspace


def until(holds: Callable[[], bool], within_s: float = 20.0) -> bool:
    end_s = time.monotonic() + within_s
    while not holds() and time.monotonic() < end_s:
        time.sleep(0.02)
    return holds()


def retired(workspace: Workspace) -> bool:
    return [s.state for s in workspace.specialists()] == ["retired"]


def keep(workspace: Workspace, rounds: int, every_s: float) -> None:
    left = iter([False] * (rounds - 1) + [True])

    def wait(seconds: float) -> bool:
        time.sleep(min(seconds, 0.01))
        return next(left)

    loop.keep(workspace, every_s=every_s, wait=wait)


def test_a_breach_is_rolled_back_while_a_tuning_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def tuning(*_: Any) -> list[Any]:
        with workspace.lock():
            Workspace(workspace.home).add_calls(call(n, answer="blue") for n in range(20))
            seen.append(until(lambda: retired(workspace)))
        return []

    monkeypatch.setattr(loop, "improve", tuning)
    keep(workspace, rounds=1, every_s=1_000)
    assert seen == [True]


def test_it_improves_every_so_often_and_what_is_overdue_sooner(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(loop, "improve", lambda _, wanted, *__: asked.append(wanted) or [])
    keep(workspace, rounds=20, every_s=1_000)
    assert asked == [()]
    open_reason(workspace, "colour", Reason("The prompt is another.", 5.0))
    keep(workspace, rounds=100, every_s=4)
    assert asked[1] == () and asked.count(["colour"]) >= 1


def test_where_another_improves_it_waits_and_goes_on_watching(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(*_: Any) -> list[Any]:
        raise WorkspaceBusy("Another process is improving.", "Wait.")

    monkeypatch.setattr(loop, "improve", busy)
    workspace.add_calls(call(n, answer="blue") for n in range(20))
    keep(workspace, rounds=50, every_s=1_000)
    assert retired(workspace) and "Improving waits" in caplog.text


def test_two_services_on_one_home_survive_being_killed(workspace: Workspace) -> None:
    workspace.save_tasks([], {})
    command = [
        str(Path(sys.executable).with_name("protege")),
        "improve",
        "--every",
        "1s",
        "--json",
        "--engine",
        "embedded",
    ]
    environment = {**os.environ, "PROTEGE_HOME": str(workspace.home)}
    for _ in range(2):
        pair = [
            subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            for _ in range(2)
        ]
        time.sleep(4)
        for one in pair:
            assert one.poll() is None, one.stderr and one.stderr.read()
            one.send_signal(signal.SIGKILL)
            one.wait()
    assert [s.state for s in Workspace(workspace.home).specialists()] == ["live"]
    with Workspace(workspace.home).lock():
        pass


def test_a_look_that_fails_is_told_and_the_next_one_goes_on(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looked = threading.Event()
    answers = iter([OSError(28, "No space left on device")])

    def look(_: Workspace) -> list[Any]:
        if error := next(answers, None):
            raise error
        looked.set()
        return []

    monkeypatch.setattr("protege.watch.look", look)
    with loop.watching(workspace):
        assert looked.wait(10)
    assert "Looking failed (OSError)" in caplog.text
