"""A home that the tree of 29 November 2026 wrote opens and goes on. `november/make.py` tells how it was made."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from protege import Route, Workspace
from protege.errors import WorkspaceError
from protege.rollout import lifecycle, policy_of, price_as_of, publish
from protege.route.table import ROUTE_FIELDS
from protege.store import migrations
from protege.store.home import VERSION
from protege.store.migrations import running
from protege.store.sqlite import Sqlite, begin_immediate

NOVEMBER = Path(__file__).parent / "november"
EXPECTED: dict[str, Any] = json.loads((NOVEMBER / "expected.json").read_text())


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    with sqlite3.connect(home / "store.db") as database:
        database.executescript((NOVEMBER / "store.sql").read_text())
    for name in ("workspace.json", "routes.json"):
        shutil.copy(NOVEMBER / name, home)
    return home


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace(home)


def published(home: Path) -> list[Any]:
    """The routes as agents read them. Fields that they do not need were published in November, and are no longer."""
    routes = [entry["route"] for entry in orjson.loads((home / "routes.json").read_bytes())["routes"]]
    return [{name: route[name] for name in ROUTE_FIELDS} for route in routes]


def test_the_same_specialists_answer_on_the_same_routes(workspace: Workspace) -> None:
    before = published(workspace.home)
    assert {s.id: s.state for s in workspace.specialists()} == EXPECTED["states"]
    routes = workspace.routes()
    assert routes.pop("size-9").audit == 0.02, "from among the results, where the oldest homes kept it"
    assert routes == {identity: Route.from_record(record) for identity, record in EXPECTED["routes"].items()}
    publish(workspace)
    assert [route["specialist_id"] for route in before] == ["colour-2"]
    (now,) = published(workspace.home)
    assert now == {name: before[0][name] for name in now}, "less is written than before: what an agent needs"
    assert {"threshold", "fingerprint", "scorer", "signatures", "share", "audit"} <= now.keys()


def test_policies_stages_and_marks_are_what_they_were(workspace: Workspace) -> None:
    for of, said in EXPECTED["policies"].items():
        policy = asdict(policy_of(workspace, of))
        later = {name: policy.pop(name) for name in ("price_as", "promise", "epsilon_all")}
        assert later == {"price_as": "gpt-4.1", "promise": "", "epsilon_all": None} and policy == said
    assert price_as_of(workspace) == EXPECTED["results"]["teacher"]["price_as"]
    for of, stage in EXPECTED["stages"].items():
        kept = workspace.state.stage(of)
        assert kept is not None and {"after": kept.attempt, "calls": kept.call, "time": kept.time} == stage
    every = [s.id for s in workspace.specialists()]
    assert [of for of in every if workspace.state.replaced(of)] == EXPECTED["replaced"]
    assert [of for of in every if workspace.state.taken_out(of)] == EXPECTED["taken_out"]


def test_the_ledger_is_what_it_was(workspace: Workspace) -> None:
    decisions = [{**asdict(entry), "calls": list(entry.calls)} for entry in workspace.state.decisions("colour")]
    assert decisions == EXPECTED["decisions"]


def test_calls_come_in_the_same_order_under_the_same_numbers(workspace: Workspace) -> None:
    numbered = list(workspace.numbered_calls())
    assert [number for number, _ in numbered] == EXPECTED["numbers"]
    assert [call.id for _, call in numbered] == EXPECTED["calls"]
    assert {call.id: call.content_hash for _, call in numbered} == EXPECTED["contents"]
    assert workspace.assignments() == EXPECTED["assignments"]
    assert workspace.add_calls(call for _, call in numbered) == 0


def test_events_and_tries_are_what_they_were(workspace: Workspace) -> None:
    assert [asdict(event) for event in workspace.history.events()] == EXPECTED["events"]
    assert [asdict(row) for row in workspace.history.attempts()] == EXPECTED["attempts"]


def test_the_watch_goes_on_where_it_was(workspace: Workspace) -> None:
    watched = workspace.watched
    assert (watched.noticed(), watched.compared("colour")) == (EXPECTED["noticed"], EXPECTED["compared"])
    reason = watched.reason("size")
    assert reason is not None and asdict(reason) == EXPECTED["reason"]
    assert watched.changes("colour-2") == EXPECTED["results"]["changed:colour-2"]
    assert {of: watched.window(of) or None for of in EXPECTED["windows"]} == EXPECTED["windows"]
    assert any(EXPECTED["windows"].values())


def test_what_the_loop_found_is_there(workspace: Workspace) -> None:
    results, findings = EXPECTED["results"], workspace.findings
    data_set, improvement = findings.data_set("colour"), findings.improvement("colour")
    assert data_set is not None and improvement is not None
    names = {"terms": "made_from", "after": "attempt"}
    assert asdict(data_set) == {names.get(name, name): value for name, value in results["data:colour"].items()}
    assert asdict(improvement) == results["improvement:colour"]
    short = findings.improvement("size")
    assert short is not None and (short.reason, short.figures, short.specialist_id) == ("Too few calls.", {}, None)
    assert findings.ceiling("size") == results["ceiling:size"]
    realised = findings.realised("colour")
    assert realised is not None and asdict(realised) == results["realised:colour"]
    assert findings.end_to_end() == results["end-to-end"]
    assert findings.stand_in() == results["teacher"]["stand_in"] and findings.remark("demo: watched") == 36


def test_what_is_left_is_the_cache(workspace: Workspace) -> None:
    assert workspace.cached("tasks:36") == 2
    assert workspace.cached("judged:colour-2:f:test:h") == EXPECTED["results"]["judged:colour-2:f:test:h"]
    workspace.close()
    with sqlite3.connect(workspace.home / "store.db") as database:
        keys = {key for (key,) in database.execute("SELECT key FROM cache")}
        applied = database.execute("SELECT number, time FROM migrations ORDER BY number").fetchall()
    assert keys == {"judged:colour-2:f:test:h", "tasks:36", "worth:colour"}
    assert [number for number, _ in applied] == [migration.number for migration in migrations.ALL]
    assert all(abs(at - time.time()) < 600 for _, at in applied)


def test_it_goes_on(workspace: Workspace) -> None:
    live = workspace.specialist("colour-2")
    assert live is not None
    predecessor = lifecycle.rollback(workspace, live, "by hand")
    assert predecessor is not None and predecessor.id == "colour-1", "the mark says that it was live once"


def test_older_versions_refuse_it_from_then_on(home: Path) -> None:
    Workspace(home).count_calls()
    identity = orjson.loads((home / "workspace.json").read_bytes())
    assert identity["version"] == VERSION > 1 and identity["id"] == Workspace(home).id
    assert Workspace(home).id == orjson.loads((NOVEMBER / "workspace.json").read_bytes())["id"]


def test_a_store_with_a_migration_that_is_not_known_is_refused(home: Path) -> None:
    workspace = Workspace(home)
    workspace.count_calls()
    workspace.close()
    with sqlite3.connect(home / "store.db") as database:
        database.execute("INSERT INTO migrations VALUES (99, 'of tomorrow', 0)")
    with pytest.raises(WorkspaceError, match="newer"):
        Workspace(home).count_calls()


def test_two_processes_may_migrate_at_once(home: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_count, args=(home,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert Workspace(home).routes().keys() == {*EXPECTED["routes"], "size-9"}


def _count(home: Path) -> None:
    assert Workspace(home).count_calls() == len(EXPECTED["calls"])


@pytest.mark.parametrize("killed_in", [migration.number for migration in migrations.ALL])
def test_killed_in_a_migration_it_is_as_before_it_and_goes_on(home: Path, killed_in: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_die, args=(home, killed_in))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with sqlite3.connect(home / "store.db") as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        applied = database.execute("SELECT count(*) FROM migrations").fetchone()[0] if "migrations" in tables else 0
    assert applied == killed_in - 1
    assert ("results" in tables) is (killed_in <= 5) and ("policies" in tables) is (killed_in > 4)
    workspace = Workspace(home)
    assert [call.id for call in workspace.calls()] == EXPECTED["calls"]
    assert policy_of(workspace, "colour").latency_ms == 900.0


def _die(home: Path, number: int) -> None:
    """Apply the migrations, and be killed at the end of one, before it is committed."""
    migration = running.ALL[number - 1]

    def apply(connection: sa.Connection) -> None:
        migration.apply(connection)
        os.kill(os.getpid(), signal.SIGKILL)

    changed = running.Migration(number, migration.name, apply)
    running.ALL = (*running.ALL[: number - 1], changed, *running.ALL[number:])
    Workspace(home).count_calls()


def test_the_tables_are_what_the_migrations_come_to(tmp_path: Path) -> None:
    from protege.store import tables

    Workspace(tmp_path).count_calls()
    migrated = _schema(Sqlite(tmp_path).connect())
    fresh = sa.create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    tables.metadata.create_all(fresh)
    migrated.pop("migrations")
    assert migrated == _schema(fresh)


def _schema(engine: sa.Engine) -> dict[str, Any]:
    """Of each table: columns, keys and indexes."""
    inspector = sa.inspect(engine)

    def of(table: str) -> Any:
        columns = {
            c["name"]: (str(c["type"]), c["nullable"], c.get("primary_key")) for c in inspector.get_columns(table)
        }
        indexes = {i["name"]: i["column_names"] for i in inspector.get_indexes(table)}
        unique = sorted(u["column_names"] for u in inspector.get_unique_constraints(table))
        return columns, indexes, unique

    return {table: of(table) for table in inspector.get_table_names()}


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(connection: sa.Connection) -> None:
        connection.execute(sa.text("CREATE TABLE half (x)"))
        raise ZeroDivisionError

    monkeypatch.setattr(running, "ALL", (running.Migration(1, "fails", fails),))
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'store.db'}")
    with pytest.raises(ZeroDivisionError):
        running.migrate(engine, begin_immediate)
    assert sa.inspect(engine).get_table_names() == []
