"""The serving process behind an agent: `python -P -m protege.service.background HOME`.

`serve.start_in_background` starts it; it ends when its stdin closes, and so with the process that started it.
"""

from __future__ import annotations

import functools
import logging
import os
import select
import sys

from ..errors import ProtegeError, WorkspaceBusy
from ..rollout.publishing import keep_moved
from ..workspace import Workspace
from .engine import serve_forever

log = logging.getLogger("protege.serve")


def main(home: str) -> int:
    """Serve the live specialists of a home folder; the exit code."""
    logging.basicConfig(format="%(asctime)s %(message)s")
    workspace = Workspace(home)
    try:
        live = [s for s in workspace.specialists() if s.answers]
        serve_forever(workspace, live, on_moved=functools.partial(keep_moved, workspace), wait=_stdin_closed)
    except WorkspaceBusy:
        return 0  # another agent was quicker
    except ProtegeError as error:
        log.warning("%s", error)
        return error.exit_code
    return 0


def _stdin_closed(seconds: float) -> bool:
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 4096)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
