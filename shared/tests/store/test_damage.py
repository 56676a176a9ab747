"""A damaged row costs itself alone: it is left out and counted, and nobody may answer more than before."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from damaged import TASK, damage, filled_home, followed
from protege import Workspace, improve
from protege.cli.doctor import checkup
from protege.common.trust import trust
from protege.errors import DamagedRow, WorkspaceError
from protege.loop import find_tasks
from protege.report import history, status
from protege.rollout import TaskPolicy, off_at_once, policy_of, publish, set_policy, switch
from protege.store import Database, open_store, tables
from protege.store.home import Identity
from protege.store.rows import READERS, plain, read
from protege.watch import look


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sound") / "home"
    filled_home(home).close()
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound, tmp_path / "home")
    trust(tmp_path / "home")
    return tmp_path / "home"


def everything(home: Path) -> dict[str, Any]:
    """What people run, to the end; the status."""
    workspace = Workspace(home)
    look(workspace)
    history(workspace)
    find_tasks(workspace)
    improve(workspace)
    told = status(workspace)
    workspace.close()
    assert checkup(home)
    return told


DAMAGES: dict[str, Any] = {
    "no JSON": b'{"id": ',
    "another kind of JSON": b"[5]",
    "a text": "something else",
    "nothing": None,
    "an absurd number": 2**62,
    "another absurd number": 1e300,
    "a megabyte": "x" * (1 << 20),
    "no UTF-8": sqlite3.Binary(b"\xff\xfe"),
}
COLUMNS = [
    (table.name, column.name)
    for table in tables.metadata.sorted_tables
    for column in table.columns
    if not (column.primary_key and column.name == "number")
]


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_row_is_read_or_damaged_whatever_one_of_its_columns_holds(sound: Path, kind: str) -> None:
    database = Database(open_store(sound, Identity("")))
    refused = 0
    for name, column in COLUMNS:
        if name not in READERS:
            continue
        table = tables.metadata.tables[name]
        for row in database.rows(plain(table)):
            try:
                said = read(table, {**row._mapping, column: DAMAGES[kind]})
                if name == "policies":
                    TaskPolicy(**said)  # raises for what no policy can be
            except DamagedRow:
                refused += 1
    database.close()
    assert refused > 40


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_in_every_table_at_once_stops_nothing(home: Path, kind: str) -> None:
    """In the last column of each."""
    for table in tables.metadata.sorted_tables:
        if table.name != "decisions" or kind != "nothing":
            damage(home, table.name, table.columns.keys()[-1], DAMAGES[kind])
    workspace = Workspace(home)
    told = status(workspace)
    history(workspace)
    publish(workspace)
    assert told["damaged"] and set(told["set_aside"]) <= {"store"}
    assert len(list(workspace.calls())) == 9 or kind == "nothing" or not list(workspace.calls())
    assert followed(home) == []


@pytest.mark.parametrize("table", [table.name for table in tables.metadata.sorted_tables])
def test_what_people_run_goes_on_with_a_damaged_row(home: Path, table: str) -> None:
    column = next((c.name for c in tables.metadata.tables[table].columns if not c.primary_key), "task_id")
    body = "body" if "body" in tables.metadata.tables[table].columns else column
    if not damage(home, table, body, b'{"id": ') and table == "quarantine":
        pytest.skip("nothing is set aside in a sound home")
    told = everything(home)
    if table in READERS and table not in ("cache", "cursors", "journals", "marks", "improvements"):
        assert told["damaged"].get(table), told["damaged"]
    workspace = Workspace(home)
    assert len(followed(home)) <= 1 and workspace.count_calls() == 10


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("policies", "epsilon", "much"),
        ("policies", "epsilon", 5.0),
        ("policies", "task_id", b"\xff"),
        ("decisions", "calls", b"["),
        ("decisions", "task_id", None),
        ("stages", "attempt", 2**62),
        ("marks", "taken_out", "perhaps"),
        ("routes", "body", b"{}"),
        ("reasons", "since", 1e300),
    ],
)
def test_the_teacher_answers_where_nobody_can_tell_what_was_promised(
    home: Path, table: str, column: str, value: Any
) -> None:
    assert followed(home) == ["s2"]
    damage(home, table, column, value)
    workspace = Workspace(home)
    look(workspace)
    assert followed(home) == [] and policy_of(workspace, "colour").off
    (improved,) = improve(workspace)
    assert "doctor --repair" in improved.reason and followed(home) == []


@pytest.mark.parametrize("name", [field.name for field in fields(TaskPolicy)])
def test_a_policy_that_cannot_be_read_as_one_is_a_damaged_row(sound: Path, name: str) -> None:
    database = Database(open_store(sound, Identity("")))
    (row,) = database.rows(plain(tables.policies))
    database.close()
    for value in (*DAMAGES.values(), -1.0, 0.0, 1.0, 2.0, "al", ""):
        try:
            said = read(tables.policies, {**row._mapping, name: value})
        except DamagedRow:
            continue
        assert TaskPolicy(**said)


def test_a_damaged_policy_is_not_overwritten_and_off_holds_all_the_same(home: Path) -> None:
    damage(home, "policies", "epsilon", "much", "task_id = 'colour'")
    workspace = Workspace(home)
    for change in ({"off": False}, {"delta": 0.1}):
        with pytest.raises(WorkspaceError, match="doctor --repair"):
            set_policy(workspace, TASK, change)
    assert off_at_once(home, "colour")
    with pytest.raises(WorkspaceError, match="doctor --repair"):
        switch(workspace, TASK, off=True)
    look(workspace)  # what the switch says cannot be written into a damaged row, and needs not be
    assert workspace.damaged() == {"policies": 1} and policy_of(workspace, "colour").off


def test_a_damaged_entry_of_the_ledger_is_not_taken_for_unspent(home: Path) -> None:
    damage(home, "decisions", "delta", -1.0)
    with pytest.raises(WorkspaceError, match="doctor --repair"):
        Workspace(home).state.decisions("colour")


def test_a_part_that_is_not_what_was_stored_costs_the_calls_that_hold_it(home: Path) -> None:
    damage(home, "parts", "body", b'"Name another colour."')
    workspace = Workspace(home)
    assert list(workspace.calls()) == [] and workspace.quarantine.counts() == {"store": {"BadCall": 10}}


def test_the_same_is_found_without_opening_the_home(home: Path) -> None:
    damage(home, "events", "body", b"[")
    number = Workspace(home).damaged()["events"]
    (finding,) = [finding for finding in checkup(home) if finding.name == "store"]
    assert finding.ok is False and f"{number} of events" in finding.fact and finding.remedy == "protege doctor --repair"
