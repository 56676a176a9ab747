"""The commands by which a specialist leaves a home and arrives at another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import rollout, select
from ..workspace import Workspace
from . import output
from .common import CARE, Home, Json, Name, done, specialist_named

travelling = typer.Typer()


@travelling.command("export", rich_help_panel=CARE)
def export_one(
    name: Name,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write. Default: NAME.protege here.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Write a specialist as one file, with a model card, and without any call."""
    workspace = Workspace(home)
    written = rollout.export(workspace, specialist_named(workspace, name), to)
    size = written.stat().st_size
    done({"file": str(written), "bytes": size}, f"Written: {written} ({size / 1e6:.1f} MB)", as_json)
    output.print_note("README.md in it says what the file tells of the calls that it learnt from.")


@travelling.command("import", rich_help_panel=CARE)
def import_one(
    file: Annotated[Path, typer.Argument(help="A file that `protege export` wrote.")],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Check a specialist's file, and place it here as a candidate without a certificate."""
    workspace = Workspace(home)
    arrived = rollout.arrive(workspace, file, select.find_bases(workspace.home))
    document = {"specialist": arrived.id, "name": arrived.name, "state": arrived.state}
    how = f"Measure it on calls of yours: protege evaluate {arrived.name} --calls FILE"
    done(document, f"{arrived.name} is here, as a {arrived.state} without a certificate. {how}", as_json)
