"""The workspace: what it keeps, who may read it, what it refuses."""

from __future__ import annotations

import multiprocessing
import os
import stat
import threading
from pathlib import Path

import orjson
import pytest
from protege import Attempt, Base, Call, Request, Route, Specialist, Task, Workspace
from protege.common.files import home_path, write_private
from protege.errors import WorkspaceBusy, WorkspaceError
from protege.store.records import Event

BASE = Base("b", "b.gguf", "0", "gguf", "llama", "Apache-2.0", 2048, "")
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
    def stored(number: int) -> int:
        workspace = Workspace(tmp_path)
        workspace.add_calls(call(n) for n in range(number))
        workspace.close()
        return sum(file.stat().st_size for file in tmp_path.glob("store.db*"))

    empty = stored(1)
    assert stored(500) - empty < 500 * len(LONG) / 3


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


def test_a_specialist_s_route_is_replaced(tmp_path):
    workspace = Workspace(tmp_path)
    for name, threshold in (("sp-1", 0.7), ("sp-2", 0.8), ("sp-1", 0.9)):
        workspace.save_route(Route("t-1", name, threshold, "f", 0.05, 0.05, 260, 200, 3, signatures=("a", "b")))
    assert {name: route.threshold for name, route in workspace.routes().items()} == {"sp-1": 0.9, "sp-2": 0.8}
    assert workspace.routes()["sp-1"].signatures == ("a", "b")


def test_opening_a_store_that_another_writes_to_needs_no_lock(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.add_calls([call(1)])
    with workspace.change():
        workspace.cache("a", 1)
        assert Workspace(tmp_path).count_calls() == 1


def test_a_change_is_kept_whole_or_not_at_all(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.cache("a", 1)
    with pytest.raises(ZeroDivisionError), workspace.change():
        workspace.cache("a", 2)
        workspace.history.note(Event("live", "", "t-1"))
        assert workspace.cached("a") == 2 and len(workspace.history.events()) == 1
        _ = 1 // 0
    assert workspace.cached("a") == 1 and workspace.history.events() == []


def test_tries_are_kept_once_and_found_by_who_tried_what_came_and_when(tmp_path):
    workspace = Workspace(tmp_path)
    workspace.save_specialist(Specialist("sp-1", "sort-v1", "t-1", 1, BASE, "slots"))
    tries = [("kept", "kept", None), ("audited", "kept", 0.02), ("handed_back", "below threshold", None)]
    calls = [
        call(n, time=100.0 + n, attempts=(Attempt("sp-1", outcome, reason, rate=rate),))
        for n, (outcome, reason, rate) in enumerate(tries)
    ]
    workspace.add_calls(calls)
    workspace.add_calls(calls)
    assert [row.outcome for row in workspace.history.attempts("t-1")] == ["kept", "audited", "handed_back"]
    assert [row.outcome for row in workspace.history.attempts(since=101.0, outcomes=("kept", "audited"))] == ["audited"]
    (audited,) = workspace.history.attempts(specialist_id="sp-1", outcomes=("audited",))
    assert (audited.rate, audited.agreed, audited.time) == (0.02, None, 101.0)
    workspace.history.save_agreed({audited.number: False})
    assert [row.agreed for row in workspace.history.attempts()] == [None, False, None]
    assert [row.number for row in workspace.history.attempts(after=audited.number)] == [
        workspace.history.last_attempt()
    ]


def test_what_is_cached_is_found_under_its_key_until_it_is_cleared(tmp_path):
    workspace = Workspace(tmp_path)
    assert workspace.cached("a") is None
    workspace.cache("a", {"x": [1]})
    workspace.cache("a", {"x": [2]})
    assert Workspace(tmp_path).cached("a") == {"x": [2]}
    workspace.clear_cache()
    assert workspace.cached("a") is None


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
    with pytest.raises(WorkspaceError, match="doctor --repair"):
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
