"""Off, retire and an alarm hold within a second, whatever is broken; a kill between two writes leaves the teacher."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE
from protege import Request, Route, Router, Specialist, Task, Template, Workspace, rollout
from protege.common import switch
from protege.rollout import lifecycle, policy_of, publish, settle, switching
from protege.task import TemplatePart

INSTRUCTION = "You name the colour of a thing. Answer with one word."
WITHIN_S = 1.0


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of the user's that are this test's alone."""
    folder = tmp_path / "run" / "protege"
    monkeypatch.setattr(switch, "runtime_folders", lambda: [folder])
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder.parent))
    folder.parent.mkdir(mode=0o700)
    return folder


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """Two specialists of one task; the newer one is live."""
    workspace = Workspace(tmp_path / "home")
    template = Template("sig", (TemplatePart(0, "system", lines=(INSTRUCTION,)),))
    task = Task("t", "colour", "label", labels=("red",), templates=(template,), centre={"colour": 1.0}, calls=9)
    workspace.save_tasks([task], {})
    for version, state in ((1, "retired"), (2, "live")):
        name = f"s{version}"
        workspace.save_specialist(Specialist(name, f"colour-v{version}", "t", version, BASE, "slots", state))  # pyright: ignore[reportArgumentType]
        workspace.save_route(Route("t", name, 0.5, "F", 0.05, 0.05, 200, 180, 1, signatures=("sig",)))
    publish(workspace)
    yield workspace
    workspace.close()


def agent_of(workspace: Workspace) -> Router:
    return Router(workspace.home, connect=lambda home: None, start=lambda home: None)


