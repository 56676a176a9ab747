"""The recorder: every call that returned is there, and nothing it does reaches the agent."""

from __future__ import annotations

import copy
import logging
import multiprocessing
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from protege import Call, Workspace
from protege.collect import Recorder, drain


def call(text: str = "hello", **fields: Any) -> dict[str, Any]:
    answer = {"role": "assistant", "content": "hi"}
    return {"messages": [{"role": "user", "content": text}], "response": answer, **fields}


def texts(workspace: Workspace) -> list[str]:
    return [str(stored.request.messages[0]["content"]) for stored in workspace.calls()]


def test_a_call_is_recorded_and_drained_as_it_was(tmp_path: Path) -> None:
    record = call(id="c1", time=12.5, model="gpt-4o", usage={"input_tokens": 3, "output_tokens": 1}, node=["a", "b"])
    Recorder(tmp_path).record(record)
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 1
    (stored,) = workspace.calls()
    expected = Call.from_record(record).to_record()
    assert stored.to_record() == {**expected, "cost_usd": pytest.approx(1.75e-5)}


def test_id_and_time_are_filled_in_and_the_record_is_left_alone(tmp_path: Path) -> None:
    record = call()
    before = time.time()
    Recorder(tmp_path).record(record)
    assert record == call()
    workspace = Workspace(tmp_path)
    drain(workspace)
    (stored,) = workspace.calls()
    assert stored.id[14] == "7"
    assert stored.time is not None
    assert before <= stored.time <= time.time()


def test_secrets_do_not_reach_the_journal(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2" * 9
    Recorder(tmp_path).record(call(f"my key is {secret}", headers={"Authorization": f"Bearer {secret}"}))
    (path,) = (tmp_path / "journal").iterdir()
    assert secret.encode() not in path.read_bytes()
    assert b"[masked:github_token]" in path.read_bytes()


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("not even this works")


def _circle() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    return circle


@pytest.mark.parametrize(
    "metadata",
    [
        Odd(),
        {"nested": [Odd(), {1, 2}, b"bytes", object]},
        {("a", 1): "odd key", 5: "five", None: "none"},
        1 << 80,
        float("nan"),
        "half a pair: \ud83d",
        {"key \ud83d": 1},
        _circle(),
        threading.Lock(),
    ],
    ids=["object", "nested", "keys", "large", "nan", "surrogate", "surrogate key", "circle", "lock"],
)
def test_what_json_has_no_form_for_does_not_lose_the_call(tmp_path: Path, metadata: Any) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(call("kept", metadata=metadata))
    assert recorder.lost == 0
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 1
    assert texts(workspace) == ["kept"]


def test_a_record_that_is_none_is_counted_and_does_not_raise(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(None)  # type: ignore[arg-type]
    assert recorder.lost == 1


def test_a_home_that_cannot_be_written_is_logged_once_and_recording_resumes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "home"
    home.write_text("a file is in the way")
    recorder = Recorder(home)
    with caplog.at_level(logging.WARNING, logger="protege"):
        recorder.record(call("lost"))
        recorder.record(call("lost"))
    assert recorder.lost == 2
    assert len(caplog.records) == 1
    assert "hello" not in caplog.text
    home.unlink()
    recorder.record(call("kept"))
    workspace = Workspace(home)
    assert drain(workspace) == 1
    assert texts(workspace) == ["kept"]


def test_a_full_disk_does_not_reach_the_agent_and_recording_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(call("before"))
    write = os.write

    def half(file: int, data: bytes) -> int:
        return write(file, data[: len(data) // 2])

    monkeypatch.setattr(os, "write", half)  # what a disk does that fills up in the middle of a write
    for _ in range(3):
        recorder.record(call("lost"))
    monkeypatch.undo()
    recorder.record(call("after"))
    assert recorder.lost == 3
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 2
    assert sorted(texts(workspace)) == ["after", "before"]  # two ids of one millisecond have no order


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full_loses_only_what_was_refused(tmp_path: Path) -> None:
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path], capture_output=True).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        recorder = Recorder(tmp_path)
        for number in range(100):
            recorder.record(call(f"{number} " + "x" * 1500))
        assert 0 < recorder.lost < 100
        filled = [p for p in (tmp_path / "journal").iterdir() if p.suffix == ".journal"]
        data = b"".join(path.read_bytes() for path in filled)
        assert data.count(b"\xffPJ\x01") == 100 - recorder.lost
        lost = recorder.lost
        recorder.close()
        for path in filled:
            path.unlink()
        recorder.record(call("room again"))
        assert recorder.lost == lost
        recorder.close()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


def test_eight_threads_lose_nothing(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)

    def work(thread: int) -> None:
        for number in range(250):
            recorder.record(call(f"{thread}-{number}"))

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 2000
    assert len(set(texts(workspace))) == 2000


def _record_in_child(recorder: Recorder, worker: int) -> None:
    for number in range(100):
        recorder.record(call(f"{worker}-{number}"))


def test_a_recorder_goes_on_after_a_fork(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(call("parent"))
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_record_in_child, args=(recorder, worker)) for worker in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 401  # no id twice: the generator is seeded again in a child
    assert len(set(texts(workspace))) == 401


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_frameworks_may_copy_a_recorder(tmp_path: Path, clone: Any) -> None:
    recorder = Recorder(tmp_path)
    recorder.record(call("one"))
    clone(recorder).record(call("two"))
    workspace = Workspace(tmp_path)
    assert drain(workspace) == 2


RECORDS_UNTIL_KILLED = """
import os, struct, sys
from protege.collect.recorder import Recorder
recorder = Recorder(sys.argv[1])
for number in range(10_000):
    recorder.record({"messages": [{"role": "user", "content": f"call {number} " + "x" * (number % 400)}]})
    os.write(1, struct.pack("<I", number))
"""


@pytest.mark.parametrize("attempt", range(5))
def test_a_kill_loses_no_call_that_had_returned_and_doubles_none(tmp_path: Path, attempt: int) -> None:
    agent = subprocess.Popen([sys.executable, "-c", RECORDS_UNTIL_KILLED, tmp_path], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    until = random.randrange(1, 9_000)
    told = bytearray()
    while len(told) < 4 * until:
        told += os.read(agent.stdout.fileno(), 1 << 16)
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    while more := os.read(agent.stdout.fileno(), 1 << 16):
        told += more
    (last,) = struct.unpack_from("<I", told, len(told) // 4 * 4 - 4)

    workspace = Workspace(tmp_path)
    drain(workspace)
    drain(workspace)
    numbers = [int(text.split()[1]) for text in texts(workspace)]
    assert sorted(numbers) == list(range(len(numbers)))
    assert len(numbers) in (last + 1, last + 2)  # the one being written when it was killed may be whole
    assert not list((tmp_path / "journal").iterdir())


def test_the_recorder_loads_neither_a_database_nor_a_model_library() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, protege.collect.recorder; print(*sys.modules)"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split()
    assert not {"sqlalchemy", "pydantic", "torch", "transformers", "genai_prices", "httpx"} & set(found)


def test_the_payload_is_plain_json(tmp_path: Path) -> None:
    Recorder(tmp_path).record(call("é"))
    (path,) = (tmp_path / "journal").iterdir()
    assert orjson.loads(path.read_bytes()[14:])["messages"][0]["content"] == "é"
