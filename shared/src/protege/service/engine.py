"""A process that serves a workspace's live specialists: in the foreground, or behind an agent that needs them.

Those of the embedded engine are served here; those that are in Ollama are loaded, and brought back.

One a workspace: it holds `engine.lock` as long as it runs. It follows routes.json, so that a specialist that is
promoted is served within seconds.

`python -P -m protege.serve.background HOME` is what `start_in_background` starts; it ends when its stdin closes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from ..errors import ProtegeError, WorkspaceBusy
from ..serve.embedded.engine import EmbeddedEngine, serve
from ..serve.embedded.process import START_S
from ..serve.embedded.shared import publish, withdraw
from ..serve.placing import bring_back
from ..specialist import Specialist
from ..workspace import Workspace

LOOK_S = 0.5
TEND_S = 10.0
"""How often it is seen whether what Ollama has is still there."""
DRAIN_S = 2.0
"""How long an engine lives on after another took its place, for the answers under way."""

log = logging.getLogger("protege.serve")


def serve_forever(
    workspace: Workspace,
    specialists: Sequence[Specialist],
    ready: Callable[[str], object] | None = None,
    *,
    stopped: Callable[[float], bool] | None = None,
) -> None:
    """Serve these specialists, then those that are live, to the workspace's agents, until interrupted.

    ready: called with the addresses once they can be asked. stopped: waits as long as it is given, and says whether to
    end. Raises WorkspaceBusy where another process serves this workspace, else as `serve`.
    """
    with _alone(workspace), contextlib.suppress(KeyboardInterrupt), _tending(workspace) as tender:
        engine = serve(workspace, _embedded(specialists))
        try:
            publish(workspace, engine)
            elsewhere = tender.tend(load=True)
            if ready is not None:
                ready(", ".join(sorted({*(place.url for place in engine.places().values()), *elsewhere})) or "nothing")
            served, seen = _key(specialists), _routes_time(workspace)
            while not (stopped or _sleep)(LOOK_S):
                if engine.mend(START_S):
                    publish(workspace, engine)
                if (now := _routes_time(workspace)) != seen:
                    seen = now
                    live = [s for s in workspace.specialists() if s.answers]
                    if _key(live) != served:
                        engine, served = _replace(workspace, engine, _embedded(live)), _key(live)
        finally:
            withdraw(workspace)
            engine.close()


def _embedded(specialists: Sequence[Specialist]) -> list[Specialist]:
    return [s for s in specialists if s.engine == "embedded"]


class _Tender:
    """Keeps the live specialists that are in Ollama there; in a thread of its own, since bringing one back takes time.

    A model is loaded when it becomes live or was brought back, and not again and again: Ollama has room for a few, and
    drops one that others wait for.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._ended = threading.Event()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="protege-tend", daemon=True)

    def tend(self, *, load: bool) -> set[str]:
        """Bring back what was removed or changed there; the addresses of those that are there.

        What stands in the way is told, once, and tried again: meanwhile the teacher answers.
        """
        addresses: set[str] = set()
        terms = self._workspace.routes()
        for specialist in self._workspace.specialists():
            if not specialist.answers or specialist.engine != "ollama" or specialist.id not in terms:
                continue
            try:
                kept = bring_back(self._workspace, specialist, terms[specialist.id].fingerprint, load=load)
                if kept != specialist:
                    self._save(specialist, kept)
            except ProtegeError as error:
                self._tell(specialist, error)
            else:
                addresses.add(str(kept.imported["address"]))
        return addresses

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        seen = _routes_time(self._workspace)
        while not self._ended.wait(TEND_S):
            now = _routes_time(self._workspace)
            self.tend(load=now != seen)
            seen = now

    def _save(self, before: Specialist, after: Specialist) -> None:
        """Where it is now, unless somebody decided otherwise meanwhile."""
        from ..rollout import publish as publish_routes

        with self._workspace.turn:
            stored = self._workspace.specialist(before.id)
            if stored is not None and stored.answers and stored.imported == before.imported:
                self._workspace.save_specialist(replace(stored, imported=after.imported))
                publish_routes(self._workspace)

    def _tell(self, specialist: Specialist, error: ProtegeError) -> None:
        if (trouble := f"{specialist.name} does not answer: {error}") not in self._told:
            self._told.add(trouble)
            log.warning("%s", trouble)


@contextmanager
def _tending(workspace: Workspace) -> Iterator[_Tender]:
    tender = _Tender(workspace)
    tender.start()
    try:
        yield tender
    finally:
        tender.end()


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    import filelock

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


def _replace(workspace: Workspace, engine: EmbeddedEngine, live: Sequence[Specialist]) -> EmbeddedEngine:
    """An engine for the specialists that are live now; the one that runs where that cannot be had."""
    try:
        new = serve(workspace, live)
    except ProtegeError as error:
        log.warning("The engine goes on with the specialists it has: %s", error)
        return engine
    publish(workspace, new)
    closing = threading.Timer(DRAIN_S, engine.close)
    closing.daemon = True
    closing.start()
    return new


def _key(specialists: Sequence[Specialist]) -> frozenset[tuple[str, str]]:
    return frozenset((s.id, s.serve_as) for s in _embedded(specialists))


def _routes_time(workspace: Workspace) -> tuple[int, int] | None:
    try:
        stat = (workspace.home / "routes.json").stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def _stdin_closed(seconds: float) -> bool:
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 4096)


def _main() -> int:
    logging.basicConfig(format="%(asctime)s %(message)s")
    workspace = Workspace(sys.argv[1])
    try:
        live = [s for s in workspace.specialists() if s.answers]
        serve_forever(workspace, live, stopped=_stdin_closed)
    except WorkspaceBusy:
        return 0  # another agent was quicker
    except ProtegeError as error:
        log.warning("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(_main())
