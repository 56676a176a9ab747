"""What the commands share: their options, and how they look names up and print results."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import loop
from ..common.progress import Silent
from ..errors import BadInput, WorkspaceError
from ..specialist import Specialist
from ..task import Task
from ..workspace import Workspace
from . import output

Home = Annotated[
    Path | None, typer.Option(help="The home folder. Default: PROTEGE_HOME, else .protege in this folder.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TaskName = Annotated[str, typer.Argument(help="A task's name or id, as `protege tasks` shows it.")]
Name = Annotated[str, typer.Argument(help="A specialist's name or id, as `protege status` shows it.")]

WATCH, LEARN, RUN, CARE = "Watch", "Learn", "Serve", "Look after"


def progress(as_json: bool) -> Any:
    return Silent() if as_json else output.Bars()


def done(document: dict[str, Any], line: str, as_json: bool) -> None:
    """Print a result: the document with --json, else the line."""
    if as_json:
        return output.print_json(document)
    output.console.print(line, highlight=False)


def is_store_trouble(error: BaseException) -> bool:
    """Whether an error says that the disk or the store is full, read-only, locked or damaged."""
    # SQLAlchemy is told by its name: importing it would cost every start of the command line.
    return isinstance(error, WorkspaceError | OSError) or type(error).__module__.startswith("sqlalchemy.")


def store_trouble(error: BaseException) -> str:
    """What is wrong there, without the statement that failed, which may hold content."""
    if isinstance(error, WorkspaceError):
        return error.fact.rstrip(".")
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "strerror", None) or (cause if cause is not error else type(error).__name__))


def specialist_named(workspace: Workspace, name: str) -> Specialist:
    """The specialist of this name or id. Raises BadInput."""
    for specialist in workspace.specialists():
        if name in (specialist.id, specialist.name):
            return specialist
    raise BadInput(f"There is no specialist {name!r}.", "`protege status` lists them.")


def task_named(workspace: Workspace, name: str) -> Task:
    """The task of this name or id. Raises BadInput."""
    return loop.choose(workspace.tasks(), [name])[0]


def seconds_of(duration: str) -> float:
    """Seconds in "90s", "15m", "6h", "1d". Raises BadInput."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", duration.strip())
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0.0
    if seconds < 1:
        raise BadInput(f"{duration!r} is not a duration.", "Give a number and a unit, at least a second: 30m, 6h, 1d.")
    return seconds


def fields_of(value: Any) -> dict[str, Any]:
    """A record's fields, for JSON."""
    return {name: getattr(value, name) for name in value.__slots__}
