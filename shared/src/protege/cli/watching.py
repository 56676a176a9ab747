"""The commands that watch an agent: they record and import its calls, and say which kinds of call repeat."""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from .. import cluster, collect, loop, report, watch
from ..capture import attaching
from ..common.checks import MOST_BYTES
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
        return output.print_json({**told, "corrections": collected.corrections, "passed": dict(collected.passed)})
    for line in skipped[:SKIPPED_SHOWN]:
        output.print_note(f"skipped {line['file']}:{line['line']}: {line['reason']}")
    if collected.unusable > SKIPPED_SHOWN:
        output.print_note(f"… and {collected.unusable - SKIPPED_SHOWN:,} more (--json lists {len(skipped):,})")
    if collected.passed:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in collected.passed.items())
        output.print_note(f"passed over, since they are no calls: {kinds}")
    corrected = f" {collected.corrections:,} corrected," if collected.corrections else ""
    counts = f"{collected.read:,} calls read, {collected.added:,} new,{corrected} {collected.unusable:,} skipped"
    output.console.print(f"{counts}. Next: protege tasks", highlight=False)


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
def correct(
    call: Annotated[str, typer.Argument(help="The call's id, as `protege tasks --calls` shows it.")],
    answer: Annotated[
        str | None,
        typer.Argument(help='The right answer: a text, JSON, or a tool call as {"name": …, "arguments": {…}}.'),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="Read the answer from this file; - is the standard input.")] = None,
    remove: Annotated[bool, typer.Option(help="Take the correction back.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say what the right answer to a call is. It is taught in place of the teacher's."""
    if (answer is not None) + (file is not None) + remove != 1:
        raise BadInput("There is no answer, or more than one.", "Give ANSWER, --file FILE or --remove.")
    said = None if remove else answer if file is None else _text_in(file)
    workspace = Workspace(home)
    watch.look(workspace)  # the call may still be in the journal
    task = collect.correct(workspace, call, said)
    watch.look(workspace)
    document = {"call": call, "task": task.name if task else None, "corrected": not remove}
    done(document, f"{call} is {'no longer corrected' if remove else 'corrected'}.", as_json)


def _text_in(file: Path) -> str:
    """The text of a file, or of the standard input. Raises BadInput."""
    try:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1) if str(file) == "-" else file.open("rb").read(MOST_BYTES + 1)
        if len(raw) > MOST_BYTES:
            raise BadInput(f"{file} is longer than {MOST_BYTES >> 20} MB.", "Give the answer alone.")
        return raw.decode().strip()
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not UTF-8.", "Write it as UTF-8.") from None
    except OSError as error:
        raise BadInput(f"{file} cannot be read: {error.strerror}.", "Check the path.") from None


@watching.command(rich_help_panel=WATCH)
def merge(
    task: TaskName,
    other: Annotated[str, typer.Argument(help="A task's name or id; a part goes back to the whole.")] = "",
    states: Annotated[bool, typer.Option("--states", help="Keep a conversation whole: its steps go back.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make two tasks one, or the steps of a conversation. `protege split` undoes it."""
    if bool(other) == states:
        raise BadInput("There is no other task, or --states beside it.", "Give OTHER, or --states.")
    workspace = Workspace(home)
    merged = (
        loop.keep_whole(workspace, task, progress(as_json))
        if states
        else loop.merge_tasks(workspace, task, other, progress(as_json))
    )
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
