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

from ...errors import EngineError
from ...workspace import Workspace
from .process import START_S
from .shared import connect

_children: dict[tuple[int, Path], subprocess.Popen[bytes]] = {}


_children_lock = threading.Lock()
END_S = 5.0
"""How long the process may take to end: its answers under way, and its children."""


def start_in_background(home: str | os.PathLike[str]) -> None:
    """Have the live specialists of this home served by a process of their own, which ends with this one.

    Returns at once. Where a process serves this home already, or two agents start one at the same time, one stays.
    What it has to say is in `<home>/engine.log`.
    """
    path = Path(home).absolute()
    with _children_lock:
        child = _children.get((os.getpid(), path))
        if child is not None and child.poll() is None:
            return
        descriptor = os.open(path / "engine.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            _children[os.getpid(), path] = subprocess.Popen(
                [sys.executable, "-P", "-m", "protege.service.engine", str(path)],
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

    Raises EngineError where they are not within `timeout_s`.
    """
    workspace = Workspace(home)
    try:
        _wait_for(workspace, timeout_s)
        yield
    finally:
        with _children_lock:
            child = _children.pop((os.getpid(), workspace.home), None)
        if child is not None and child.stdin is not None:
            child.stdin.close()
            try:
                child.wait(END_S)
            except subprocess.TimeoutExpired:  # loading a model, which hears nothing
                child.kill()
                child.wait()
        workspace.close()


def _wait_for(workspace: Workspace, timeout_s: float) -> None:
    until_s = time.monotonic() + timeout_s
    while (engine := connect(workspace)) is None:
        start_in_background(workspace.home)
        if time.monotonic() > until_s:
            raise EngineError(
                f"No engine answered within {timeout_s:.0f} s.", f"{workspace.home / 'engine.log'} may say why."
            )
        time.sleep(0.1)
    engine.close()
