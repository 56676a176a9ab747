"""`protege doctor --repair`: what can be read is saved, the rest set aside, and nobody answers more than before."""

from __future__ import annotations

import random
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from damaged import TASK, damage, filled_home, followed
from protege import Workspace
from protege.cli.doctor import checkup
from protege.errors import WorkspaceBusy, WorkspaceError
from protege.report import status
from protege.rollout import policy_of, set_policy, switch
from protege.rollout.at_once import off_at_once
from protege.store import damaged_file, open_store, tables
from protege.store.home import Identity
from protege.watch import look, repair
from watched import call

STATE = {"policies", "stages", "marks", "decisions", "routes", "reasons"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sound") / "home"
    filled_home(home).close()
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "home")
    return tmp_path / "home"


def told(home: Path) -> dict:
    workspace = Workspace(home)
    look(workspace)
    found = status(workspace)
    workspace.close()
    return found


def test_a_sound_home_is_left_as_it_is(home: Path) -> None:
    told(home)
    before = (home / "routes.json").read_bytes()
    done = repair(home)
    assert done.lines() == [] and not done.off and done.to_record()["lost"] == {}
    assert (home / "routes.json").read_bytes() == before and followed(home) == ["s2"]
    assert not (home / "damaged").exists()


@pytest.mark.parametrize("table", [table.name for table in tables.metadata.sorted_tables if table.name != "quarantine"])
def test_a_damaged_row_of_any_table_is_set_aside(home: Path, table: str) -> None:
    columns = tables.metadata.tables[table].columns
    column = "body" if "body" in columns else columns.keys()[-1]
    damage(home, table, column, b'{"id": ')
    done = repair(home)
    assert done.store.lost.get(table) and not done.store.fault
    assert done.off == (table in STATE)
    found = told(home)
    assert found["damaged"] == {} and found["set_aside"]["store"]["DamagedRow"] >= 1
    assert followed(home) == ([] if table in STATE | {"specialists"} else ["s2"])
    again = repair(home)
    assert again.lines() == [] and not again.off
    workspace = Workspace(home)
    assert policy_of(workspace, TASK.id).off == (table in STATE)
    assert any(event.what == "repaired" for event in workspace.history.events()) == (table in STATE)
    if table in STATE:
        switch(workspace, None, off=False)
        assert not policy_of(workspace, TASK.id).off


def test_a_lost_look_is_paid_for_on_every_call_of_its_task(home: Path) -> None:
    damage(home, "decisions", "delta", -1.0)
    repair(home)
    (entry,) = Workspace(home).state.decisions(TASK.id)
    assert sorted(entry.calls) == sorted(f"c{number}" for number in range(10)) and entry.delta == 0


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garbage(path: Path) -> None:
    path.write_bytes(random.Random(5).randbytes(50_000))


