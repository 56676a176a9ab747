"""An engine for an agent that needs one: started as a process of its own, in the background."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...common.forks import tell_of_forks
from ...errors import EngineError
from .process import START_S
from .shared import connect

SERVICE = "protege.service.background"
"""The module that is run; it stands above this one, so that its name is all that is known of it here."""
END_S = 5.0
"""How long the process may take to end: its answers under way, and its children."""


class _Children:
    """The serving processes that this process started, by home folder."""

    def __init__(self) -> None:
        self.forked()
        tell_of_forks(self)

    def forked(self) -> None:
        """In a child: those are its parent's, and the lock may be held by a thread that is not here."""
        self.lock = threading.Lock()
        self.by_home: dict[Path, subprocess.Popen[bytes]] = {}


_children = _Children()


def start_in_background(home: str | os.PathLike[str]) -> None:
    """Have the live specialists of this home served by a process of their own, which ends with this one.

    Returns at once. Of two processes that serve the same home one stays, whoever started them. Its log is
    `<home>/engine.log`.
    """
    path = Path(home).absolute()
    with _children.lock:
        child = _children.by_home.get(path)
        if child is not None and child.poll() is None:
            return
        descriptor = os.open(path / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _children.by_home[path] = subprocess.Popen(
                [sys.executable, "-P", "-m", SERVICE, str(path)],
                stdin=subprocess.PIPE,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,
            )
        finally:
            os.close(descriptor)


@contextmanager
def background(home: str | os.PathLike[str], *, timeout_s: float = START_S) -> Iterator[None]:
    """The live specialists served by a process of their own while the block runs; entered once they can be asked.

    Raises EngineError if they are not within `timeout_s`.
    """
    path = Path(home).absolute()
    try:
        _wait_for(path, timeout_s)
        yield
    finally:
        with _children.lock:
            child = _children.by_home.pop(path, None)
        if child is not None and child.stdin is not None:
            child.stdin.close()
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:  # loading a model, which hears nothing
                child.kill()
                child.wait()


def _wait_for(home: Path, timeout_s: float) -> None:
    until_s = time.monotonic() + timeout_s
    while (engine := connect(home)) is None:
        start_in_background(home)
        if time.monotonic() > until_s:
            raise EngineError(f"No engine answered within {timeout_s:.0f} s.", f"{home / 'engine.log'} may say why.")
        time.sleep(0.1)
    engine.close()
