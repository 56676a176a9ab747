"""The reference of the command line, docs/cli.md, made from the help of its commands: `python -m
protege.cli.reference`.

A test holds docs/cli.md to what this prints.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from typer.main import get_group

from .commands import app

HEAD = """# The command line

Made from the commands' own help by `python -m protege.cli.reference > docs/cli.md`; a test checks that it is current.

Every command takes `--home` (else `PROTEGE_HOME`, else `.protege`) and, except `record`, `--json`: then it prints one
JSON document and nothing else on standard output. Exit codes: 0 done, 1 failed, 2 bad usage or bad input.
"""
EVERYWHERE = ("--home", "--json")
"""Options that the head describes once for all commands."""


def reference() -> str:
    """The reference as Markdown: the commands by panel, each with its usage, arguments and options."""
    return "\n".join((HEAD, *_panels()))


def _panels() -> Iterator[str]:
    by_panel: dict[str, list[Any]] = {}
    for command in get_group(app).commands.values():
        by_panel.setdefault(str(getattr(command, "rich_help_panel", "")), []).append(command)
    for panel, commands in by_panel.items():
        yield f"## {panel}\n"
        for command in commands:
            yield from _command(command)


def _command(command: Any) -> Iterator[str]:
    context = typer.Context(command, info_name=f"protege {command.name}")
    usage = " ".join(command.collect_usage_pieces(context))
    records = [parameter.get_help_record(context) for parameter in command.params]
    rows = [record for record in records if record and not record[0].startswith(EVERYWHERE)]
    yield f"### protege {command.name}\n"
    yield f"{' '.join(command.help.split())}\n"
    yield f"    protege {command.name} {usage}\n"
    if rows:
        yield from _table(rows)


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "| argument or option | |"
    yield "|---|---|"
    for name, text in rows:
        yield f"| `{_cell(name)}` | {_cell(text)} |"
    yield ""


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|").strip()


if __name__ == "__main__":
    sys.stdout.write(reference())
