"""A disk that hangs: an agent's call is held for 250 ms at most, once, and then not at all; each call is written later.

    python tests/bench/sweeps/hung_disk.py [--rounds 20] [--json]

Two disks hang. One is real: an ext4 in a file, frozen by `fsfreeze`, where this process may mount one (it must be
root). The other is patched: `os.write` goes into a full pipe first, and so waits in the kernel. In each round an agent
records calls, the disk hangs, the agent goes on for 100 calls, asks its route, and the disk comes back.
"""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from protege import Recorder, Workspace, drain
from sweeping import agent_of, asks_specialist, command_line, eventually, live_home, percentile, record, told

HELD_S = 0.25
CALLS = 100
"""Calls that an agent makes while the disk hangs."""
PAUSE_S = 0.005
"""Between its calls. Faster ones, 500 a second, are written in the caller's own thread (docs/safety.md)."""


class Disk(Protocol):
    """A folder on a disk that can be made to hang."""

    folder: Path

    def hang(self) -> None: ...
    def come_back(self) -> None: ...


class Frozen:
    """A disk that the kernel has frozen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hang(self) -> None:
        subprocess.run(["fsfreeze", "--freeze", self.folder], check=True)

    def come_back(self) -> None:
        subprocess.run(["fsfreeze", "--unfreeze", self.folder], check=True)


@contextlib.contextmanager
def frozen_disk() -> Iterator[Frozen | None]:
    """An ext4 of its own; None where none can be mounted."""
    with tempfile.TemporaryDirectory() as place:
        image, folder = Path(place) / "disk", Path(place) / "mounted"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(64 << 20)
        try:
            subprocess.run(["mkfs.ext4", "-q", image], check=True, capture_output=True)
            subprocess.run(["mount", "-o", "loop", image, folder], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            yield None
            return
        disk = Frozen(folder)
        try:
            disk.hang()
            disk.come_back()
        except (OSError, subprocess.CalledProcessError):
            disk = None
        try:
            yield disk
        finally:
            subprocess.run(["umount", folder], check=False)


class Patched:
    """A disk of which each write goes into a full pipe first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._write = os.write
        self._pipe = os.pipe()
        self._full = threading.Event()

    def hang(self) -> None:
        os.set_blocking(self._pipe[1], False)
        with contextlib.suppress(BlockingIOError):
            while self._write(self._pipe[1], bytes(1 << 16)):
                pass
        os.set_blocking(self._pipe[1], True)
        self._full.set()
        os.write = self._waits

    def come_back(self) -> None:
        os.write = self._write
        self._full.clear()
        threading.Thread(target=self._emptied, daemon=True).start()

    def _waits(self, file: int, data: Any) -> int:
        if self._full.is_set():
            self._write(self._pipe[1], bytes(1))
        return self._write(file, data)

    def _emptied(self) -> None:
        os.set_blocking(self._pipe[0], False)
        while not self._full.is_set():
            with contextlib.suppress(BlockingIOError):
                os.read(self._pipe[0], 1 << 16)
            time.sleep(0.001)


def rounds(disk: Disk, number: int) -> dict[str, Any]:
    """So many times: record, hang, record, come back."""
    held: list[float] = []
    others: list[float] = []
    asked: list[float] = []
    lost = wrong = 0
    for turn in range(number):
        home = disk.folder / f"home-{turn}"
        live_home(home).close()
        recorder, router = Recorder(home), agent_of(home)
        recorder.record(record("before"))
        assert asks_specialist(router)
        disk.hang()
        try:
            taken: list[float] = []
            for call in range(CALLS):
                begin_s = time.perf_counter()
                recorder.record(record(f"c{call}"))
                between_s = time.perf_counter()
                asks_specialist(router)
                asked.append(time.perf_counter() - between_s)
                taken.append(between_s - begin_s)
                time.sleep(PAUSE_S)
        finally:
            disk.come_back()
        held.append(taken[0])
        others += taken[1:]
        journal = recorder._journal
        assert eventually(lambda: not journal._patience.busy, 30)  # noqa: B023 - it is waited for here
        recorder.record(record("after"))
        recorder.close()
        lost += recorder.lost
        workspace = Workspace(home)
        drain(workspace)
        expected = {"before", "after", *(f"c{call}" for call in range(CALLS))}
        wrong += {call.id for call in workspace.calls()} != expected
        workspace.close()
    return {
        "rounds": number,
        "first call, median ms": 1000 * percentile(held, 0.5),
        "first call, longest ms": 1000 * max(held),
        "first calls held longer than 250 ms": sum(s > HELD_S for s in held),
        "other calls": len(others),
        "other calls, median ms": 1000 * percentile(others, 0.5),
        "other calls, 99.9th percentile ms": 1000 * percentile(others, 0.999),
        "other calls, longest ms": 1000 * max(others),
        "asking the route, longest ms": 1000 * max(asked),
        "calls lost": lost,
        "rounds with a call lost or doubled": wrong,
        "ok": not lost and not wrong and max(held) <= HELD_S and max(others) <= HELD_S and max(asked) <= HELD_S,
    }


def sweep(number: int) -> dict[str, Any]:
    """Both disks; of the real one nothing where it cannot be had."""
    figures: dict[str, Any] = {}
    with frozen_disk() as disk:
        figures["frozen ext4"] = rounds(disk, number) if disk is not None else "cannot be mounted or frozen here"
    with tempfile.TemporaryDirectory() as folder:
        figures["a write that waits"] = rounds(Patched(Path(folder)), number)
    return {**figures, "ok": all(f["ok"] for f in figures.values() if isinstance(f, dict))}


if __name__ == "__main__":
    options = command_line(__doc__ or "", ("rounds", 20))
    logging.disable(logging.WARNING)
    told(sweep(options.rounds), as_json=options.json)
