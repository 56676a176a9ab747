"""Runs a program unchanged, with the recorder of every installed adapter attached. `protege record` starts this.

    python -m protege.capture.attaching HOME PROGRAM [ARGUMENT]…

PROGRAM is a file, or `-m` and a module, as for `python` itself. An adapter names its recorder by an entry point of the
group `protege.recorders`: a function that takes the home folder.
"""

from __future__ import annotations

import logging
import runpy
import sys
from importlib.metadata import entry_points
from pathlib import Path

from ..common.files import home_path

GROUP = "protege.recorders"
"""The entry points of the adapters' recorders."""

log = logging.getLogger("protege")


def attach_all(home: Path) -> list[str]:
    """Attach the recorders of all installed adapters. Returns their names. One that fails is logged and left out."""
    attached: list[str] = []
    for entry in entry_points(group=GROUP):
        try:
            entry.load()(home)
            attached.append(entry.name)
        except Exception as error:  # noqa: BLE001 - the user's program runs all the same
            log.warning("The recorder for %s cannot be attached (%s).", entry.name, type(error).__name__)
    return attached


def run(program: list[str]) -> None:
    """Run a program in this process, as `python` would: `["agent.py", …]` or `["-m", "package.agent", …]`."""
    if program[0] == "-m":
        sys.argv = program[1:]
        sys.path[0] = ""
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        sys.path[0] = str(Path(program[0]).resolve().parent)
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    attach_all(home_path(sys.argv[1]))
    run(sys.argv[2:])
