"""Forks: an agent with threads at work is forked, by os.fork and by each start method of multiprocessing.

    python tests/bench/sweeps/forking.py [--forks 1000] [--started 8] [--json]

Four threads of the parent record calls and ask the route without a pause. Each child records three calls, asks the
route until it has followed a change, and ends. The parent takes the answers away after each batch of children is
forked, by the switch, and gives them back before the next. Nobody may hang, follow a route a second after it was taken
away, or lose or double a call.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import queue
import signal
import struct
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from protege import Recorder, Workspace, drain
from protege.common import switch
from protege.route import Router
from sweeping import agent_of, asks_specialist, command_line, eventually, live_home, percentile, record, told

BATCH = 20
THREADS = 4
CALLS = 3
"""Of each child."""
STALE_S = 1.0
HANGS_S = 60.0
"""A child that has not ended by then hangs."""
PAUSE_S = 0.002
"""Of the parent's threads, so that children get a core too."""


@dataclass
class Agent:
    """A process that records, and asks its route."""

    home: Path
    recorder: Recorder = field(init=False)
    router: Router = field(init=False)

    def __post_init__(self) -> None:
        self.recorder, self.router = Recorder(self.home), agent_of(self.home)

    def followed_s(self, name: str) -> float:
        """Record CALLS calls, and ask until the teacher answers: when the specialist was asked for the last time, on
        the clock that all processes share; 0 if it never was."""
        for call in range(CALLS):
            self.recorder.record(record(f"{name}-{call}"))
        last_s, until_s = 0.0, time.monotonic() + HANGS_S
        while time.monotonic() < until_s:
            asked_s = time.monotonic()
            if not asks_specialist(self.router):
                return last_s
            last_s = asked_s
            time.sleep(0.01)
        return last_s


@dataclass
class Found:
    """What children did."""

    hangs: int = 0
    stale: int = 0
    failed: int = 0
    late_s: list[float] = field(default_factory=list[float])
    """How long after the change each child still followed the route."""
    ids: set[str] = field(default_factory=set[str])
    """The calls that were recorded."""

    def of_child(self, name: str, last_s: float, off_s: float) -> None:
        self.ids |= {f"{name}-{call}" for call in range(CALLS)}
        self.late_s.append(max(0.0, last_s - off_s))
        self.stale += last_s - off_s > STALE_S


