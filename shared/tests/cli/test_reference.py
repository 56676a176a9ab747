"""The reference of the command line is what its help says now, and a start of the command stays light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import typer
from protege.cli.commands import app
from protege.cli.reference import reference
from typer.main import get_group

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_is_what_the_help_says_now() -> None:
    remedy = "run: python -m protege.cli.reference > docs/cli.md"
    assert (DOCS / "cli.md").read_text() == reference(), remedy


def test_every_command_argument_and_option_is_told() -> None:
    for command in get_group(app).commands.values():
        assert command.help and command.name, command
        context = typer.Context(command, info_name=command.name)
        for parameter in command.params:
            record = parameter.get_help_record(context)
            assert record and record[1].partition("[")[0].strip(), f"{command.name}: {parameter.name} has no help"


def test_help_loads_no_heavy_library_and_no_other_room() -> None:
    script = (
        "import sys; sys.argv = ['protege', '--help']\n"
        "from protege.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'scipy', 'sklearn', 'datasets', 'sqlalchemy', 'torch', 'httpx', 'jinja2', 'plotly'}\n"
        "rooms = {'protege.flywheel', 'protege.loop.tasks', 'protege.report.gather', 'protege.redact.detect'}\n"
        "print(*((heavy | rooms) & set(sys.modules)), file=sys.stderr)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "improve" in ran.stdout and ran.stderr.strip() == ""