def _gone(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(body[: len(body) // 2])


def _head(path: Path) -> None:
    body = path.read_bytes()
    path.write_bytes(random.Random(5).randbytes(4096) + body[4096:])


def _log(path: Path) -> None:
    path.with_name("store.db-wal").write_bytes(random.Random(5).randbytes(10_000))


def _table(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("DROP TABLE policies")
    connection.close()


WHOLE = [_empty, _garbage, _gone, _cut, _head, _log]


@pytest.mark.parametrize("spoil", [*WHOLE, _table])
def test_a_damaged_store_is_said_and_off_holds(home: Path, spoil: Callable[[Path], None]) -> None:
    spoil(home / "store.db")
    workspace = Workspace(home)
    with pytest.raises(WorkspaceError, match="doctor --repair"):
        look(workspace)
    assert off_at_once(home)
    (finding,) = [finding for finding in checkup(home) if finding.name == "store"]
    assert finding.ok is False and finding.remedy == "protege doctor --repair"


@pytest.mark.parametrize("spoil", [*WHOLE, _table])
def test_what_can_be_read_of_a_damaged_store_is_saved(home: Path, spoil: Callable[[Path], None]) -> None:
    spoil(home / "store.db")
    done = repair(home)
    assert done.store.fault and done.off and followed(home) == []
    found = told(home)
    assert found["damaged"] == {}
    if spoil in (_head, _log, _table):
        assert found["calls"] == 10 and [task["id"] for task in found["tasks"]] == ["colour"]
        assert sorted(s["id"] for s in found["specialists"]) == ["s1", "s2"]
    if spoil is not _gone:
        assert done.store.kept is not None and stat.S_IMODE(done.store.kept.parent.stat().st_mode) == 0o700
        assert (done.store.kept / "store.db").exists()
    assert repair(home).lines() == []
    workspace = Workspace(home)
    assert workspace.add_calls([call(77)]) == 1 and policy_of(workspace, TASK.id).off


def test_random_bytes_of_a_store_of_some_megabytes_cost_little(tmp_path: Path) -> None:
    workspace = filled_home(tmp_path / "home")
    workspace.add_calls(call(number, instruction=f"Say {number}. " * 800) for number in range(100, 350))
    number = workspace.count_calls()
    workspace.close()
    whole = (tmp_path / "home" / "store.db").read_bytes()
    draw = random.Random(3)
    for turn in range(2):
        home = tmp_path / f"home-{turn}"
        shutil.copytree(tmp_path / "home", home)
        body = bytearray(whole)
        for _ in range(20):
            body[draw.randrange(4096, len(body))] ^= 1 << draw.randrange(8)
        (home / "store.db").write_bytes(body)
        repair(home)
        found = told(home)
        assert found["damaged"] == {} and found["calls"] > 0.8 * number, found["calls"]
        assert repair(home).store.lost == {}
        assert len(followed(home)) <= 1


def test_a_row_that_gets_the_number_of_a_lost_one_is_not_passed_over(home: Path) -> None:
    workspace = Workspace(home)
    last = workspace.last_call()
    workspace.watched.save_noticed(last)
    workspace.watched.save_compared(TASK.id, workspace.history.last_attempt())
    workspace.close()
    for table in ("calls", "attempts"):
        damage(home, table, tables.metadata.tables[table].columns.keys()[-1], b"{")
    repair(home)
    workspace = Workspace(home)
    workspace.add_calls([call(77, by="s2")])
    assert workspace.watched.noticed() < workspace.last_call() == last
    assert workspace.watched.compared(TASK.id) < workspace.history.last_attempt()
    began = workspace.state.stage("s2")
    assert began is not None and began.attempt < workspace.history.last_attempt()


def test_a_store_that_another_has_open_is_not_written_anew(home: Path) -> None:
    holding = (
        "import sys; from protege import Workspace; w = Workspace(sys.argv[1]); print(w.count_calls(), flush=True)"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", f"{holding}; sys.stdin.read()", str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None and other.stdout.readline() == b"10\n"
    _head(home / "store.db")
    with pytest.raises(WorkspaceBusy, match="open"):
        repair(home)
    other.communicate()
    assert repair(home).store.fault


def test_a_repair_that_was_killed_at_its_end_is_ended_by_whoever_opens_the_store(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _head(home / "store.db")
    with monkeypatch.context() as patched:
        patched.setattr("protege.store.sqlite.Sqlite._put_in_place", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            repair(home)
    assert (home / "store.db.repaired").exists()
    assert told(home)["calls"] == 10 and not (home / "store.db.repaired").exists()
    assert policy_of(Workspace(home), TASK.id).off and followed(home) == []


def test_few_damaged_originals_are_kept(home: Path) -> None:
    for turn in range(damaged_file.MOST_KEPT + 2):
        (home / "store.db").write_bytes(random.Random(turn).randbytes(5_000))
        repair(home)
    assert len([*(home / "damaged").iterdir()]) == damaged_file.MOST_KEPT


def test_a_specialist_whose_files_are_gone_answers_no_more(home: Path) -> None:
    workspace = Workspace(home)
    live = workspace.specialist("s2")
    assert live is not None
    workspace.save_specialist(replace(live, files={"gguf": "model.gguf"}, digests={"gguf": "0" * 64}))
    folder = workspace.specialist_folder(live)
    workspace.close()
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_bytes(b"something else")
    done = repair(home)
    assert "model.gguf is damaged" in done.specialists["colour-v2"] and followed(home) == []
    (folder / "model.gguf").unlink()
    assert "missing" in repair(home).specialists["colour-v2"]


def test_policies_hold_after_a_repair_of_something_else(home: Path) -> None:
    workspace = Workspace(home)
    set_policy(workspace, TASK, {"delta": 0.2})
    workspace.close()
    damage(home, "events", "body", b"[")
    repair(home)
    assert policy_of(Workspace(home), TASK.id).delta == 0.2


LOCKED = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 510, 0x40000002)
    except BlockingIOError:
        print("locked")
"""
"""Whether a process has the database open, as another one sees it: SQLite's shared lock in WAL mode."""


def test_opening_a_home_again_does_not_end_what_this_process_has_locked(tmp_path: Path) -> None:
    """Without that lock another process that closes the store takes its log away under this one's feet."""
    home = tmp_path / "home"
    first = Workspace(home)
    first.count_calls()
    for again in range(3):
        (home / "store.tables").unlink(missing_ok=bool(again))  # as in a home of an older version
        second = Workspace(home)
        second.count_calls()
        open_store(home, Identity("", store="sqlite")).damage()
        seen = subprocess.run([sys.executable, "-c", LOCKED, str(home / "store.db")], capture_output=True, check=True)
        assert seen.stdout == b"locked\n"
    assert (home / "store.tables").exists()
