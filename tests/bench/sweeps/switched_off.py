"""The switch: `protege off` holds for running agents within a second, whatever is broken.

    python tests/bench/sweeps/switched_off.py [--times 100] [--workers 8] [--json]

The agent is a process of its own that asks its route all the time. The command runs in a process that has loaded Python
and Protégé already, so that what is measured is the command and not the start of Python. So many times in each of

    full disk          no byte can be written: a tmpfs that is full where one can be mounted, else a limit on files
    read-only home     the home is mounted read-only where that can be done, else it has no right to be written
    SQLite locked      another process holds an exclusive transaction for 60 s
    a stopped holder   a stopped process holds the turn of those who change who answers
    gunicorn           an application in several workers, forked from one that had loaded it
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.util
import logging
import os
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from protege import Workspace, rollout
from protege.cli.commands import app
from protege.common import switch
from sweeping import agent_of, asks_specialist, command_line, eventually, live_home, percentile, told

WITHIN_S = 1.0
GIVEN_UP_S = 30.0
LOCKED_S = 60.0


class Watcher:
    """Agents that ask their routes all the time and say, on the clock that all processes share, when they last asked a
    specialist, and when they last asked at all."""

    _FORM = struct.Struct("dd")

    def __init__(self, place: Path) -> None:
        self._place = place

    @classmethod
    def write(cls, place: Path, home: Path) -> None:
        """What an agent does until it is killed."""
        router = agent_of(home)
        file = os.open(place / str(os.getpid()), os.O_RDWR | os.O_CREAT, 0o600)
        routed_s = 0.0
        while True:
            asked_s = time.monotonic()
            if asks_specialist(router):
                routed_s = asked_s
            os.pwrite(file, cls._FORM.pack(routed_s, asked_s), 0)
            time.sleep(0.005)

    def seen(self) -> list[tuple[float, float]]:
        """Of each agent, both times."""
        bodies = [path.read_bytes() for path in self._place.iterdir()]
        return [self._FORM.unpack(body) for body in bodies if len(body) == self._FORM.size]

    def all_ask(self, agents: int) -> bool:
        """Whether all agents have asked a specialist just now."""
        seen, since_s = self.seen(), time.monotonic() - 0.1
        return len(seen) >= agents and all(routed_s >= since_s for routed_s, _ in seen)

    def followed_s(self, off_s: float) -> float:
        """How long after this moment the last agent still asked a specialist; GIVEN_UP_S if it goes on."""

        def none_asks() -> bool:
            return all(asked_s > max(routed_s, off_s) + 0.3 for routed_s, asked_s in self.seen())

        if not eventually(none_asks, GIVEN_UP_S):
            return GIVEN_UP_S
        return max(0.0, *(routed_s - off_s for routed_s, _ in self.seen()))


def off(home: Path, limit: Callable[[], object] = lambda: None) -> int:
    """Run the command in a child. Returns its process id."""
    if pid := os.fork():
        return pid
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        limit()
        app(["off", "--home", str(home)], standalone_mode=False)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - a child ends here, whatever happened
        os._exit(getattr(error, "exit_code", 1) or 0)


def _load(home: Path) -> None:
    """Load all that the command loads, by running it once on a home of its own."""
    live_home(home).close()
    with Path(os.devnull).open("w") as null, contextlib.redirect_stdout(null):
        app(["off", "--home", str(home)], standalone_mode=False)


def on(home: Path) -> None:
    """Everything as it was before."""
    workspace = Workspace(home)
    rollout.settle(workspace)
    rollout.switch(workspace, None, off=False)
    workspace.close()


@contextlib.contextmanager
def whole(home: Path) -> Iterator[Callable[[], object]]:
    """Nothing is broken."""
    yield lambda: None


@contextlib.contextmanager
def full_disk(home: Path) -> Iterator[Callable[[], object]]:
    """The home's own small disk is full; where none can be mounted, the command may not write one byte to a file."""
    if not _is_mounted(home):
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        return
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass
    try:
        yield lambda: None
    finally:
        filler.unlink()


@contextlib.contextmanager
def read_only(home: Path) -> Iterator[Callable[[], object]]:
    """The home's own disk is mounted read-only; where it has none, the home has no right to be written."""
    if _is_mounted(home):
        subprocess.run(["mount", "-o", "remount,ro", home.parent], check=True)
        try:
            yield lambda: None
        finally:
            subprocess.run(["mount", "-o", "remount,rw", home.parent], check=True)
        return
    paths = [home, *home.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o500 if path.is_dir() else 0o400)
    try:
        yield lambda: None
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


@contextlib.contextmanager
def locked(home: Path) -> Iterator[Callable[[], object]]:
    """Another process is in an exclusive transaction."""
    with _holder(home, _lock_store):
        yield lambda: None


@contextlib.contextmanager
def stopped(home: Path) -> Iterator[Callable[[], object]]:
    """A process that holds the turn is stopped."""
    with _holder(home, _hold_turn) as pid:
        os.kill(pid, signal.SIGSTOP)
        yield lambda: None


def _lock_store(home: Path) -> AbstractContextManager[object]:
    store = sqlite3.connect(home / "store.db", isolation_level=None)
    store.execute("BEGIN EXCLUSIVE")
    return contextlib.closing(store)


def _hold_turn(home: Path) -> AbstractContextManager[object]:
    return Workspace(home).turn


@contextlib.contextmanager
def _holder(home: Path, hold: Callable[[Path], AbstractContextManager[object]]) -> Iterator[int]:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        with hold(home):
            os.write(writing, b"1")
            time.sleep(LOCKED_S)
        os._exit(0)
    try:
        assert os.read(reading, 1)
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)


