"""What comes from calls, files and servers is shown on a terminal, and acts on none."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from protege import Workspace
from protege.cli import output
from protege.common.terminal import printable, printable_json, printable_line
from protege.report import exposition
from protege.store.records import Event
from protege.task import Task

HOSTILE = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b1;1H\u202etac\u2066\x00\x7f\ud800\U000e0041[bold red]x[/] :skull:"
ACTIVE = tuple("\x1b\x07\x9b\u202e\u2066\x00\x7f\U000e0041")


def clean(text: str) -> bool:
    return not any(character in text for character in ACTIVE)


def protege(*arguments: str | Path) -> str:
    """All that the command prints."""
    done = subprocess.run(
        [sys.executable, "-c", "from protege.cli import main; main()", *map(str, arguments)],
        capture_output=True,
        check=False,
    )
    return (done.stdout + done.stderr).decode()


def test_what_acts_on_a_terminal_is_written_out() -> None:
    assert printable("a\x1b[2J\x9b\u202e\ud800\U000e0041\tb\n") == "a\\x1b[2J\\x9b\\u202e\\ud800\\U000e0041\tb\n"
    assert printable_line("a\n\tb") == "a\\n\\tb"
    assert printable("Zoë 東京 👩‍👩‍👧") == "Zoë 東京 👩‍👩‍👧"


def test_json_says_the_same_and_acts_on_no_terminal() -> None:
    text = HOSTILE.replace("\ud800", "")
    document = printable_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(document) == {"a": text}
    assert clean(document)


def test_tables_blocks_errors_notes_and_bars_hold_no_live_character(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for console in (output.console, output.errors):
        monkeypatch.setattr(console, "_width", 500)
        monkeypatch.setattr(console, "_file", None)
    output.print_table(HOSTILE, ("a", HOSTILE), [(HOSTILE, 1), ("b\nforged", HOSTILE)])
    output.print_block(HOSTILE, [HOSTILE])
    output.print_note(HOSTILE)
    output.fail(HOSTILE, HOSTILE, as_json=False)
    output.console.print(HOSTILE)
    with output.Bars().step(HOSTILE, 1) as bar:
        bar.advance(note=HOSTILE)
    monkeypatch.setattr(output.errors, "_force_terminal", True)
    monkeypatch.setattr(output.errors, "is_interactive", True)
    monkeypatch.setenv("TERM", "xterm")
    with output.Bars().step("\x07" + "[bold]step" + "\u202e", 1) as bar:
        bar.advance(note="\x07\u202e[red]note")
    captured = capsys.readouterr()
    assert clean(captured.out)
    assert "b\\nforged" in captured.out
    assert captured.out.count("[bold red]x[/] :skull:") == 7  # neither markup nor emoji
    assert not {"\x07", "\u202e", "\x9b"} & set(captured.err)  # a bar itself moves the cursor
    assert "[bold]step" in captured.err and "[red]note" in captured.err


def test_commands_print_what_files_and_teachers_say_inert(tmp_path: Path) -> None:
    escape = "\x1b]52;c;ZXZpbA==\x07\x1b[2J\u202e"
    call = {"messages": [{"role": "user", "content": "x"}], "response": {"role": "assistant", "content": "y"}}
    calls = tmp_path / "calls.jsonl"
    lines = [json.dumps({"id": f"{n}{escape}", **call}) for n in range(3)]
    calls.write_text("\n".join([*lines, json.dumps({"id": f"x{escape}", "messages": escape})]))
    home = ("--home", tmp_path / "home")
    said = protege("collect", calls, *home) + protege("tasks", "--calls", *home)
    assert "\\x1b]52" in said
    workspace = Workspace(tmp_path / "home")
    workspace.history.note(Event("teacher changed", f"gpt-4o{escape} answers now.", "t"))
    workspace.close()
    said += protege("status", *home) + protege("status", "--json", *home) + protege("tasks", "--calls", "--json", *home)
    said += protege("retire", f"name{escape}", *home) + protege("collect", tmp_path / f"no{escape}", *home)
    said += protege(f"no-such{escape}") + protege("collect", f"--no-such{escape}")
    assert clean(said)


def test_figures_for_prometheus_and_log_lines_are_inert(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.save_tasks([Task("t", f"name{HOSTILE[:20]}", "text", calls=3)], {})
    assert clean(exposition(workspace))
    workspace.close()
    program = (
        "import sys, logging; from protege.cli import entry\n"
        "def app(**_):\n"
        "    logging.getLogger('protege.x').warning('%s waits', '\\x1b[2J\\nforged')\n"
        "    raise RuntimeError('\\x1b[2J\\u202e')\n"
        "entry.app = app; entry.main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert clean(done.stderr)
    assert "\\x1b[2J\\nforged waits" in done.stderr and "RuntimeError" in done.stderr
    assert logging.getLogRecordFactory() is logging.LogRecord  # of this process: only the command line changes it