class Busy:
    """Threads that record and ask until they are told to stop."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._stop = threading.Event()
        self.ids: set[str] = set()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def _work(self, thread: int) -> None:
        number = 0
        while not self._stop.is_set():
            name = f"parent-{thread}-{number}"
            self._agent.recorder.record(record(name))
            self.ids.add(name)
            asks_specialist(self._agent.router)
            number += 1
            time.sleep(PAUSE_S)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def _is_on(agent: Agent) -> None:
    with contextlib.suppress(FileNotFoundError):
        switch.give(agent.home, switch.ALL)
    assert eventually(lambda: asks_specialist(agent.router), 30)


def _switch_off(agent: Agent) -> float:
    assert switch.take(agent.home, switch.ALL)
    return time.monotonic()


def forked(agent: Agent, number: int, found: Found) -> None:
    """os.fork, in batches."""
    for start in range(0, number, BATCH):
        _is_on(agent)
        children: dict[int, tuple[int, str]] = {}
        for child in range(start, min(start + BATCH, number)):
            reading, writing = os.pipe()
            pid = os.fork()
            if not pid:
                with contextlib.suppress(BaseException):
                    os.write(writing, struct.pack("d", agent.followed_s(f"child-{child}")))
                    os._exit(0)
                os._exit(1)
            os.close(writing)
            children[pid] = reading, f"child-{child}"
        off_s = _switch_off(agent)
        for pid, (reading, name) in children.items():
            _ended(pid, reading, name, off_s, found)


def _ended(pid: int, reading: int, name: str, off_s: float, found: Found) -> None:
    state: list[int] = []

    def ended() -> bool:
        child, status = os.waitpid(pid, os.WNOHANG)
        state[:] = [status] if child else []
        return bool(child)

    if not eventually(ended, HANGS_S + 10):
        found.hangs += 1
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    elif state[0] or len(body := os.read(reading, 8)) != 8:
        found.failed += 1
    else:
        found.of_child(name, struct.unpack("d", body)[0], off_s)
    os.close(reading)


_inherited: Agent | None = None
"""What a child of the method "fork" has from its parent."""


def _child(home: str, name: str, results: Any) -> None:
    agent = _inherited if _inherited is not None and str(_inherited.home) == home else Agent(Path(home))
    eventually(lambda: asks_specialist(agent.router), HANGS_S)
    results.put((name, None))
    results.put((name, agent.followed_s(name)))
    agent.recorder.close()


def started(agent: Agent, number: int, found: dict[str, Found]) -> None:
    """Each start method of multiprocessing. A child of "fork" has its parent's recorder and router."""
    global _inherited
    _inherited = agent
    for method, of_method in found.items():
        context: Any = multiprocessing.get_context(method)
        _is_on(agent)
        results = context.Queue()
        children = [
            context.Process(target=_child, args=(str(agent.home), f"{method}-{n}", results)) for n in range(number)
        ]
        for child in children:
            child.start()
        ended: list[tuple[str, float]] = []
        with contextlib.suppress(queue.Empty):
            for _ in children:  # the others have to load Python first
                results.get(timeout=HANGS_S)
            off_s = _switch_off(agent)
            for _ in children:
                ended.append(results.get(timeout=HANGS_S))
            for name, last_s in ended:
                of_method.of_child(name, last_s, off_s)
        for child in children:
            child.join(HANGS_S)
            of_method.hangs += child.is_alive()
            of_method.failed += not child.is_alive() and child.exitcode != 0
    _inherited = None


def sweep(forks: int, start: int, methods: list[str], home: Path) -> dict[str, Any]:
    """So many forks; so many processes by each method."""
    live_home(home).close()
    agent = Agent(home)
    busy = Busy(agent)
    by_fork, by_method = Found(), {method: Found() for method in methods}
    try:
        forked(agent, forks, by_fork)
        started(agent, start, by_method)
    finally:
        busy.stop()
    agent.recorder.close()
    workspace = Workspace(home)
    drain(workspace)
    ids = [call.id for call in workspace.calls()]
    everything = {"os.fork": by_fork, **by_method}
    expected = busy.ids.union(*(found.ids for found in everything.values()))
    figures: dict[str, Any] = {
        "threads of the parent": THREADS,
        "calls of the parent": len(busy.ids),
        **{name: _told(found) for name, found in everything.items()},
        "calls lost": len(expected - set(ids)) + agent.recorder.lost,
        "calls doubled": len(ids) - len(set(ids)),
        "calls that nobody made": len(set(ids) - expected),
    }
    bad = sum(found.hangs + found.stale + found.failed for found in everything.values())
    whole = not any(figures[name] for name in ("calls lost", "calls doubled", "calls that nobody made"))
    figures["ok"] = not bad and whole and all(found.late_s for found in everything.values())
    workspace.close()
    return figures


def _told(found: Found) -> dict[str, Any]:
    late = found.late_s or [float("nan")]
    return {
        "children": len(found.late_s),
        "hangs": found.hangs,
        "failed": found.failed,
        "followed an ended route after a second": found.stale,
        "followed it, 99th percentile s": percentile(late, 0.99),
        "followed it, longest s": max(late),
    }


if __name__ == "__main__":
    options = command_line(__doc__ or "", ("forks", 1000), ("started", 8))
    logging.disable(logging.WARNING)
    if sys.version_info >= (3, 12):  # Python warns of forks with threads, which is what is done here
        import warnings

        warnings.simplefilter("ignore", DeprecationWarning)
    with tempfile.TemporaryDirectory() as place:
        ways = multiprocessing.get_all_start_methods()
        told(sweep(options.forks, options.started, ways, Path(place) / "home"), as_json=options.json)
