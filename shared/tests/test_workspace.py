"""The workspace: what it keeps, who may read it, what it refuses."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import orjson
import pytest
from protege import Attempt, Call, Request, Route, Task, Workspace
from protege.errors import WorkspaceBusy, WorkspaceError
from protege.workspace import home_path, write_private

LONG = "You are helpful. " * 100


def call(number: int, **options) -> Call:
    messages = ({"role": "system", "content": LONG}, {"role": "user", "content": f"Entry {number}"})
    tools = ({"type": "function", "function": {"name": "f", "description": LONG}},)
    answer = {"role": "assistant", "content": "x"}
    return Call(id=f"c{number}", request=Request(messages, tools=tools), response=answer, **options)


def test_calls_come_back_as_they_were_in_the_order_of_their_arrival(tmp_path):
    workspace = Workspace(tmp_path)
    calls = [call(n) for n in (3, 1, 2)]
    assert workspace.add_calls(calls) == 3
    assert list(workspace.calls()) == calls


def test_a_known_id_is_not_added_again(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.add_calls([call(1), call(2)])
    assert workspace.add_calls([call(2), call(3)]) == 1
    assert workspace.count_calls() == 3


def test_large_repeated_parts_are_stored_once(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.add_calls(call(n) for n in range(500))
    workspace.close()
    stored = sum(file.stat().st_size for file in tmp_path.glob("store.db*"))
    assert stored < 500 * len(LONG) / 2


def test_files_that_hold_calls_are_private_to_their_owner(tmp_path):
    workspace = Workspace(tmp_path / "home")
    workspace.add_calls([call(1)])
    for path in (workspace.home, workspace.home / "journal", *workspace.home.glob("store.db*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_calls_are_told_apart_by_task_and_by_who_answered(tmp_path):
    workspace = Workspace(tmp_path)
    kept = call(2, attempts=(Attempt("sp-1", "kept", "kept"),))
    workspace.add_calls([call(1), kept, call(3)])
    workspace.save_tasks([Task("t-1", "sort", "label", calls=2)], {"c1": "t-1", "c2": "t-1"})
    assert [c.id for c in workspace.calls(task_id="t-1")] == ["c1", "c2"]
    assert [c.id for c in workspace.calls(task_id="t-1", teacher_only=True)] == ["c1"]
    assert workspace.count_calls(specialist_id="sp-1") == 1
    assert workspace.assignments() == {"c1": "t-1", "c2": "t-1", "c3": None}
    assert [t.name for t in workspace.tasks()] == ["sort"]


def test_routes_are_replaced_and_dropped(tmp_path):
    workspace = Workspace(tmp_path)
    route = Route("t-1", "sp-1", 0.7, "f", 0.05, 0.05, 260, 200, 3)
    workspace.save_route(route)
    workspace.save_route(Route("t-1", "sp-2", 0.7, "f", 0.05, 0.05, 260, 200, 3))
    assert workspace.routes()["t-1"].specialist_id == "sp-2"
    workspace.drop_route("t-1")
    assert workspace.routes() == {}


def test_results_are_kept_under_their_key(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.result("a") is None
    workspace.save_result("a", {"x": [1]})
    workspace.save_result("a", {"x": [2]})
    assert Workspace(tmp_path).result("a") == {"x": [2]}


def test_many_processes_may_add_at_once(tmp_path):
    Workspace(tmp_path).add_calls([])
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add, args=(tmp_path, n)) for n in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [p.exitcode for p in processes] == [0, 0, 0]
    assert Workspace(tmp_path).count_calls() == 60


def _add(home: Path, which: int) -> None:
    workspace = Workspace(home)
    for start in range(0, 20, 5):
        workspace.add_calls(call(100 * which + start + n) for n in range(5))


def test_a_second_holder_of_the_lock_is_told_that_it_is_busy(tmp_path):
    workspace, caught = Workspace(tmp_path), []

    def second():
        try:
            with Workspace(tmp_path).lock():
                pass
        except WorkspaceBusy as error:
            caught.append(error)

    with workspace.lock():
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert len(caught) == 1
    with Workspace(tmp_path).lock():
        pass


def test_a_home_written_by_a_newer_version_is_refused(tmp_path):
    (tmp_path / "workspace.json").write_bytes(orjson.dumps({"version": 99, "id": "x"}))
    with pytest.raises(WorkspaceError, match="newer"):
        Workspace(tmp_path)


def test_a_damaged_identity_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "workspace.json").write_text("{")
    with pytest.raises(WorkspaceError, match="damaged"):
        Workspace(tmp_path)
    assert (tmp_path / "workspace.json").read_text() == "{"


def test_a_damaged_store_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "store.db").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        Workspace(tmp_path).count_calls()


def test_a_home_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="cannot be written"):
        Workspace(tmp_path / "file" / "home")


def test_the_home_is_the_one_given_else_the_environments_else_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PROTEGE_HOME", raising=False)
    assert home_path() == tmp_path / ".protege"
    monkeypatch.setenv("PROTEGE_HOME", str(tmp_path / "e"))
    assert home_path() == tmp_path / "e"
    assert home_path(tmp_path / "g") == tmp_path / "g"


def test_a_private_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    target = tmp_path / "f"
    write_private(target, b"first")
    monkeypatch.setattr(os, "fsync", _full)
    with pytest.raises(OSError, match="full"):
        write_private(target, b"second")
    assert target.read_bytes() == b"first" and list(tmp_path.iterdir()) == [target]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def _full(_descriptor: int) -> None:
    raise OSError("full")
