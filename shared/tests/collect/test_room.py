"""A journal and what is kept beside it do not grow without end, and what is lost is counted."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege import Recorder, Workspace, drain
from protege.collect import draining, room
from protege.collect.journal import JournalWriter
from protege.common.leftovers import OLD_S, leftovers
from protege.store import quarantine


def record(name: str, size: int = 0) -> dict[str, Any]:
    answer = {"role": "assistant", "content": "ok"}
    return {"id": name, "messages": [{"role": "user", "content": "x" * size}], "response": answer}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal of one megabyte."""
    monkeypatch.setenv(room.LIMIT_VAR, "1")
    monkeypatch.setattr(room, "CHECK_BYTES", 100_000)


@pytest.mark.usefixtures("small")
def test_a_full_journal_refuses_what_comes_counts_it_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path)
    with caplog.at_level(logging.WARNING, logger="protege"):
        for number in range(200):
            recorder.record(record(f"c{number:03}", 10_000))
    assert 80 < recorder.lost < 110
    assert room.journal_bytes(tmp_path / "journal") <= 1 << 20
    assert len(caplog.records) == 1 and "the journal is full (1 MB)" in caplog.text
    workspace = Workspace(tmp_path)
    drain(workspace)
    assert [call.id for call in workspace.calls()] == [f"c{number:03}" for number in range(200 - recorder.lost)]


@pytest.mark.usefixtures("small")
def test_recording_goes_on_once_the_journal_is_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path)
    for number in range(150):
        recorder.record(record(f"c{number}", 10_000))
    lost = recorder.lost
    assert lost
    drain(Workspace(tmp_path))
    assert not list((tmp_path / "journal").iterdir()), "the writer had let its file go"
    monkeypatch.setattr(room, "LOOK_S", 0.0)
    recorder._journal._room._again_s = 0.0
    recorder.record(record("after"))
    assert recorder.lost == lost
    assert drain(Workspace(tmp_path)) == 1


@pytest.mark.usefixtures("small")
def test_all_writers_of_a_journal_share_its_room(tmp_path: Path) -> None:
    recorders = [Recorder(tmp_path) for _ in range(8)]
    for number in range(400):
        recorders[number % 8].record(record(f"c{number}", 10_000))
    assert room.journal_bytes(tmp_path / "journal") <= (1 << 20) + 8 * 100_000


def test_damaged_files_are_kept_within_bounds_the_newest_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "MOST_DAMAGED_BYTES", 2_500)
    workspace = Workspace(tmp_path)
    for number in range(5):
        writer = JournalWriter(tmp_path / "journal")
        writer.append(b"x" * 800)
        writer.append(orjson.dumps(record(f"c{number}")))
        writer.close()
        (path,) = (tmp_path / "journal").glob("*.journal")
        body = bytearray(path.read_bytes())
        body[100] ^= 1
        path.write_bytes(body)
        path.rename(path.with_name(f"{number}-{path.name}"))
        drain(workspace)
    assert workspace.count_calls() == 5
    assert [path.name[0] for path in sorted((tmp_path / "journal").iterdir())] == ["3", "4"]


def test_the_quarantine_is_bounded_in_rows_and_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(quarantine, "MOST_ROWS", 40)
    monkeypatch.setattr(quarantine, "MOST_BYTES", 10_000)
    workspace = Workspace(tmp_path)
    for turn in range(3):
        writer = JournalWriter(tmp_path / "journal")
        for number in range(20):
            writer.append(orjson.dumps({**record(f"c{turn}-{number}", 1_000), "node": 5}))
        writer.close()
        with caplog.at_level(logging.WARNING, logger="protege"):
            drain(workspace)
    assert workspace.quarantine.total() == 40
    assert "the quarantine is full" in caplog.text
    ours = Workspace(tmp_path)
    monkeypatch.setattr(quarantine.importlib.metadata, "version", lambda name: "99.0")
    kept = ours.quarantine.of_other_versions(("drain",))
    assert 0 < sum(len(aside.body) for aside in kept) <= 10_000


def test_a_call_that_discovery_cannot_read_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from protege.cluster import survey
    from protege.loop.tasks import find_tasks

    workspace = Workspace(tmp_path)
    recorder = Recorder(tmp_path)
    for number in range(40):
        recorder.record(record(f"c{number}", 20))
    recorder.close()
    tried: list[str] = []
    real = survey._size

    def fails_on_one(call: Any) -> int:
        tried.append(call.id)
        if call.id == "c7":
            raise RecursionError
        return real(call)

    monkeypatch.setattr(survey, "_size", fails_on_one)
    find_tasks(workspace)
    assert workspace.quarantine.counts() == {"discovery": {"RecursionError": 1}}
    recorder.record(record("more", 20))
    recorder.close()
    tried.clear()
    find_tasks(workspace)
    assert "more" in tried and "c7" not in tried
    monkeypatch.setattr(quarantine.importlib.metadata, "version", lambda name: "99.0")
    recorder.record(record("still more", 20))
    recorder.close()
    find_tasks(workspace)
    assert "c7" in tried, "another version tries it once"


def test_temporaries_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folders = [tmp_path / "datasets", tmp_path / "specialists/sp-1", tmp_path / "reports"]
    for folder in folders:
        folder.mkdir(parents=True)
    dead = [".routes.json.abc12_x9", "..switch.123.qrs_tuv1", ".key.0a1b2c3d", ".workspace.json.11223344"]
    dead += [
        "datasets/.0f3a.k2j1_xyz/train.jsonl",
        "specialists/sp-1/.model.gguf.part",
        "reports/.report.html.abcdefgh",
    ]
    ours = [".routes.json.youngone", ".env.local", ".gitignore", "notes.txt", "specialists/sp-1/model.gguf"]
    old_s = time.time() - 2 * OLD_S
    for name in dead + ours:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        if name != ".routes.json.youngone":
            for changed in (path, path.parent) if "datasets" in name else (path,):
                os.utime(changed, (old_s, old_s))
    assert len(list(leftovers(tmp_path))) == len(dead)
    drain(workspace)
    assert not list(leftovers(tmp_path))
    assert not any((tmp_path / name).exists() for name in dead)
    assert all((tmp_path / name).exists() for name in ours)
    assert {"switch", "workspace.json", "store.db"} <= {path.name for path in tmp_path.iterdir()}


HANGS_TO_THE_END = """
import logging, os, sys, threading
from protege import Recorder
logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
recorder = Recorder(sys.argv[1])
call = {"messages": [{"role": "user", "content": "x"}]}
recorder.record(call)
os.write = lambda *arguments: threading.Event().wait()
for _ in range(5):
    recorder.record(call)
"""


def test_what_is_held_in_memory_at_the_end_is_counted_and_said(tmp_path: Path) -> None:
    line = [sys.executable, "-c", HANGS_TO_THE_END, str(tmp_path)]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
    assert "5 calls that were held in memory are lost" in ended.stdout
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 1
