"""The loop as a service: it improves every so often, and watches in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from .. import watch
from ..common.progress import Progress
from ..errors import ProtegeError
from ..flywheel import improve
from ..loop.run import Improvement
from ..loop.settings import Settings
from ..loop.tasks import choose, find_tasks
from ..workspace import Workspace

LOOK_S = 30.0
"""Seconds between two looks at what was recorded: a breach goes on for at most this long after it shows."""
RETRY = 24
"""A task whose retraining is due is retried RETRY times as often: it may wait for calls."""

log = logging.getLogger("protege")


def keep(
    workspace: Workspace,
    task_names: Sequence[str] = (),
    settings: Settings | None = None,
    *,
    every_s: float,
    wait: Callable[[float], bool],
    on_result: Callable[[Sequence[Improvement]], object] = lambda _: None,
    progress: Progress | None = None,
) -> None:
    """Improve every so often, and watch in between, until stopped.

    wait: waits for the seconds that it is given, and returns whether to stop. on_result: is given what each run did.
    Everything is kept in the workspace: killed at any moment and started again, the service goes on. Of two services on
    one workspace, one improves and both watch.
    """
    settings = settings or Settings(rollout="staged")
    choose(find_tasks(workspace, progress), task_names)
    ran_s = tried_s = -every_s * RETRY
    with watching(workspace):
        while True:
            now_s = time.monotonic()
            with _going_on("Improving"):
                whole, due = now_s - ran_s >= every_s, overdue(workspace, task_names)
                if whole or (due and now_s - tried_s >= every_s / RETRY):
                    tried_s, ran_s = now_s, now_s if whole else ran_s
                    on_result(improve(workspace, task_names if whole else due, settings, progress))
            with _going_on("Showing"):
                show(workspace, progress)
            if wait(min(LOOK_S, every_s)):
                return


@contextmanager
def _going_on(what: str) -> Iterator[None]:
    """Log a trouble (another process at work, a full disk, an engine away) and go on: the next try may succeed."""
    try:
        yield
    except ProtegeError as error:
        log.warning("%s waits: %s", what, error)
    except (SQLAlchemyError, OSError) as error:
        log.warning("%s failed (%s); it is tried again.", what, type(error).__name__)


@contextmanager
def watching(workspace: Workspace) -> Iterator[None]:
    """Look every LOOK_S at what was recorded, in a thread, so that a breach does not wait for a tuning to end."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(LOOK_S):
            with _going_on("Looking"):
                watch.look(workspace)

    thread = threading.Thread(target=run, name="protege-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_S)


def show(workspace: Workspace, progress: Progress | None = None) -> None:
    """Ask the specialists in the shadow about the calls since, and do what the rules say then."""
    asked = 0
    for specialist in workspace.specialists():
        if specialist.state == "shadow":
            try:
                asked += watch.shadow(workspace, specialist, progress)
            except ProtegeError as error:
                log.warning("%s is not shown: %s", specialist.name, error)
    if asked:
        watch.look(workspace)


def overdue(workspace: Workspace, task_names: Sequence[str]) -> list[str]:
    """Of the tasks named, or of all, the ids of those whose specialist is to be made again for an open reason."""
    return [task.id for task in choose(workspace.tasks(), task_names) if watch.reason_of(workspace, task.id)]
