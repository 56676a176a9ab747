"""The commands that look after a workspace: the report, the check-up, whose a home is, the figures for Prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import cli, report, rollout, service, watch
from ..common import trust as trusting
from ..common.files import DEFAULT_HOME, home_path
from ..common.trust import trusted_homes
from ..errors import BadInput, WorkspaceError
from ..route.belief import doubt
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
def doctor(
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="First repair the home: set damaged rows aside, save what can be read of a damaged store."
        ),
    ] = False,
    bases: Annotated[
        bool, typer.Option("--bases", help="Show instead which base models can be tuned and served here, and how.")
    ] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what is missing here, and the command that fixes it."""
    if bases:
        ways = cli.bases_report(home)
        return output.print_json(ways) if as_json else cli.print_bases(ways)
    repaired = watch.repair(home) if repair else None
    findings = cli.checkup(home)
    if as_json:
        document = {"findings": [fields_of(finding) for finding in findings]}
        output.print_json({"repair": repaired.to_record(), **document} if repaired else document)
    else:
        if repaired:
            output.print_block("Repair", repaired.lines() or ["Nothing is damaged."])
        marks = {True: "ok", False: "missing", None: "–"}
        output.print_table("", ("", "", "fact", "remedy"), [(marks[f.ok], f.name, f.fact, f.remedy) for f in findings])
    if any(f.ok is False for f in findings):
        raise typer.Exit(1)


@upkeep.command(rich_help_panel=CARE)
def trust(
    folder: Annotated[
        Path | None, typer.Argument(help="A home, or the folder that one lies in; this folder by default.")
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="Show the homes that are known as yours.")] = False,
    remove: Annotated[bool, typer.Option(help="Trust it no longer.")] = False,
    as_json: Json = False,
) -> None:
    """Let agents be answered from a home that Protégé did not make here for you, and sign its routes."""
    if show:
        homes = [{"home": str(home), "state": "there" if home.is_dir() else "gone"} for home in trusted_homes()]
        if as_json:
            return output.print_json({"homes": homes})
        return output.print_table("Homes that are yours", ("home", ""), [tuple(home.values()) for home in homes])
    home = _home_in(folder)
    try:
        if remove:
            known = trusting.distrust(home)
            line = f"{home} is trusted no longer." if known else f"{home} was not trusted."
            return done({"home": str(home), "removed": known}, line, as_json)
        if not home.is_dir():
            raise BadInput(f"There is no home {home}.", "Name the folder of a home, or one that a .protege lies in.")
        trusting.trust(home)
        if (home / "workspace.json").exists():
            workspace = Workspace(home)
            rollout.check_signing(workspace)
            rollout.publish(workspace)  # signed anew, by this user
    except OSError as error:
        raise WorkspaceError(
            f"That could not be kept: {error.strerror}.",
            "Make it writable, or set XDG_CONFIG_HOME to a folder of yours.",
        ) from None
    done({"home": str(home), "trusted": True}, f"{home} is trusted from now on.", as_json)
    if (left := doubt(home)) is not None:
        output.print_note(f"The teacher answers agents all the same: {left.fact}. {left.remedy}")


def _home_in(folder: Path | None) -> Path:
    """The home that a folder is, or that lies in it."""
    path = home_path(folder)
    if (
        folder is None
        or path.name == DEFAULT_HOME
        or any((path / name).exists() for name in ("workspace.json", "journal"))
    ):
        return path
    return path / DEFAULT_HOME


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
