"""What serves a workspace's live specialists to its agents, in the foreground or behind an agent that needs them.

Engines that are ours to run are run here; the models of all others are kept where they were placed. One process a
workspace does so: it holds `engine.lock` as long as it runs. It follows routes.json, so that a specialist that is
promoted is served within seconds.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import filelock

from ..errors import ProtegeError, WorkspaceBusy
from ..route.belief import check_own
from ..serve.kind import Host
from ..serve.placing import bring_back
from ..serve.registry import engine_kind, engine_names
from ..specialist import Specialist
from ..workspace import Workspace

LOOK_S = 0.5
"""Between two looks at routes.json and the engines run here."""
TEND_S = 10.0
"""Between two looks at whether placed models are still there."""

OnMoved: TypeAlias = Callable[[Specialist, Specialist], object]
"""Called with a specialist as it was, and as an engine has it since it was brought back."""

log = logging.getLogger("protege.serve")


def serve_forever(
    workspace: Workspace,
    specialists: Sequence[Specialist],
    ready: Callable[[str], object] | None = None,
    *,
    on_moved: OnMoved,
    wait: Callable[[float], bool] | None = None,
) -> None:
    """Serve these specialists, then those that are live, to the workspace's agents, until interrupted.

    ready: called with the addresses once they can be asked. on_moved: stores what an engine changed, and tells agents.
    wait: waits for the seconds given, and returns whether to end. Raises WorkspaceBusy if another process serves
    this workspace, WorkspaceError if its home is not believed, else as the engines' own `Host.serve`.
    """
    check_own(workspace.home)
    with _alone(workspace), contextlib.suppress(KeyboardInterrupt), _keeping(workspace, on_moved) as keeper:
        hosts = _hosts(workspace)
        try:
            for name, host in hosts.items():
                host.serve(_of(name, specialists))
            elsewhere = keeper.tend(load=True)
            if ready is not None:
                here = {address for host in hosts.values() for address in host.addresses()}
                ready(", ".join(sorted({*here, *elsewhere})) or "nothing")
            _follow(workspace, hosts, wait or _sleep)
        finally:
            for host in hosts.values():
                host.close()


def _follow(workspace: Workspace, hosts: dict[str, Host], wait: Callable[[float], bool]) -> None:
    """Have the hosts serve whoever is live, until `wait` says to end."""
    seen = _routes_time(workspace)
    while not wait(LOOK_S):
        for host in hosts.values():
            host.mend()
        now = _routes_time(workspace)
        if now == seen:
            continue
        seen = now
        live = [s for s in workspace.specialists() if s.answers]
        for name, host in hosts.items():
            try:
                host.serve(_of(name, live))
            except ProtegeError as error:
                log.warning("The engine goes on with the specialists it has: %s", error)


def _hosts(workspace: Workspace) -> dict[str, Host]:
    """By kind of engine, what is run here."""
    hosts: dict[str, Host] = {}
    for name in engine_names():
        try:
            host = engine_kind(name).host(workspace)
        except ProtegeError as error:  # somebody's package that is broken here must not stop those that work
            log.warning("%s", error)
            continue
        if host is not None:
            hosts[name] = host
    return hosts


def _of(engine: str, specialists: Sequence[Specialist]) -> list[Specialist]:
    return [specialist for specialist in specialists if specialist.engine == engine]


class ModelKeeper:
    """Keeps the live specialists where engines have them; in a thread of its own, since bringing one back takes time.

    A model is loaded when it becomes live or was brought back, and not again and again: an engine may have room for a
    few only, and drop one that others wait for.
    """

    def __init__(self, workspace: Workspace, on_moved: OnMoved) -> None:
        self._workspace = workspace
        self._on_moved = on_moved
        self._ended = threading.Event()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="protege-tend", daemon=True)

    def tend(self, *, load: bool) -> set[str]:
        """Bring back what was removed or changed; the addresses of the engines that have theirs.

        What fails is logged once and tried again; meanwhile the teacher answers.
        """
        addresses: set[str] = set()
        routes = self._workspace.routes()
        for specialist in self._workspace.specialists():
            placed = specialist.engine in specialist.placed
            if not specialist.answers or not placed or specialist.id not in routes:
                continue
            try:
                back = bring_back(self._workspace, specialist, routes[specialist.id].fingerprint, load=load)
                if back != specialist:
                    self._on_moved(specialist, back)
            except ProtegeError as error:
                self._tell(specialist, error)
            else:
                addresses.add(back.address)
        return addresses - {""}

    def start(self) -> None:
        """Tend in a thread."""
        self._thread.start()

    def end(self) -> None:
        """End the thread, at once or after what it is bringing back."""
        self._ended.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        seen = _routes_time(self._workspace)
        while not self._ended.wait(TEND_S):
            now = _routes_time(self._workspace)
            self.tend(load=now != seen)
            seen = now

    def _tell(self, specialist: Specialist, error: ProtegeError) -> None:
        if (trouble := f"{specialist.name} does not answer: {error}") not in self._told:
            self._told.add(trouble)
            log.warning("%s", trouble)


@contextmanager
def _keeping(workspace: Workspace, on_moved: OnMoved) -> Iterator[ModelKeeper]:
    keeper = ModelKeeper(workspace, on_moved)
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.end()


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    lock = filelock.FileLock(workspace.home / "engine.lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise WorkspaceBusy(
            f"Another process serves {workspace.home} already.", "Agents use that one; stop it to start another."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _routes_time(workspace: Workspace) -> tuple[int, int] | None:
    try:
        stat = (workspace.home / "routes.json").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False
