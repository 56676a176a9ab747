"""A smoke of the sweeps in bench/sweeps: the same functions with small numbers, and with time to spare."""

from __future__ import annotations

import sys
from pathlib import Path

import forking
import gateway_equality
import gateway_faults
import hung_disk
import killed
import poisoned_calls
import pytest
import switched_off
from protege.common import switch
from protege.rollout import lifecycle

LONG_S = 10.0
"""The machine that runs the tests may be busy: the sweeps themselves hold to a second and less."""


@pytest.fixture(autouse=True)
def left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sweeps change in a process of their own is changed back here."""
    monkeypatch.setattr(switch, "runtime_folders", switch.runtime_folders)
    monkeypatch.setattr(lifecycle.serve, "bring_back", lifecycle.serve.bring_back)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")


@pytest.mark.parametrize("way", poisoned_calls.WAYS)
def test_poisoned_calls_cost_themselves_alone(way: str, tmp_path: Path) -> None:
    figures = poisoned_calls.sweep(way, 3 * len(poisoned_calls.KINDS), 7, tmp_path / "home")
    assert figures["ok"], figures


def test_all_kinds_of_poison_are_sent() -> None:
    sent = {mutant.kind for mutant in poisoned_calls.mutants(1, len(poisoned_calls.KINDS))}
    assert sent == set(poisoned_calls.KINDS)


@pytest.mark.parametrize("operation", killed.QUICK)
def test_a_kill_before_a_write_loses_and_doubles_nothing(operation: str, tmp_path: Path) -> None:
    killed.prepared(tmp_path)
    figures = killed.sweep(operation, 40 if killed.OPERATIONS[operation].damaged else 13, tmp_path / operation)
    assert figures["ok"], figures


@pytest.mark.skipif(not hasattr(switched_off.os, "fork"), reason="forks")
@pytest.mark.parametrize("condition", switched_off.CONDITIONS)
def test_off_holds_whatever_is_broken(condition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(switched_off, "WITHIN_S", LONG_S)
    figures = switched_off.sweep(1, 0, tmp_path, (condition,))
    assert figures["ok"] and condition in figures, figures


def test_off_holds_in_the_workers_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gunicorn")
    monkeypatch.setattr(switched_off, "WITHIN_S", LONG_S)
    figures = switched_off.sweep(1, 2, tmp_path, ())
    assert figures["ok"] and len(figures) == 2, figures


def test_forks_neither_hang_nor_lose_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forking, "STALE_S", LONG_S)
    figures = forking.sweep(4, 1, forking.multiprocessing.get_all_start_methods(), tmp_path / "home")
    assert figures["ok"], figures


@pytest.mark.usefixtures("impatient")
def test_a_hung_disk_holds_one_call_for_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hung_disk, "HELD_S", LONG_S)
    monkeypatch.setattr(hung_disk, "CALLS", 20)
    figures = hung_disk.rounds(hung_disk.Patched(tmp_path), 1)
    assert figures["ok"], figures


def test_the_bytes_at_a_client_of_the_gateway_are_those_that_the_upstream_sent(tmp_path: Path) -> None:
    figures = gateway_equality.sweep(4 * len(gateway_equality.REQUESTS), 5, tmp_path / "home")
    assert figures["ok"], figures


def test_faults_around_the_gateway_are_bounded_and_lose_nothing(tmp_path: Path) -> None:
    figures = {
        "faults": gateway_faults.faults(2, tmp_path / "faults"),
        "idle": gateway_faults.idle_streams(30, tmp_path / "idle"),
        "kills": gateway_faults.kills(1, tmp_path),
    }
    assert all(one["ok"] for one in figures.values()), figures
