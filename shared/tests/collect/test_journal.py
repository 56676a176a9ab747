"""The journal: frames that survive a kill, a fork, many threads, a full disk and damage."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import stat
import threading
from pathlib import Path

import pytest
from protege.collect import journal
from protege.collect.journal import Damage, Frame, JournalWriter, encode, frames, without_writer


def read(folder: Path) -> list[bytes]:
    return [f.payload for path in sorted(folder.iterdir()) for f in frames(path.read_bytes()) if isinstance(f, Frame)]


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    for payload in (b"{}", b"", b'{"a": "\xc3\xa9"}' * 1000):
        writer.append(payload)
    assert read(tmp_path) == [b"{}", b"", b'{"a": "\xc3\xa9"}' * 1000]


def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    JournalWriter(tmp_path / "journal").append(b"{}")
    (path,) = (tmp_path / "journal").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_eight_threads_write_whole_frames(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    payloads = [[b"%d-%d-" % (thread, i) + b"x" * (i * 7 % 500) for i in range(300)] for thread in range(8)]
    threads = [threading.Thread(target=lambda own=own: [writer.append(p) for p in own]) for own in payloads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(read(tmp_path)) == sorted(p for own in payloads for p in own)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_forked_child_writes_to_a_file_of_its_own(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.append(b"parent")
    child = os.fork()
    if not child:
        writer.append(b"child")
        os._exit(0)
    os.waitpid(child, 0)
    writer.append(b"parent again")
    contents = [[f.payload for f in frames(p.read_bytes()) if isinstance(f, Frame)] for p in tmp_path.iterdir()]
    assert sorted(contents) == [[b"child"], [b"parent", b"parent again"]]


def test_a_fork_while_another_thread_holds_the_lock_does_not_hang_the_child(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with writer._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    child = os.fork()
    if not child:
        writer.append(b"child")
        os._exit(0)
    done.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert read(tmp_path) == [b"child"]


def test_a_file_is_left_for_a_new_one_when_it_is_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "ROTATE_BYTES", 100)
    writer = JournalWriter(tmp_path)
    for _ in range(4):
        writer.append(b"x" * 60)
    assert len(list(tmp_path.iterdir())) == 2
    assert len(read(tmp_path)) == 4


def test_a_journal_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "journal")
    writer.append(b"gone")
    next((tmp_path / "journal").iterdir()).unlink()
    (tmp_path / "journal").rmdir()
    writer.append(b"here")
    assert read(tmp_path / "journal") == [b"here"]


def _fill(folder: Path, results: multiprocessing.Queue[tuple[int, int]]) -> None:
    writer = JournalWriter(folder)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    written = refused = 0
    for number in range(20):
        try:
            writer.append(b"%03d" % number + b"x" * 400)
            written += 1
        except OSError as error:
            assert error.errno in (errno.EFBIG, errno.ENOSPC)
            refused += 1
    # Lifted again: what measures coverage writes a file when a child ends, and the child runs on if it cannot.
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    results.put((written, refused))


def test_a_write_that_stops_half_way_leaves_no_part_of_itself(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[tuple[int, int]] = context.Queue()
    process = context.Process(target=_fill, args=(tmp_path, results))
    process.start()
    written, refused = results.get(timeout=20)
    process.join()
    assert refused and written
    assert len(read(tmp_path)) == written
    assert not any(isinstance(item, Damage) for p in tmp_path.iterdir() for item in frames(p.read_bytes()))
    assert all(path.stat().st_size for path in tmp_path.iterdir())


def test_reading_goes_on_from_an_offset(tmp_path: Path) -> None:
    data = encode(b"one") + encode(b"two")
    (first, _) = frames(data)
    assert [item.payload for item in frames(data, first.end) if isinstance(item, Frame)] == [b"two"]


@pytest.mark.parametrize("cut", range(1, len(encode(b"second")) + 1))
def test_a_half_written_frame_is_left_for_later(cut: int) -> None:
    data = encode(b"first") + encode(b"second")
    (item,) = frames(data[: len(data) - cut])
    assert isinstance(item, Frame)
    assert item.payload == b"first"


@pytest.mark.parametrize("place", range(len(encode(b"second"))))
def test_a_damaged_frame_is_reported_and_the_next_is_found(place: int) -> None:
    first, second, third = (encode(p) for p in (b"first", b"second", b"third"))
    damaged = bytearray(second)
    damaged[place] ^= 0x55
    found = list(frames(first + bytes(damaged) + third))
    assert [item.payload for item in found if isinstance(item, Frame)] == [b"first", b"third"]
    assert [item for item in found if isinstance(item, Damage)] == [Damage(len(first), len(first) + len(second))]


def test_frames_that_were_lost_in_the_middle_do_not_hide_the_rest() -> None:
    data = encode(b"first") + encode(b"second")[:-3] + b"\0" * 64 + encode(b"third")
    assert [item.payload for item in frames(data) if isinstance(item, Frame)] == [b"first", b"third"]


def test_a_key_id_is_kept() -> None:
    (item,) = frames(encode(b"sealed", key_id=7))
    assert isinstance(item, Frame)
    assert item.key_id == 7


def test_a_file_has_a_writer_until_that_lets_go(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path)
    writer.append(b"{}")
    (path,) = tmp_path.iterdir()
    with without_writer(path) as left:
        assert not left
    writer.close()
    with without_writer(path) as left:
        assert left
