"""The commands that look after a workspace: the report, the check-up, the figures for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import cli, report, service
from ..workspace import Workspace
from . import output
from .common import CARE, Home, Json, done, fields_of

upkeep = typer.Typer()


@upkeep.command("report", rich_help_panel=CARE)
def write_report(
    path: Annotated[
        Path | None,
        typer.Option("--output", help="A .html, .json or .md file; reports/report.html in the home folder by default."),
    ] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write a page (or JSON, Markdown) with every task's figures, plots and examples, and how it went over time."""
    workspace = Workspace(home)
    written = report.write_report(path or workspace.home / "reports" / "report.html", report.gather(workspace))
    done({"report": str(written)}, f"Written: {written}", as_json)


@upkeep.command(rich_help_panel=CARE)
def doctor(home: Home = None, as_json: Json = False) -> None:
    """Show what is missing here, and the command that fixes it."""
    findings = cli.checkup(home)
    if as_json:
        output.print_json({"findings": [fields_of(finding) for finding in findings]})
    else:
        marks = {True: "ok", False: "missing", None: "–"}
        output.print_table("", ("", "", "fact", "remedy"), [(marks[f.ok], f.name, f.fact, f.remedy) for f in findings])
    if any(f.ok is False for f in findings):
        raise typer.Exit(1)


@upkeep.command(rich_help_panel=CARE)
def metrics(
    port: Annotated[int | None, typer.Option(help="Serve them on this port of loopback until interrupted.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Print figures for Prometheus, in its text format."""
    workspace = Workspace(home)
    if port is not None:

        def ready(address: str) -> None:
            done({"address": address}, f"Metrics on {address}. Ctrl-C stops.", as_json)

        return service.serve_metrics(workspace, port=port, ready=ready)
    text = report.exposition(workspace)
    if as_json:
        return output.print_json({"metrics": text})
    output.print_text(text)
