"""The loop as a service: it improves every so often, and watches in between."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..common.progress import Progress
from ..errors import ProtegeError
from ..flywheel import improve
from ..loop import tasks as finding
from ..loop.settings import Improvement, Settings
from ..workspace import Workspace

log = logging.getLogger("protege")

LOOK_S = 30.0
"""Between two looks at what was recorded: so long, at the most, a breach goes on once it shows."""


RETRY = 24
"""So many times as often as otherwise a task is improved whose retraining is due, and waits for calls."""


def keep(
    workspace: Workspace,
    wanted: Sequence[str] = (),
    settings: Settings | None = None,
    *,
    every_s: float,
    stopped: Callable[[float], bool],
    told: Callable[[Sequence[Improvement]], object] = lambda _: None,
    progress: Progress | None = None,
) -> None:
    """Improve every so often, and watch in between, until stopped.

    stopped: waits as long as it is given, and says whether to end. told: is given what each run did. Everything is kept
    in the workspace: killed at any moment and started again it goes on. Of two on one workspace one improves, both
    watch.
    """
    settings = settings or Settings(rollout="staged")
    finding.choose(finding.find_tasks(workspace, progress), wanted)
    ran_s = tried_s = -every_s * RETRY
    with watching(workspace):
        while True:
            now_s = time.monotonic()
            with _going_on("Improving"):
                whole, due = now_s - ran_s >= every_s, overdue(workspace, wanted)
                if whole or (due and now_s - tried_s >= every_s / RETRY):
                    tried_s, ran_s = now_s, now_s if whole else ran_s
                    told(improve(workspace, wanted if whole else due, settings, progress))
            with _going_on("Showing"):
                show(workspace, progress)
            if stopped(min(LOOK_S, every_s)):
                return


@contextmanager
def _going_on(what: str) -> Iterator[None]:
    """A service goes on after a trouble (another process at work, a full disk, an engine away): the next time it may go
    well, and until then it watches."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except ProtegeError as error:
        log.warning("%s waits: %s", what, error)
    except (SQLAlchemyError, OSError) as error:
        log.warning("%s failed (%s); it is tried again.", what, type(error).__name__)


@contextmanager
def watching(workspace: Workspace) -> Iterator[None]:
    """Look every LOOK_S at what was recorded, in a thread, so that a breach does not wait for a tuning to end."""
    from ..watch import look

    ended = threading.Event()

    def run() -> None:
        while not ended.wait(LOOK_S):
            with _going_on("Looking"):
                look(workspace)

    thread = threading.Thread(target=run, name="protege-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LOOK_S)


def show(workspace: Workspace, progress: Progress | None = None) -> None:
    """Ask the specialists in the shadow about the calls since, and do what the rules say then."""
    from ..watch import look, shadow

    asked = 0
    for specialist in workspace.specialists():
        if specialist.state == "shadow":
            try:
                asked += shadow(workspace, specialist, progress)
            except ProtegeError as error:
                log.warning("%s is not shown: %s", specialist.name, error)
    if asked:
        look(workspace)


def overdue(workspace: Workspace, wanted: Sequence[str]) -> list[str]:
    """The tasks, of those wanted, whose specialist is to be made again for a reason that is open."""
    from ..watch import reason_of

    chosen = finding.choose(workspace.tasks(), wanted)
    return [task.id for task in chosen if reason_of(workspace, task.id)]
