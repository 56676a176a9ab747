"""What was said in calls stands nowhere where figures belong.

That is `--json`, tables, notes, logs, metrics, routes.json, and the command lines of the processes that are started.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from memory_engine import BASE
from protege import Attempt, Call, Route, Specialist, Workspace
from protege.collect.journal import JournalWriter
from protege.errors import NoSandbox
from protege.evaluate import Judged, evaluate, grader_for
from protege.evaluate.graders.code import sandbox
from protege.report import exposition
from protege.rollout import publish

SAID = "Kowalczyk"
"""Stands wherever a call has text of its users or models. Names of tasks, nodes, tools and models are the agent's
author's, and so is a prompt's constant text: these are shown."""
INSTRUCTION = "You name the colour of a thing. Answer with one word."
COMMANDS = (
    "tasks", "tasks --calls", "changes", "status", "doctor", "policy", "off", "on",
    "correct c1 Kowalczyk --json",
    "promote colours-v1", "rollback no-such", "retire no-such", "evaluate colours-v1", "improve no-such", "merge a b",
    "split no-such", "report",
)  # fmt: skip


def said(number: int, **fields: Any) -> dict[str, Any]:
    """The record of a call in which everything that somebody said holds the name."""
    use = {"id": f"u{number}", "type": "function", "function": {"name": "look", "arguments": f'{{"who": "{SAID}"}}'}}
    return {
        "id": f"c{number}",
        "run": f"r{number}",
        "time": 1.7e9 + number,
        "messages": [
            {"role": "system", "content": INSTRUCTION},
            {"role": "user", "content": f"{number} is what {SAID} asked as number {number}"},
            {"role": "assistant", "content": SAID, "tool_calls": [use]},
            {"role": "tool", "tool_call_id": f"u{number}", "content": f"{SAID} {number}"},
        ],
        "response": {"role": "assistant", "content": f"{SAID} likes {('red', 'blue')[number % 2]} {number}."},
        "model": "gpt-4o",
        "node": ["colours"],
        "error": f"ValueError: {SAID}" if number == 7 else None,
        "feedback": {"comment": SAID},
        "correction": f"{SAID} likes red.",
        **fields,
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with calls, odd and broken ones too, a task, a specialist that was measured, and a route."""
    folder = tmp_path_factory.mktemp("content")
    file = folder / "calls.jsonl"
    odd = [said(90, usage={"input_tokens": SAID}), said(91, messages=SAID), said(92, tools=[SAID]), SAID, {SAID: SAID}]
    lines = [*map(json.dumps, [*map(said, range(60)), *odd]), f'{{"{SAID}', f'{{"messages": "{SAID}']
    file.write_text("\n".join(lines))
    home = folder / "home"
    (told,) = protege(home, f"collect {file} --json").values()
    assert '"added": 61' in told and not [*quoted(told)]
    journal = JournalWriter(home / "journal")
    for odd_frame in (b"{" + SAID.encode(), json.dumps(SAID).encode(), json.dumps(said(93, response=SAID)).encode()):
        journal.append(odd_frame)
    journal.close()
    (home / "journal" / "1-1-x.journal").write_bytes(f"no frame, {SAID}".encode())
    protege(home, "tasks --json")
    workspace = Workspace(home)
    task = workspace.tasks()[0]
    judged = [Judged(f"c{n}", SAID, SAID, f"{SAID}!", bool(n % 3), 0.9, True, 1.0) for n in range(40)]
    report = {"evaluation": evaluate(judged, grader_for(task), threshold=0.5).to_record()}
    specialist = Specialist("s1", "colours-v1", task.id, 1, BASE, "slots", state="live", created=1.0, report=report)
    workspace.save_specialist(specialist)
    signatures = tuple(template.signature for template in task.templates)
    workspace.save_route(Route(task.id, "s1", 0.5, "F", 0.05, 0.05, 200, 180, 1, signatures=signatures))
    publish(workspace)
    attempt = Attempt("colours-v1", "audited", "audited", content=SAID)
    audited = [replace(Call.from_record(said(n)), attempts=(attempt,)) for n in range(100, 110)]
    workspace.add_calls(audited)
    workspace.close()
    return home


PROGRAM = """
import json, logging, sys
logging.basicConfig(level=logging.DEBUG)
from protege.cli import main
for command in json.loads(sys.argv[1]):
    for stream in (sys.stdout, sys.stderr):
        print("=====", " ".join(command), file=stream, flush=True)
    sys.argv = ["protege", *command]
    try:
        main()
    except SystemExit:
        pass
"""


def protege(home: Path, *commands: str) -> dict[str, str]:
    """All that each command prints and logs, in a process of their own."""
    split = [command.split() for command in commands]
    environment = {**os.environ, "PROTEGE_HOME": str(home), "OLLAMA_HOST": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", PROGRAM, json.dumps(split)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    told: dict[str, str] = {}
    for stream in (done.stdout, done.stderr):
        for part in stream.split("===== ")[1:]:
            name, _, text = part.partition("\n")
            told[name] = told.get(name, "") + text
    assert len(told) == len(commands)
    return told


def quoted(text: str) -> Iterator[str]:
    """Where the name stands, with what is around it."""
    at = text.find(SAID)
    while at >= 0:
        yield text[max(0, at - 80) : at + 40]
        at = text.find(SAID, at + 1)


def test_no_command_says_what_was_said(home: Path) -> None:
    told = protege(home, *(f"{command} --json" for command in COMMANDS), "tasks", "status", "doctor", "changes")
    assert not {name: [*quoted(text)] for name, text in told.items() if SAID in text}
    assert not [name for name, text in told.items() if "Traceback" in text]


def test_metrics_and_routes_do_not_either(home: Path) -> None:
    workspace = Workspace(home)
    assert not [*quoted(exposition(workspace))]
    publish(workspace)
    workspace.close()
    for file in (home / "routes.json", *home.glob("*.json")):
        assert not [*quoted(file.read_text())]


def test_a_program_that_is_graded_stands_in_no_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        started.append(" ".join([*command, *options.get("env", {}).values()]))
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", run)
    with contextlib.suppress(NoSandbox):
        sandbox.run(f"name = {SAID!r}", f"assert name == {SAID!r}")
    assert started and not any(SAID in command for command in started)
