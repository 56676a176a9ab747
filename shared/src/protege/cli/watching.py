"""The commands that watch an agent: they record and import its calls, and say which kinds of call repeat."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import cluster, collect, loop, report
from ..capture import attaching
from ..common.files import home_path
from ..errors import BadInput, ProtegeError
from ..task import Task
from ..workspace import Workspace
from . import output
from .common import WATCH, Home, Json, TaskName, done, fields_of, progress
from .summaries import change_text

watching = typer.Typer()

SKIPPED_SHOWN = 20
"""The most skipped lines printed; --json lists them all."""


@watching.command("collect", rich_help_panel=WATCH)
def collect_calls(
    files: Annotated[
        list[Path],
        typer.Argument(help="Files or folders of calls, in any format of docs/formats.md; also packed."),
    ],
    form: Annotated[
        str | None,
        typer.Option("--format", help="The files' format, as docs/formats.md names it; else each document tells."),
    ] = None,
    strict: Annotated[bool, typer.Option(help="Stop at the first line that cannot be read.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Import recorded calls."""
    collected = collect.collect(Workspace(home), files, strict=strict, form=form, progress=progress(as_json))
    skipped = [{"file": str(s.file), "line": s.line, "reason": s.reason} for s in collected.skipped]
    if as_json:
        told = {"read": collected.read, "added": collected.added, "skipped": skipped, "unusable": collected.unusable}
        return output.print_json({**told, "passed": dict(collected.passed)})
    for line in skipped[:SKIPPED_SHOWN]:
        output.print_note(f"skipped {line['file']}:{line['line']}: {line['reason']}")
    if collected.unusable > SKIPPED_SHOWN:
        output.print_note(f"… and {collected.unusable - SKIPPED_SHOWN:,} more (--json lists {len(skipped):,})")
    if collected.passed:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in collected.passed.items())
        output.print_note(f"passed over, since they are no calls: {kinds}")
    output.console.print(
        f"{collected.read:,} calls read, {collected.added:,} new, {collected.unusable:,} skipped. Next: protege tasks",
        highlight=False,
    )


@watching.command(
    rich_help_panel=WATCH,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
def record(
    program: Annotated[
        list[str],
        typer.Argument(help="The program and its arguments, as for `python`: agent.py …, or -m MODULE …"),
    ],
    home: Home = None,
) -> None:
    """Run a Python program unchanged and record its calls to LangChain's and LlamaIndex's models."""
    if not entry_points(group=attaching.GROUP):
        raise ProtegeError("No adapter that records by itself is installed.", "pip install protege-langchain")
    if program[0] == "-m" and len(program) < 2:
        raise BadInput("-m needs a module's name.", "protege record -m package.agent")
    if program[0] != "-m" and not Path(program[0]).is_file():
        raise BadInput(f"There is no file {program[0]}.", "protege record agent.py, or protege record -m package.agent")
    where = str(home_path(home))
    # Replace this process, so that the program's output, errors and exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", attaching.__name__, where, *program])


@watching.command(rich_help_panel=WATCH)
def tasks(
    calls: Annotated[bool, typer.Option("--calls", help="List the task of each call instead.")] = False,
    html: Annotated[
        Path | None, typer.Option(help="Write a map of the tasks, with redacted samples, to this file.")
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what repeats, what it costs, and what a small model would save."""
    if calls and html:
        raise BadInput("--calls and --html cannot be combined.", "Give one of them.")
    workspace = Workspace(home)
    found = loop.find_tasks(workspace, progress(as_json))
    if calls:
        rows = [{"id": call, "task": task} for call, task in workspace.assignments().items()]
        if as_json:
            return output.print_json({"calls": rows})
        return output.print_table("Calls", ("call", "task"), [(row["id"], row["task"]) for row in rows])
    worths = loop.weigh_tasks(workspace, found, progress(as_json))
    if html:
        drawn = report.draw_map(workspace, found, worths, progress(as_json))
        written = report.write_map(html, drawn)
        return done({"map": str(written), "note": drawn.note}, f"Written: {written}\n{drawn.note}".strip(), as_json)
    by_id = {task.id: task for task in found}
    ranked = [(by_id[worth.task_id], worth) for worth in worths]
    if as_json:
        records = [{**_task_record(task), "worth": worth.figures()} for task, worth in ranked]
        return output.print_json({"tasks": records, "how": cluster.HOW})
    if not found:
        return output.console.print(output.NO_CALLS)
    output.console.print(report.worth_table(ranked))


@watching.command(rich_help_panel=WATCH)
def merge(task: TaskName, other: TaskName, home: Home = None, as_json: Json = False) -> None:
    """Make two tasks one. `protege split` undoes it."""
    merged = loop.merge_tasks(Workspace(home), task, other, progress(as_json))
    document = {"id": merged.id, "name": merged.name, "calls": merged.calls}
    done(document, f"{merged.name}: {merged.calls:,} calls.", as_json)


@watching.command(rich_help_panel=WATCH)
def split(
    task: TaskName,
    phrase: Annotated[str, typer.Option(help="A text that the requests of the new task contain.")] = "",
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a part of a task its own task; without --phrase, undo a merge."""
    parts = loop.split_task(Workspace(home), task, phrase, progress(as_json))
    rows = [{"id": part.id, "name": part.name, "calls": part.calls} for part in parts]
    done({"tasks": rows}, ", ".join(f"{part.name}: {part.calls:,} calls" for part in parts), as_json)


@watching.command(rich_help_panel=WATCH)
def changes(home: Home = None, as_json: Json = False) -> None:
    """Show what is new in the traffic: kinds of call, wordings, shares."""
    noticed = loop.task_changes(Workspace(home), progress(as_json))
    if as_json:
        return output.print_json({"changes": [fields_of(change) for change in noticed]})
    for change in noticed:
        output.console.print(change_text(change), highlight=False)
    if not noticed:
        output.console.print("Nothing has changed, or the calls' times are not known.")


def _task_record(task: Task) -> dict[str, Any]:
    record = task.to_record()
    names = (
        "id",
        "name",
        "kind",
        "calls",
        "tools",
        "labels",
        "input_tokens",
        "output_tokens",
        "cost_usd",
        "latency_ms",
    )
    return {"node": list(task.node), **{name: record[name] for name in names}, "wordings": len(task.templates)}
