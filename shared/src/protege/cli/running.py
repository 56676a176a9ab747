"""The commands that serve specialists, decide who answers, and look after the workspace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import BadInput
from ..rollout import lifecycle
from ..rollout.policy import EVERY, policy_of
from ..rollout.switching import set_terms, switch
from ..workspace import Workspace
from . import output
from .common import CARE, RUN, Home, Json, Name, done, fields_of, specialist_named, task_named

running = typer.Typer()


@running.command(rich_help_panel=RUN)
def serve(home: Home = None, as_json: Json = False) -> None:
    """Serve the live specialists until interrupted; agents of this workspace find them by themselves."""
    from ..service.engine import serve_forever

    workspace = Workspace(home)
    live = [s for s in workspace.specialists() if s.answers]
    if not live:
        raise BadInput("No specialist is live.", "`protege improve` makes one.")

    def ready(address: str) -> None:
        if as_json:
            output.print_json({"address": address, "specialists": [s.name for s in live]})
        else:
            output.console.print(
                f"Serving {', '.join(s.name for s in live)} on {address}. Ctrl-C stops.", highlight=False
            )

    serve_forever(workspace, live, ready)


@running.command(rich_help_panel=RUN)
def promote(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Let a certified specialist answer its task."""
    from ..rollout import in_force

    workspace = Workspace(home)
    specialist = specialist_named(workspace, name)
    lifecycle.promote(workspace, specialist)
    may = in_force(lifecycle.route_of(workspace, specialist), specialist, policy_of(workspace, specialist.task_id))
    said = (
        f"{name} answers from now on." if may else f"{name} is live, but its task's policy gives the calls to another."
    )
    done({"live": name}, said, as_json)


@running.command(rich_help_panel=RUN)
def rollback(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Give a specialist's task back to its predecessor, or to the teacher."""
    workspace = Workspace(home)
    predecessor = lifecycle.rollback(workspace, specialist_named(workspace, name))
    answers = predecessor.name if predecessor else "The teacher"
    done({"retired": name, "live": predecessor and predecessor.name}, f"{answers} answers from now on.", as_json)


@running.command(rich_help_panel=RUN)
def retire(name: Name, home: Home = None, as_json: Json = False) -> None:
    """Take a specialist out of service, until it is promoted again."""
    workspace = Workspace(home)
    retired = specialist_named(workspace, name)
    lifecycle.retire(workspace, retired)
    live = next((s.name for s in workspace.specialists(task_id=retired.task_id) if s.state == "live"), None)
    done({"retired": name, "live": live}, f"{live or 'The teacher'} answers from now on.", as_json)


@running.command(rich_help_panel=CARE)
def report(
    path: Annotated[
        Path | None,
        typer.Option("--output", help="A .html, .json or .md file. Default: reports/report.html at home."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A page, or JSON or Markdown: every task's figures, plots and examples, and how it went over time."""
    from ..report import gather, write_report

    workspace = Workspace(home)
    written = write_report(path or workspace.home / "reports" / "report.html", gather(workspace))
    done({"report": str(written)}, f"Written: {written}", as_json)


@running.command(rich_help_panel=CARE)
def doctor(home: Home = None, as_json: Json = False) -> None:
    """What is missing here, and the command that mends it."""
    from .doctor import checkup

    findings = checkup(home)
    if as_json:
        output.print_json({"findings": [vars(f) if hasattr(f, "__dict__") else fields_of(f) for f in findings]})
    else:
        marks = {True: "ok", False: "missing", None: "–"}
        output.print_table("", ("", "", "fact", "remedy"), [(marks[f.ok], f.name, f.fact, f.remedy) for f in findings])
    if any(f.ok is False for f in findings):
        raise typer.Exit(1)


@running.command(rich_help_panel=RUN)
def policy(
    task: Annotated[str | None, typer.Argument(help="A task's name or id; every task where none is named.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Disagreement allowed among kept answers.")] = None,
    delta: Annotated[float | None, typer.Option(help="Chance that the guarantee does not hold.")] = None,
    latency_ms: Annotated[float | None, typer.Option(help="The longest that an agent waits for a specialist.")] = None,
    budget_usd: Annotated[float | None, typer.Option(help="What a day's audits may cost in teacher's answers.")] = None,
    audit: Annotated[float | None, typer.Option(help="The share of answers that is audited.")] = None,
    pin: Annotated[str | None, typer.Option(help="The specialist that answers, or teacher, whatever comes.")] = None,
    grader: Annotated[str | None, typer.Option(help="What the same answer means: a name, or module:Class.")] = None,
    unset: Annotated[list[str] | None, typer.Option(help="Take back what was said: --unset epsilon.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """On what terms specialists may answer; shows them, where nothing is changed."""
    workspace = Workspace(home)
    found = task_named(workspace, task) if task else None
    given = {
        "epsilon": epsilon,
        "delta": delta,
        "latency_ms": latency_ms,
        "budget_usd": budget_usd,
        "audit": audit,
        "pin": pin,
        "grader": grader,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    changes |= {name.replace("-", "_"): None for name in unset or ()}
    if changes:
        set_terms(workspace, found, changes)
    record = policy_of(workspace, found.id if found else EVERY).to_record()
    if as_json:
        return output.print_json({"task": found.name if found else None, **record})
    rows = [(name, value) for name, value in record.items() if value not in (None, "", False)]
    output.print_table(found.name if found else "Every task", ("policy", "value"), rows)


@running.command(rich_help_panel=RUN)
def off(
    task: Annotated[str | None, typer.Argument(help="A task's name or id; all where none is named.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let the teacher answer, of one task or all, from now on; running agents follow within a second."""
    _switch(task, home, as_json, off=True)


@running.command(rich_help_panel=RUN)
def on(
    task: Annotated[str | None, typer.Argument(help="A task's name or id; all where none is named.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let specialists answer again that `protege off` switched off."""
    _switch(task, home, as_json, off=False)


@running.command(rich_help_panel=CARE)
def metrics(
    port: Annotated[int | None, typer.Option(help="Serve them on loopback until interrupted.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Figures for Prometheus, in its text format."""
    from ..report.exposition import exposition
    from ..service.metrics import serve_metrics

    workspace = Workspace(home)
    if port is not None:

        def ready(address: str) -> None:
            done({"address": address}, f"Metrics on {address}. Ctrl-C stops.", as_json)

        return serve_metrics(workspace, port=port, ready=ready)
    text = exposition(workspace)
    if as_json:
        return output.print_json({"metrics": text})
    typer.echo(text, nl=False)


def _switch(name: str | None, home: Path | None, as_json: bool, *, off: bool) -> None:
    workspace = Workspace(home)
    task = task_named(workspace, name) if name else None
    switch(workspace, task, off=off)
    now_off = policy_of(workspace, task.id if task else EVERY).off
    whose = task.name if task else "all tasks"
    said = f"The teacher answers: {whose}." if now_off else f"Specialists answer where they are certified: {whose}."
    if now_off and not off:
        said = f"{said} All tasks are off: `protege on` ends that."
    done({"task": task.name if task else None, "state": "off" if now_off else "on"}, said, as_json)
