"""Draining: journals into the store, whatever state they are in, and as often as one likes."""

from __future__ import annotations

import logging
import multiprocessing
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege import Workspace
from protege.collect import Recorder, drain
from protege.collect.draining import kept_for_later
from protege.collect.journal import encode
from protege.common.checks import MOST_LEVELS


def record(text: str, **fields: Any) -> dict[str, Any]:
    return {"id": text, "messages": [{"role": "user", "content": text}], **fields}


def frame(text: str) -> bytes:
    return encode(orjson.dumps(record(text)))


def ids(workspace: Workspace) -> list[str]:
    return [call.id for call in workspace.calls()]


def files(workspace: Workspace) -> list[str]:
    return sorted(path.name for path in (workspace.home / "journal").iterdir())


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


def test_an_empty_journal_gives_nothing(workspace: Workspace) -> None:
    assert drain(workspace) == 0


def test_the_file_of_a_living_process_stays_and_is_read_on_from_where_it_was(workspace: Workspace) -> None:
    recorder = Recorder(workspace.home)
    recorder.record(record("a"))
    assert drain(workspace) == 1
    assert len(files(workspace)) == 1
    assert (
        workspace.journals.offsets()[files(workspace)[0]]
        == (workspace.home / "journal" / files(workspace)[0]).stat().st_size
    )
    recorder.record(record("b"))
    assert drain(workspace) == 1
    assert drain(workspace) == 0
    assert ids(workspace) == ["a", "b"]


def test_the_file_of_a_process_that_is_gone_is_deleted_and_forgotten(workspace: Workspace) -> None:
    recorder = Recorder(workspace.home)
    recorder.record(record("a"))
    drain(workspace)
    recorder.close()
    assert drain(workspace) == 0
    assert files(workspace) == []
    assert workspace.journals.offsets() == {}
    assert ids(workspace) == ["a"]


def test_offsets_of_files_that_are_gone_are_forgotten(workspace: Workspace) -> None:
    workspace.journals.save_offset("1-1-gone.journal", 100)
    drain(workspace)
    assert workspace.journals.offsets() == {}


def test_a_call_that_is_drained_again_is_not_stored_again(workspace: Workspace) -> None:
    for name in ("1-1-a.journal", "2-1-b.journal"):
        (workspace.home / "journal" / name).write_bytes(frame("same"))
    assert drain(workspace) == 1
    assert ids(workspace) == ["same"]


def test_a_half_written_frame_of_a_living_process_waits_for_its_rest(workspace: Workspace) -> None:
    recorder = Recorder(workspace.home)
    recorder.record(record("a"))
    path = workspace.home / "journal" / files(workspace)[0]
    whole = frame("b")
    with path.open("ab") as file:
        file.write(whole[:20])
        file.flush()
        assert drain(workspace) == 1
        file.write(whole[20:])
        file.flush()
        assert drain(workspace) == 1
    assert ids(workspace) == ["a", "b"]


def test_a_frame_that_a_killed_process_did_not_finish_is_left_out(workspace: Workspace) -> None:
    (workspace.home / "journal" / "1-1-a.journal").write_bytes(frame("a") + frame("b")[:-1])
    assert drain(workspace) == 1
    assert files(workspace) == []


