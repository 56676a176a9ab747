"""A disk that hangs, and one without locks: the agent is held once for a moment; each call is written or counted."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from protege import Recorder, Workspace, drain
from protege.collect import journal
from protege.collect.journal import without_writer

HELD_S = 0.25
SLACK_S = 0.5
"""The machine that runs the tests may be busy."""


def record(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], "response": {"role": "assistant", "content": "ok"}}


def texts(home: Path) -> list[str]:
    workspace = Workspace(home)
    drain(workspace)
    return sorted(str(call.request.messages[0]["content"]) for call in workspace.calls())


def took_s(recorder: Recorder, text: str) -> float:
    begin_s = time.perf_counter()
    recorder.record(record(text))
    return time.perf_counter() - begin_s


class Disk:
    """The disk under a home. `hang` makes each of these calls of the operating system wait until `come_back`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        self._back = threading.Event()
        self.waiting = threading.Event()

    def hang(self, *names: str) -> None:
        self._back.clear()
        self.waiting.clear()
        for name in names:
            self._patch.setattr(os, name, self._waits_before(getattr(os, name)))

    def come_back(self) -> None:
        self._back.set()

    def _waits_before(self, real: Any) -> Any:
        def waits(*args: Any, **kwargs: Any) -> Any:
            if not self._back.is_set():
                self.waiting.set()
            self._back.wait(30)
            return real(*args, **kwargs)

        return waits


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, impatient: None) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.come_back()


def eventually(condition: Any) -> bool:
    until_s = time.monotonic() + 10
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.01)
    return condition()


def test_a_write_that_hangs_holds_one_call_for_a_moment_and_the_next_ones_not_at_all(
    tmp_path: Path, disk: Disk, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(record("before"))
    with caplog.at_level(logging.WARNING, logger="protege"):
        disk.hang("write")
        assert took_s(recorder, "held") < HELD_S + SLACK_S
        assert max(took_s(recorder, f"not held {number}") for number in range(50)) < SLACK_S
        disk.come_back()
        assert eventually(lambda: not recorder._journal._patience.busy)
    recorder.record(record("after"))
    assert recorder.lost == 0
    assert texts(tmp_path) == sorted(["before", "held", "after", *(f"not held {number}" for number in range(50))])
    assert len([r for r in caplog.records if "hangs" in r.getMessage()]) == 1


@pytest.mark.parametrize("call", ["open", "mkdir"])
def test_a_disk_that_hangs_before_the_first_call_holds_it_no_longer(tmp_path: Path, disk: Disk, call: str) -> None:
    recorder = Recorder(tmp_path / "home")
    disk.hang(call)
    assert took_s(recorder, "first") < HELD_S + SLACK_S
    assert took_s(recorder, "second") < SLACK_S
    disk.come_back()
    assert eventually(lambda: not recorder._journal._patience.busy)
    assert texts(tmp_path / "home") == ["first", "second"]


def test_a_burst_of_calls_goes_over_to_the_thread_when_its_disk_hangs(tmp_path: Path, disk: Disk) -> None:
    recorder = Recorder(tmp_path)
    for number in range(200):
        recorder.record(record(f"burst {number:03}"))
    time.sleep(2 * journal.BURST_GAP_S)
    disk.hang("write")
    assert took_s(recorder, "held") < HELD_S + SLACK_S
    assert max(took_s(recorder, f"x{number}") for number in range(100)) < SLACK_S
    disk.come_back()
    assert eventually(lambda: not recorder._journal._patience.busy)
    assert len(texts(tmp_path)) == 301


def test_what_does_not_fit_into_memory_is_counted_and_the_rest_is_written(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "BACKLOG_BYTES", 5_000)
    recorder = Recorder(tmp_path)
    recorder.record(record("before"))
    disk.hang("write")
    for number in range(20):
        recorder.record(record(f"{number:03} " + "x" * 1000))
    lost = recorder.lost
    assert 10 < lost < 20
    disk.come_back()
    assert eventually(lambda: not recorder._journal._patience.busy)
    assert recorder.lost == lost
    assert len(texts(tmp_path)) == 21 - lost


def test_what_fails_when_the_disk_is_back_is_counted(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(record("before"))

    def full(*args: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    disk.hang("write")
    for _ in range(3):
        recorder.record(record("lost"))
    disk.come_back()
    assert eventually(lambda: recorder.lost == 3)
    assert texts(tmp_path) == ["before"]


def test_a_child_that_is_forked_while_the_disk_hangs_neither_hangs_nor_doubles_calls(
    tmp_path: Path, disk: Disk
) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(record("before"))
    disk.hang("write")
    recorder.record(record("held"))
    recorder.record(record("in memory"))
    child = os.fork()
    if not child:
        disk.come_back()
        recorder.record(record("child"))
        os._exit(0)
    until_s = time.monotonic() + 5
    while (ended := os.waitpid(child, os.WNOHANG)[0]) == 0 and time.monotonic() < until_s:
        time.sleep(0.02)
    assert ended == child
    disk.come_back()
    assert eventually(lambda: not recorder._journal._patience.busy)
    assert texts(tmp_path) == ["before", "child", "held", "in memory"]


def _descriptors(folder: Path) -> int:
    """How many files below the folder this process has open: threads of other tests may open and close others."""
    opened = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            opened += link.readlink().is_relative_to(folder)
    return opened


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EWOULDBLOCK])
def test_without_locks_nothing_leaks_and_the_loss_is_counted_and_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, reason: int
) -> None:
    def refuse(file: int, operation: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(fcntl, "flock", refuse)
    recorder = Recorder(tmp_path)
    before = _descriptors(tmp_path)
    with caplog.at_level(logging.WARNING, logger="protege"):
        for _ in range(30):
            recorder.record(record("lost"))
    assert recorder.lost == 30
    assert len(caplog.records) == 1
    assert _descriptors(tmp_path) <= before
    assert not list((tmp_path / "journal").iterdir())
    monkeypatch.undo()
    recorder.record(record("locks again"))
    assert texts(tmp_path) == ["locks again"]


def test_a_journal_that_cannot_be_locked_counts_as_one_that_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Recorder(tmp_path).record(record("here"))
    (path,) = (tmp_path / "journal").iterdir()

    def refuse(file: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with without_writer(path) as abandoned:
        assert not abandoned


def test_a_file_that_cannot_be_looked_at_is_closed_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder(tmp_path)
    real = os.fstat

    def refuse(file: int) -> os.stat_result:
        if Path(f"/proc/self/fd/{file}").readlink().suffix == journal.SUFFIX:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file)

    monkeypatch.setattr(os, "fstat", refuse)
    before = _descriptors(tmp_path)
    for _ in range(5):
        recorder.record(record("lost"))
    assert recorder.lost == 5
    assert _descriptors(tmp_path) <= before
    assert not list((tmp_path / "journal").iterdir())
