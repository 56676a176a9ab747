"""The agent's connection to the engine that serves specialists: made in the background, never waited for."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..common.forks import importing, tell_of_forks
from ..serve.registry import engine_kind
from .pace import Pace

if TYPE_CHECKING:
    from ..serve import Access, Engine

    Connect = Callable[[Path], Engine | None]
    Start = Callable[[Path], object]

START_LIMIT_S = 120.0
"""An engine that has not answered by then has failed; loading a model from a cold disk can take a minute."""
POLL_S = 0.2
LONGEST_PAUSE_S = 60.0
REFRESH_S = 1.0
"""Between two looks for the engine at least."""

EngineKey: TypeAlias = tuple[str, str]
"""A kind of engine, and where it is: `Specialist.engine` and `Specialist.address`."""

log = logging.getLogger("protege.route")


class EngineLink:
    """Finds the running engine of a home folder, starts one where there is none, and keeps its client.

    After a failure it looks again, and pauses longer each time (2 s, 4 s, … 60 s), so that a broken engine does not
    cost the agent a time-out a call. Safe for many threads; a forked process makes its own connection.
    """

    def __init__(self, home: Path, connect: Connect, start: Start) -> None:
        self._home = home
        self._connect = connect
        self._start = start
        self.forked()
        tell_of_forks(self)

    def engine(self) -> Engine | None:
        """The engine if it is connected. Otherwise None at once, and a thread goes to look for it."""
        engine = self._engine
        if engine is None:
            self._look()
        return engine

    @property
    def failed(self) -> bool:
        """Whether the engine failed when it was last seen."""
        return self._failures > 0

    def wait(self, timeout_s: float) -> bool:
        """Wait until the engine is connected, for `timeout_s` at most; whether it is then."""
        until = time.monotonic() + timeout_s
        while self.engine() is None and time.monotonic() < until:
            time.sleep(0.02)
        return self._engine is not None

    def succeeded(self) -> None:
        """The engine answered: it has not failed any more."""
        self._failures = 0

    def failure(self, engine: Engine | None = None) -> None:
        """Drop this engine, or the one that is connected, since it failed; unless another thread dropped it already.

        It is not closed: other threads' calls may still be under way on it.
        """
        with self._lock:
            if self._engine is not None and engine in (None, self._engine):
                self._engine = None
                self._pause()

    def refresh(self) -> None:
        """Look for the engine again, as it may know more by now, and meanwhile keep the one that is connected."""
        self._look(although_connected=True)

    def close(self) -> None:
        """Give the connection back. The engine itself goes on: others may use it."""
        with self._lock:
            engine, self._engine = self._engine, None
            self._closed = True
        if engine is not None:
            with contextlib.suppress(Exception):
                engine.close()

    def forked(self) -> None:
        """Begin without an engine. In a forked child the parent's connection and lock are of no use."""
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._looking = False
        self._closed = False
        self._failures = 0
        self._retry_s = 0.0
        self.pace = Pace()

    def _pause(self) -> None:
        self._failures += 1
        self._retry_s = time.monotonic() + min(LONGEST_PAUSE_S, 2.0 ** min(self._failures, 10))

    def _look(self, *, although_connected: bool = False) -> None:
        with self._lock:
            if self._engine is not None and not although_connected:
                return
            if self._closed or self._looking or time.monotonic() < self._retry_s:
                return
            self._looking = True
            self._retry_s = time.monotonic() + REFRESH_S
        threading.Thread(target=self._find, name="protege-engine", daemon=True).start()

    def _find(self) -> None:
        engine: Engine | None = None
        try:
            engine = self._connect(self._home)
            if engine is None:
                self._start(self._home)
                until = time.monotonic() + START_LIMIT_S
                while engine is None and time.monotonic() < until and not self._closed:
                    time.sleep(POLL_S)
                    engine = self._connect(self._home)
        except Exception as error:  # noqa: BLE001 — in the agent's process: told in the log, tried again later
            log.warning("The engine cannot be reached (%s); the teacher answers.", type(error).__name__)
        with self._lock:
            self._looking = False
            if engine is None:
                self._pause()
            elif not self._closed:
                self._engine = engine


def link_to(
    engine: str, address: str, home: Path, connect: Connect | None = None, start: Start | None = None
) -> EngineLink:
    """A link to an engine of this kind. address: the specialist's `address`. connect, start: in place of the kind's."""
    way = _Way(engine, address)
    return EngineLink(home, connect or way.connect, start or way.start)


class _Way:
    """The way that a kind of engine gives agents, made in the link's thread: loading its module takes a while."""

    def __init__(self, engine: str, address: str) -> None:
        self._engine = engine
        self._address = address
        self._access: Access | None = None

    def connect(self, home: Path) -> Engine | None:
        if self._access is None:
            with importing():
                self._access = engine_kind(self._engine).access(home, self._address)
        return self._access.connect()

    def start(self, _home: Path) -> None:
        if self._access is not None:
            self._access.start()