def test_a_damaged_file_is_kept_aside_and_what_can_be_read_is_stored(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = bytearray(frame("secret words"))
    damaged[30] ^= 1
    (workspace.home / "journal" / "1-1-a.journal").write_bytes(frame("a") + bytes(damaged) + frame("c"))
    with caplog.at_level(logging.WARNING, logger="protege"):
        assert drain(workspace) == 2
    assert ids(workspace) == ["a", "c"]
    assert files(workspace) == ["1-1-a.journal.damaged"]
    assert "damaged" in caplog.text
    assert "secret words" not in caplog.text
    assert drain(workspace) == 0


def test_a_file_of_noise_is_kept_aside(workspace: Workspace) -> None:
    (workspace.home / "journal" / "1-1-a.journal").write_bytes(b"\0" * 500)
    assert drain(workspace) == 0
    assert files(workspace) == ["1-1-a.journal.damaged"]


@pytest.mark.parametrize("newer", [encode(b"\xff\xff", key_id=3), b"\xffPJ\x02" + bytes(40)])
def test_a_frame_that_only_a_newer_version_can_read_stays_where_it_is(workspace: Workspace, newer: bytes) -> None:
    path = workspace.home / "journal" / "1-1-a.journal"
    content = frame("a") + newer + frame("b")
    path.write_bytes(content)
    assert [drain(workspace) for _ in range(3)] == [2, 0, 0]
    assert path.read_bytes() == content
    assert workspace.journals.offsets()[path.name] == len(frame("a")), "a newer version begins with what is unread"
    assert kept_for_later(workspace) == [path]


def test_a_living_process_of_a_newer_version_loses_nothing_to_an_older_one(workspace: Workspace) -> None:
    recorder = Recorder(workspace.home)
    recorder.record(record("a"))
    path = workspace.home / "journal" / files(workspace)[0]
    with path.open("ab") as file:
        file.write(encode(b"sealed", key_id=1))
    assert drain(workspace) == 1
    recorder.record(record("b"))
    assert [drain(workspace), drain(workspace)] == [1, 0]
    assert encode(b"sealed", key_id=1) in path.read_bytes()[workspace.journals.offsets()[path.name] :]
    recorder.close()
    assert drain(workspace) == 0
    assert kept_for_later(workspace) == [path]


def test_a_record_that_is_no_call_does_not_stop_the_others(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(workspace.home)
    for odd in (
        {"no": "messages"},
        {"messages": []},
        {"messages": "text"},
        record("x", node=5),
        record("y", usage=[1]),
    ):
        recorder.record(odd)
    recorder.record(record("good"))
    with caplog.at_level(logging.WARNING, logger="protege"):
        assert drain(workspace) == 2
    assert ids(workspace) == ["y", "good"], "a usage that is none costs the usage alone"
    assert "4 records are not calls" in caplog.text


def test_cost_is_filled_in_where_model_and_usage_are_known(workspace: Workspace) -> None:
    recorder = Recorder(workspace.home)
    used = {"input_tokens": 1000, "output_tokens": 100}
    recorder.record(record("known", model="gpt-4o", usage=used))
    recorder.record(record("unknown", model="our-own", usage=used))
    recorder.record(record("given", model="gpt-4o", usage=used, cost_usd=5.0))
    drain(workspace)
    assert [call.cost_usd for call in workspace.calls()] == [pytest.approx(0.0035), None, 5.0]


def _drain_often(home: Path, added: Any) -> None:
    workspace = Workspace(home)
    for _ in range(15):
        added.put(drain(workspace))


def _record_many(home: Path, worker: int) -> None:
    recorder = Recorder(home)
    for number in range(400):
        recorder.record(record(f"{worker}-{number}"))
    os._exit(0)


def test_drains_and_recorders_at_the_same_time_lose_and_double_nothing(workspace: Workspace) -> None:
    drain(workspace)
    fork = multiprocessing.get_context("fork")
    added = fork.Queue()
    workers = [fork.Process(target=_record_many, args=(workspace.home, worker)) for worker in range(3)]
    drains = [fork.Process(target=_drain_often, args=(workspace.home, added)) for _ in range(3)]
    for process in (*workers, *drains):
        process.start()
    told = sum(added.get(timeout=60) for _ in range(45))
    for process in (*workers, *drains):
        process.join()
    told += drain(workspace)
    assert told == 1200
    assert len(set(ids(workspace))) == 1200
    assert files(workspace) == []


@pytest.mark.parametrize("levels", [150, 230, 300])
def test_of_a_call_that_is_nested_too_deep_the_deeper_part_alone_is_left_out(workspace: Workspace, levels: int) -> None:
    nested: Any = "x"
    for _ in range(levels):
        nested = [nested]
    recorder = Recorder(workspace.home)
    recorder.record({**record("deep"), "feedback": nested})
    recorder.close()
    drain(workspace)
    (call,) = workspace.calls()
    value, reached = call.feedback, 0
    while isinstance(value, list):
        value, reached = value[0], reached + 1
    assert (value == "x") is (levels == 150) and reached == min(levels, MOST_LEVELS - 1)
    assert recorder.lost == 0
