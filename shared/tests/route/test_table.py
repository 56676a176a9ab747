"""routes.json in the agent: what is switched holds within a second, on hung disks, after forks and within one tick."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from protege import Request, Workspace
from protege.common.forks import importing
from protege.route import Router
from protege.route.link import EngineLink
from protege.route.table import TableFile

NO_ROUTES = b'{"format":1,"tasks":[],"routes":[]}'


def ends_well(child: Callable[[], bool], limit_s: float = 10) -> bool:
    """Whether a forked child returns True in time."""
    pid = os.fork()
    if not pid:
        os._exit(0 if child() else 1)
    until_s = time.monotonic() + limit_s
    while time.monotonic() < until_s:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status == 0
        time.sleep(0.01)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return False


def replace_with(path: Path, body: bytes) -> None:
    fresh = path.with_name("fresh")
    fresh.write_bytes(body)
    fresh.replace(path)


def held_by_another_thread(*locks: Any) -> Callable[[], None]:
    """Have a thread hold these locks; returns what lets go of them."""
    done, held = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        done.wait(30)
        for lock in locks:
            lock.release()

    threading.Thread(target=hold, daemon=True).start()
    held.wait()
    return done.set


def request() -> Request:
    instruction = "You name the colour of a thing. Answer with one word."
    return Request(({"role": "system", "content": instruction}, {"role": "user", "content": "a rose"}))


def test_a_child_forked_during_the_parents_first_look_decides(workspace: Workspace, router: Router) -> None:
    let_go = held_by_another_thread(router._table._lock, router._lock)
    assert ends_well(lambda: router.answer(request()).decision in ("kept", "engine starting"))
    let_go()


def test_a_child_forked_during_a_look_sees_what_is_switched_off(workspace: Workspace, router: Router) -> None:
    assert router.decide(request()).reason == "routed"
    let_go = held_by_another_thread(router._table._lock)

    def follows() -> bool:
        replace_with(workspace.home / "routes.json", NO_ROUTES)
        time.sleep(0.6)
        return router.decide(request()).reason == "no live route"

    assert ends_well(follows)
    let_go()


def test_a_child_forked_while_the_engine_is_looked_for_finds_its_own(tmp_path: Path) -> None:
    link = EngineLink(tmp_path, connect=lambda home: "engine", start=lambda home: None)  # type: ignore[arg-type,return-value]
    link._looking = True
    let_go = held_by_another_thread(link._lock)
    assert ends_well(lambda: link.wait(5))
    let_go()


def test_a_fork_waits_for_an_import_in_another_thread() -> None:
    begun, done = threading.Event(), threading.Event()

    def imports() -> None:
        with importing():
            begun.set()
            time.sleep(0.3)
            done.set()

    threading.Thread(target=imports).start()
    begun.wait()
    assert ends_well(done.is_set)


def test_a_child_may_import_again(tmp_path: Path) -> None:
    def imports() -> bool:
        with importing():
            return True

    assert ends_well(imports)
    assert imports()


def test_two_replacements_within_one_tick_of_the_clock_are_told_apart(workspace: Workspace) -> None:
    path = workspace.home / "routes.json"
    table = TableFile(path)
    assert table.current().routes
    stat = path.stat()
    body = NO_ROUTES + b" " * (stat.st_size - len(NO_ROUTES))
    with path.open("r+b") as file:  # the same inode, size and time: only the content tells
        file.write(body)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    table._seen = (stat.st_mtime_ns, path.stat().st_ctime_ns, stat.st_size, stat.st_ino)
    table._checked_s -= 1
    assert not table.current().routes


@pytest.mark.usefixtures("impatient")
def test_while_its_disk_hangs_the_teacher_answers_at_once_and_afterwards_the_route_again(
    workspace: Workspace, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert router.decide(request()).reason == "routed"
    back = threading.Event()
    stat = Path.stat

    def hangs(path: Path, **kwargs: Any) -> os.stat_result:
        if path.name == "routes.json":
            back.wait(30)
        return stat(path, **kwargs)

    monkeypatch.setattr(Path, "stat", hangs)
    time.sleep(0.6)
    begin_s = time.perf_counter()
    assert router.decide(request()).reason == "no live route"
    assert time.perf_counter() - begin_s < 1
    time.sleep(0.6)
    begin_s = time.perf_counter()
    assert router.decide(request()).reason == "no live route"
    assert time.perf_counter() - begin_s < 0.5
    back.set()
    until_s = time.monotonic() + 5
    while router.decide(request()).reason != "routed" and time.monotonic() < until_s:
        time.sleep(0.05)
    assert router.decide(request()).reason == "routed"
