"""What every store must do, as tests. The package that brings a store runs them in its own suite; it needs pytest:

from protege.testing.stores import StoreConformance

class TestPostgres(StoreConformance):
    @pytest.fixture
    def store(self, database_url: str) -> str:
        return f"postgres:{database_url}"           # as workspace.json names it: an empty database for each test
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.synchronize import Event as ProcessEvent
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from ..call import Call, Request
from ..errors import WorkspaceBusy
from ..store import tables
from ..store.backend import Backend
from ..store.home import Identity
from ..store.registry import open_store, store_names
from ..workspace import Workspace

WAIT_S = 180.0
"""Far more than anything takes on a machine that is busy otherwise."""
_spawn = multiprocessing.get_context("spawn")


class StoreConformance:
    """Subclass it and name your store. Each test has a home of its own."""

    @pytest.fixture
    def store(self) -> str:
        """Your store, as `Workspace(store=…)` takes it."""
        raise NotImplementedError("Give a fixture `store`.")

    @pytest.fixture
    def home(self, tmp_path: Path) -> Path:
        """A folder, empty."""
        home = tmp_path / "home"
        home.mkdir()
        return home

    @pytest.fixture
    def backend(self, home: Path, store: str) -> Backend:
        return _open(home, store)

    def test_it_is_found_by_its_name(self, backend: Backend, store: str) -> None:
        assert backend.name == store.partition(":")[0] and backend.name in store_names()

    def test_it_makes_all_tables_and_finds_them_again(self, home: Path, store: str) -> None:
        for _ in range(2):
            engine = _open(home, store).connect()
            assert {*tables.metadata.tables, "migrations"} <= {*sa.inspect(engine).get_table_names()}
            engine.dispose()

    def test_rows_that_are_there_already_are_left_and_the_others_counted(self, backend: Backend) -> None:
        with backend.connect().begin() as connection:
            assert backend.insert_new(connection, tables.calls, [_call("a"), _call("b")]) == 2
            assert backend.insert_new(connection, tables.calls, [_call("b", b"other"), _call("c")]) == 1
            assert backend.insert_new(connection, tables.calls, []) == 0
            rows = connection.execute(sa.select(tables.calls.c.id, tables.calls.c.body).order_by("number")).all()
        assert [(row.id, row.body) for row in rows] == [("a", b"body"), ("b", b"body"), ("c", b"body")]

    def test_calls_are_numbered_in_the_order_of_their_arrival(self, backend: Backend) -> None:
        engine = backend.connect()
        for ids in ("zy", "ab", "yq"):
            with engine.begin() as connection:
                backend.insert_new(connection, tables.calls, [_call(identity) for identity in ids])
        with engine.begin() as connection:
            rows = connection.execute(sa.select(tables.calls.c.number, tables.calls.c.id).order_by("number")).all()
        assert [row.id for row in rows] == ["z", "y", "a", "b", "q"]
        assert rows[0].number > 0 and len({row.number for row in rows}) == 5

    def test_upserts_overwrite_the_columns_that_are_named(self, backend: Backend) -> None:
        with backend.connect().begin() as connection:
            backend.upsert(connection, tables.marks, [{"specialist_id": "s", "replaced": True}])
            backend.upsert(connection, tables.marks, [{"specialist_id": "s", "taken_out": True}])
            backend.upsert(connection, tables.marks, [{"specialist_id": "s", "replaced": False}])
            backend.upsert(connection, tables.marks, [])
            row = connection.execute(sa.select(tables.marks)).one()
        assert (row.specialist_id, row.replaced, row.taken_out) == ("s", False, True)

    def test_a_key_may_have_two_columns(self, backend: Backend) -> None:
        keys = [("noticed", ""), ("compared", "t"), ("compared", "u")]
        with backend.connect().begin() as connection:
            for number in (1, 2):
                rows = [{"name": name, "task_id": of, "number": number} for name, of in keys]
                backend.upsert(connection, tables.cursors, rows)
            found = connection.execute(sa.select(tables.cursors)).all()
        assert sorted((row.name, row.task_id, row.number) for row in found) == sorted((*key, 2) for key in keys)

    def test_a_transaction_is_kept_whole_or_not_at_all(self, backend: Backend) -> None:
        engine = backend.connect()
        with pytest.raises(ZeroDivisionError), engine.begin() as connection:
            backend.insert_new(connection, tables.calls, [_call("a")])
            backend.upsert(connection, tables.cache, [{"key": "k", "body": b"1"}])
            _ = 1 // 0
        with engine.begin() as connection:
            assert connection.execute(sa.select(tables.calls)).all() == []
            assert connection.execute(sa.select(tables.cache)).all() == []

    def test_others_read_what_was_before_while_one_writes(self, backend: Backend, home: Path, store: str) -> None:
        engine = backend.connect()
        with engine.begin() as connection:
            backend.upsert(connection, tables.cache, [{"key": "k", "body": b"1"}])
        with engine.begin() as connection:
            backend.upsert(connection, tables.cache, [{"key": "k", "body": b"2"}])
            with _open(home, store).connect().begin() as other:
                assert other.scalar(sa.select(tables.cache.c.body)) == b"1"
        with _open(home, store).connect().begin() as other:
            assert other.scalar(sa.select(tables.cache.c.body)) == b"2"

    def test_many_processes_may_open_a_new_home_and_write_at_once(self, home: Path, store: str) -> None:
        processes = [_spawn.Process(target=_add, args=(home, store, which)) for which in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(WAIT_S)
        assert [process.exitcode for process in processes] == [0, 0, 0]
        with _open(home, store).connect().begin() as connection:
            rows = connection.execute(sa.select(tables.calls.c.number, tables.calls.c.id)).all()
        assert len(rows) == len({row.number for row in rows}) == len({row.id for row in rows}) == 60

    def test_the_lock_is_held_by_one_and_refused_to_others_at_once(
        self, backend: Backend, home: Path, store: str
    ) -> None:
        other = _open(home, store)
        with backend.lock():
            began_s = time.monotonic()
            with pytest.raises(WorkspaceBusy), other.lock():
                pass
            assert time.monotonic() - began_s < 5
        with other.lock():
            pass

    def test_the_turn_does_not_wait_for_the_lock(self, backend: Backend, home: Path, store: str) -> None:
        with backend.lock(), _open(home, store).turn():
            pass

    def test_a_thread_may_take_its_turn_again_and_others_wait(self, backend: Backend, home: Path, store: str) -> None:
        order: list[str] = []

        def wait() -> None:
            with _open(home, store).turn():
                order.append("other")

        thread = threading.Thread(target=wait)
        with backend.turn():
            with backend.turn():
                thread.start()
            time.sleep(0.3)
            order.append("first")
        thread.join(WAIT_S)
        assert order == ["first", "other"]

    @pytest.mark.parametrize("which", ["lock", "turn"])
    def test_a_killed_process_holds_nothing(self, home: Path, store: str, which: str) -> None:
        held = _spawn.Event()
        process = _spawn.Process(target=_hold, args=(home, store, which, held))
        process.start()
        assert held.wait(WAIT_S) and process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(WAIT_S)
        backend = _open(home, store)
        with backend.lock() if which == "lock" else backend.turn():
            pass

    def test_a_look_at_the_journals_makes_no_store(self, backend: Backend, home: Path, store: str) -> None:
        assert dict(backend.journal_offsets()) == {} and list(home.iterdir()) == []
        with backend.connect().begin() as connection:
            backend.upsert(connection, tables.journals, [{"name": "1.journal", "offset": 100}])
        assert dict(_open(home, store).journal_offsets()) == {"1.journal": 100}

    def test_a_workspace_stands_on_it(self, home: Path, store: str) -> None:
        workspace = Workspace(home, store)
        messages = ({"role": "user", "content": "größer 大 " * 100},)
        call = Call(id="c", request=Request(messages), response={"role": "assistant", "content": "x"}, time=1.0)
        assert workspace.add_calls([call]) == 1
        workspace.state.save_policy("t", {"epsilon": 0.1, "off": False})
        with pytest.raises(ZeroDivisionError), workspace.turn, workspace.change():
            workspace.state.save_policy("t", {"epsilon": 0.2})
            _ = 1 // 0
        workspace.close()
        again = Workspace(home)
        assert list(again.calls()) == [call] and again.add_calls([call]) == 0
        assert again.state.policy("t") == {"epsilon": 0.1, "off": False}


def _open(home: Path, store: str) -> Backend:
    return open_store(home, Identity("conformance", store=store))


def _call(identity: str, body: bytes = b"body") -> dict[str, Any]:
    return {"id": identity, "content_hash": "h", "time": None, "from_teacher": True, "body": body}


def _add(home: Path, store: str, which: int) -> None:
    backend = _open(home, store)
    engine = backend.connect()
    for start in range(0, 20, 5):
        with engine.begin() as connection:
            backend.insert_new(connection, tables.calls, [_call(f"{which}-{start + n}") for n in range(5)])


def _hold(home: Path, store: str, which: str, held: ProcessEvent) -> None:
    backend = _open(home, store)
    with backend.lock() if which == "lock" else backend.turn():
        held.set()
        time.sleep(10 * WAIT_S)