def asks_specialist(router: Router) -> bool:
    messages = ({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": "x"})
    return router.decide(Request(messages)).reason == "routed"


def teacher_within(router: Router, limit_s: float = WITHIN_S) -> bool:
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        if not asks_specialist(router):
            return True
        time.sleep(0.02)
    return False


def command(workspace: Workspace, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    program = "from protege.cli import main; main()"
    line = [sys.executable, "-c", program, *arguments, "--home", str(workspace.home)]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


COMMANDS = [("off",), ("off", "colour"), ("retire", "colour-v2"), ("rollback", "colour-v2")]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_with_no_space_left(workspace: Workspace, arguments: tuple[str, ...]) -> None:
    agent = agent_of(workspace)
    assert asks_specialist(agent)
    full = command(workspace, *arguments, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
    out, err = full.communicate(timeout=60)
    assert full.returncode == 0 and "Traceback" not in err, err
    assert "store could not be told" in err.replace("\n", " ")
    assert teacher_within(agent), out
    settle(workspace)  # there is space again: the store and routes.json follow
    said_off = arguments[0] == "off"
    assert policy_of(workspace, "t").off is said_off
    assert next(s for s in workspace.specialists() if s.id == "s2").state == ("live" if said_off else "retired")
    assert not asks_specialist(agent_of(workspace))


@contextlib.contextmanager
def nothing_writable(monkeypatch: pytest.MonkeyPatch, home: Path) -> Iterator[None]:
    """The home as on a disk that is mounted read-only."""
    real = os.open

    def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if str(path).startswith(str(home)) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return real(path, flags, *rest, **named)

    def refuse_unlink(path: Path, *rest: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        patched.setattr(switch, "_without_routes", lambda home: False)
        yield


@pytest.mark.parametrize("act", ["off", "off colour", "retire"])
def test_on_a_disk_that_is_read_only(
    workspace: Workspace, act: str, runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = agent_of(workspace)
    assert asks_specialist(agent)
    with nothing_writable(monkeypatch, workspace.home):
        if act == "retire":
            assert rollout.retire_at_once(workspace.home, "colour-v2")
        else:
            assert rollout.off_at_once(workspace.home, act.removeprefix("off").strip() or None)
    assert list(runtime.rglob("*.ended"))
    assert teacher_within(agent)
    settle(workspace)
    assert not asks_specialist(agent_of(workspace))
    if act == "off":
        rollout.switch(workspace, None, off=False)
        assert asks_specialist(agent_of(workspace)) and not list(runtime.rglob("*.ended"))


def test_while_sqlite_is_locked(workspace: Workspace) -> None:
    agent = agent_of(workspace)
    assert asks_specialist(agent)
    holder = sqlite3.connect(workspace.home / "store.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    waiting = command(workspace, "off")
    assert teacher_within(agent, 20)  # most of it is the start of Python
    assert waiting.poll() is None  # it waits for the store still
    holder.execute("COMMIT")
    holder.close()
    assert waiting.wait(60) == 0
    assert policy_of(workspace, "t").off


def test_while_a_stopped_process_holds_the_turn(workspace: Workspace) -> None:
    agent = agent_of(workspace)
    assert asks_specialist(agent)
    program = (
        "import sys, time; from protege import Workspace\n"
        "with Workspace(sys.argv[1]).turn: print(1, flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(workspace.home)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None and holder.stdout.readline()
        holder.send_signal(signal.SIGSTOP)
        waiting = command(workspace, "retire", "colour-v2")
        assert teacher_within(agent, 20)
        assert waiting.poll() is None
    finally:
        holder.kill()
        holder.wait()
    assert waiting.wait(60) == 0
    assert workspace.specialists()[1].state == "retired"


def test_on_ends_off_and_only_what_it_names(workspace: Workspace) -> None:
    task = workspace.task("t")
    rollout.switch(workspace, None, off=True)
    rollout.switch(workspace, task, off=True)
    rollout.switch(workspace, None, off=False)
    assert not asks_specialist(agent_of(workspace))
    rollout.switch(workspace, task, off=False)
    assert asks_specialist(agent_of(workspace))
    assert not switch.switched(workspace.home)


@pytest.mark.parametrize("at", ["save_specialist", "publish", "give"])
@pytest.mark.parametrize("act", ["stop", "retire", "rollback", "replace"])
def test_killed_between_two_writes_no_agent_follows_who_was_ended(workspace: Workspace, act: str, at: str) -> None:
    newest = workspace.specialists()[1]
    acts: dict[str, Callable[[Workspace], object]] = {
        "stop": lambda w: lifecycle.stop(w, newest, "an alarm"),
        "retire": lambda w: lifecycle.retire(w, newest),
        "rollback": lambda w: lifecycle.rollback(w, newest),
        "replace": lambda w: lifecycle.promote(w, w.specialists()[0]),
    }
    workspace.close()
    if not (pid := os.fork()):

        def die(*args: object, **named: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        if at == "save_specialist":
            Workspace.save_specialist = die
        else:
            setattr(lifecycle, at, die)
        lifecycle.serve.bring_back = lambda w, s, fingerprint: s
        acts[act](Workspace(workspace.home))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    again = Workspace(workspace.home)
    answering = {s.id for s in again.specialists() if s.answers}
    routes = agent_of(again)._table.current().routes
    assert {entry.specialist.id for entries in routes.values() for entry in entries} <= answering
    settle(again)  # the next look
    answering = {s.id for s in again.specialists() if s.answers}
    routes = agent_of(again)._table.current().routes
    assert {entry.specialist.id for entries in routes.values() for entry in entries} == answering
    assert not switch.switched(again.home)


def test_a_refused_change_takes_nothing_away(workspace: Workspace) -> None:
    stale = replace(workspace.specialists()[1], state="canary")
    assert not lifecycle.stop(workspace, stale, "an alarm")
    assert asks_specialist(agent_of(workspace))
    assert not switch.switched(workspace.home)


def test_an_alarm_that_cannot_be_stored_holds(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(lifecycle, "publish", full)
        with pytest.raises(OSError, match="space"):
            lifecycle.stop(workspace, workspace.specialists()[1], "an alarm")
    assert not asks_specialist(agent_of(workspace))
    settle(workspace)
    assert not switch.switched(workspace.home)
    assert not asks_specialist(agent_of(workspace))


def test_a_policy_that_takes_away_does_so_first(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(workspace: Workspace) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(switching, "publish", die)
    with pytest.raises(OSError, match="space"):
        rollout.set_policy(workspace, workspace.task("t"), {"epsilon": 0.01})
    assert not asks_specialist(agent_of(workspace))


def test_more_switches_than_places_stand_outside(workspace: Workspace, runtime: Path) -> None:
    for number in range(300):
        assert switch.take(workspace.home, switch.of_task(str(number)))
    marks = switch.switched(workspace.home)
    assert len(marks) == 300 and list(runtime.rglob("*.ended"))  # those without a place stand outside
    for number in range(300):
        switch.give(workspace.home, switch.of_task(str(number)))
    assert not switch.switched(workspace.home)


def test_a_folder_of_another_user_is_not_believed(workspace: Workspace, runtime: Path) -> None:
    (workspace.home / "switch").unlink()
    assert switch.take(workspace.home, switch.ALL)
    assert switch.switched(workspace.home)
    runtime.chmod(0o777)
    assert not switch.switched(workspace.home)