CONDITIONS = {"full disk": full_disk, "read-only home": read_only, "SQLite locked": locked, "a stopped holder": stopped}
ON_OWN_DISK = ("full disk", "read-only home")


def _is_mounted(home: Path) -> bool:
    return home.parent.is_mount()


def switched_off(
    home: Path,
    broken: Callable[[Path], AbstractContextManager[Callable[[], object]]],
    times: int,
    agents: int,
    watcher: Watcher,
) -> dict[str, Any]:
    """So many times: everything works, something breaks, `off`; how long agents still follow."""
    followed: list[float] = []
    for _ in range(times):
        on(home)
        assert eventually(lambda: watcher.all_ask(agents), GIVEN_UP_S), "the agents do not ask"
        with broken(home) as limit:
            begin_s = time.monotonic()
            pid = off(home, limit)
            followed.append(watcher.followed_s(begin_s))
            # Where the store is locked the command waits for it: killed here, it must have told the agents before.
            with contextlib.suppress(ProcessLookupError):
                if not os.waitpid(pid, os.WNOHANG)[0]:
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
    within = sum(s <= WITHIN_S for s in followed)
    return {
        "times": times,
        "within a second": within,
        "followed it, median s": percentile(followed, 0.5),
        "followed it, longest s": max(followed),
        "ok": within == times,
    }


@contextlib.contextmanager
def one_agent(home: Path, place: Path) -> Iterator[Watcher]:
    """An agent in a process of its own."""
    if not (pid := os.fork()):
        Watcher.write(place, home)
    try:
        yield Watcher(place)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


APPLICATION = """
import os, sys, threading
from pathlib import Path
sys.path.insert(0, os.environ["SWEEPS"])
from switched_off import Watcher, agent_of, asks_specialist

home = Path(os.environ["SWEEP_HOME"])
router = agent_of(home)
asks_specialist(router)  # before the workers are forked: they inherit it

def application(environ, start):
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"specialist" if asks_specialist(router) else b"teacher"]
"""
SETTINGS = """
import os, threading
from pathlib import Path

def post_worker_init(worker):
    from switched_off import Watcher
    home, place = Path(os.environ["SWEEP_HOME"]), Path(os.environ["SWEEP_PLACE"])
    threading.Thread(target=Watcher.write, args=(place, home), daemon=True).start()
"""


@contextlib.contextmanager
def gunicorn(home: Path, place: Path, workers: int) -> Iterator[Watcher]:
    """An application in so many workers, preloaded. Each asks its route all the time, and at each request."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (place.parent / "application.py").write_text(APPLICATION)
    (place.parent / "settings.py").write_text(SETTINGS)
    here = str(Path(__file__).parent)
    environment = {**os.environ, "SWEEPS": here, "SWEEP_HOME": str(home), "SWEEP_PLACE": str(place)}
    line = [sys.executable, "-m", "gunicorn", "--preload", "--workers", str(workers), "--bind", f"127.0.0.1:{port}"]
    line += ["--config", str(place.parent / "settings.py"), "--log-level", "error", "--no-control-socket"]
    line += ["--worker-tmp-dir", str(place.parent), "--chdir", str(place.parent), "application:application"]
    server = subprocess.Popen(line, env=environment)
    watcher = Watcher(place)
    try:
        assert eventually(lambda: len(watcher.seen()) >= workers, 60), "gunicorn does not start"
        assert _answers(port) == b"specialist"
        yield watcher
    finally:
        server.terminate()
        server.wait(60)


def _answers(port: int) -> bytes:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().read()


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[str]:
    """A small disk in this folder where one can be mounted. Gives what could be had."""
    line = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", folder]
    try:
        mounted = not subprocess.run(line, capture_output=True, check=False).returncode
    except OSError:
        mounted = False
    try:
        yield "a tmpfs" if mounted else "a limit on files, and rights"
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder], check=True)


def sweep(times: int, workers: int, folder: Path, conditions: tuple[str, ...] = tuple(CONDITIONS)) -> dict[str, Any]:
    """`off` in each condition, so many times; and with so many workers of gunicorn, if there are any."""
    figures: dict[str, Any] = {}
    switch.runtime_folders = lambda: [folder / "run" / "protege"]
    (folder / "run").mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(folder / "run")
    _load(folder / "loaded")
    for name in conditions:
        place = folder / name.replace(" ", "-")
        place.mkdir(mode=0o700)
        (place / "seen").mkdir()
        with contextlib.ExitStack() as stack:
            disk = place / "disk"
            disk.mkdir(mode=0o700)
            had = stack.enter_context(own_disk(disk)) if name in ON_OWN_DISK else ""
            live_home(disk / "home").close()
            watcher = stack.enter_context(one_agent(disk / "home", place / "seen"))
            found = switched_off(disk / "home", CONDITIONS[name], times, 1, watcher)
            figures[name] = {**({"by": had} if had else {}), **found}
    if workers and importlib.util.find_spec("gunicorn"):
        place = folder / "gunicorn" / "seen"
        place.mkdir(parents=True)
        live_home(folder / "gunicorn" / "home").close()
        with gunicorn(folder / "gunicorn" / "home", place, workers) as watcher:
            found = switched_off(folder / "gunicorn" / "home", whole, times, workers, watcher)
        figures[f"gunicorn, {workers} workers"] = found
    return {**figures, "ok": all(found["ok"] for found in figures.values())}


if __name__ == "__main__":
    options = command_line(__doc__ or "", ("times", 100), ("workers", 8))
    logging.disable(logging.WARNING)
    if options.workers and not importlib.util.find_spec("gunicorn"):
        sys.exit("gunicorn is not installed: pip install gunicorn, or --workers 0")
    with tempfile.TemporaryDirectory() as place:
        told(sweep(options.times, options.workers, Path(place)), as_json=options.json)
