"""What the three case studies share: a folder that is removed afterwards, a teacher, the gateway, and the telling."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import protege
from protege.report import gather
from scripted_teacher import Answer, More, Teacher, served

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".downloads" / "case_studies"
"""Where agents and what they need are installed: once, and again when their versions change."""
FRONTS = ("openai", "azure", "anthropic", "gemini")


@dataclass(frozen=True)
class Stage:
    """Where a study runs."""

    folder: Path
    """Removed when it ends."""
    home: Path
    gateway: str
    """The gateway's address."""
    teacher: Teacher | None
    """None if a teacher of the user's answers."""


def options(about: str, checkout: bool = False) -> argparse.ArgumentParser:
    """The options that every study has. checkout: its agent is in no registry."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", metavar="URL", help="a real teacher's API; by default a script answers")
    parser.add_argument("--report", type=Path, default=Path(".protege-case-studies"), metavar="FOLDER")
    parser.add_argument("--keep", action="store_true", help="keep the working folder, and tell where it is")
    if checkout:
        parser.add_argument("--checkout", type=Path, metavar="PATH", help="the agent's source; else git clones it")
    return parser


@contextmanager
def stage(name: str, told: argparse.Namespace, answer: Answer, more: More | None = None) -> Iterator[Stage]:
    """A folder, a teacher and a gateway in front of it; all are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"protege-{name}-"))
    teacher = Teacher(answer, more)
    try:
        with contextlib.ExitStack() as stack:
            scripted = stack.enter_context(served(teacher.app))
            home = folder / "home"
            address = stack.enter_context(gateway(home, told.teacher or scripted))
            yield Stage(folder, home, address, None if told.teacher else teacher)
    finally:
        if told.keep:
            print(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def gateway(home: Path, upstream: str) -> Iterator[str]:
    """`protege gateway` as its users start it; its address."""
    command = [sys.executable, "-c", "import protege.cli; protege.cli.main()", "gateway", "--json", "--port", "0"]
    upstreams = [f"--upstream={front}={upstream}" for front in FRONTS]
    process = subprocess.Popen([*command, "--home", home, *upstreams], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        yield json.loads("".join(lines))["address"]
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)


def run(command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    """A command that must succeed. Its output is shown only if it fails."""
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode:
        print(done.stdout[-4000:])
        raise SystemExit(f"{command[0]} ended with {done.returncode}; above is the end of what it said.")
    return done


def cloned(told: argparse.Namespace, url: str, folder: Path) -> Path:
    """A copy of the agent's source to work in: the one that the user named, else by git."""
    target = folder / "agent"
    if told.checkout is not None:
        if not told.checkout.is_dir():
            raise SystemExit(f"{told.checkout} is no folder. Name a checkout of {url}.")
        shutil.copytree(told.checkout, target, ignore=shutil.ignore_patterns("node_modules", ".git", ".next"))
        return target
    done = subprocess.run(["git", "clone", "--depth", "1", url, target], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise SystemExit(f"git could not clone {url}: {said[-1]}\nName a checkout of yours: --checkout PATH")
    return target


def tell(name: str, place: Stage, folder: Path, replaced: Sequence[str] = ()) -> None:
    """Print what was recorded: call sites, tasks, what could be replaced and why not; and the report.

    replaced: what stood in for a part of the agent's surroundings."""
    workspace = protege.Workspace(place.home)
    protege.drain(workspace)
    calls = list(workspace.calls())
    answered = f" of {place.teacher.calls} that the teacher answered" if place.teacher else ""
    print(f"\n{name}: {len(calls)} calls recorded{answered}")
    for sentence in replaced:
        print(f"  replaced: {sentence}")
    _tell_sites(calls)
    _tell_tasks(workspace)
    path = protege.write_report(folder / f"{name}.html", gather(workspace))
    print(f"\nReport: {path}")
    if place.teacher and len(calls) != place.teacher.calls:
        raise SystemExit("Not all calls were recorded.")


def _tell_sites(calls: Sequence[protege.Call]) -> None:
    counts = Counter(call.node for call in calls)
    print(f"\n{len(counts)} call sites, by role and form:")
    for node, count in counts.most_common():
        print(f"  {count:3}  {' / '.join(node[1:]) or '(unnamed)'}")
        reasons = Counter(call.decision for call in calls if call.node == node and call.decision != "no live route")
        for reason, several in reasons.items():
            print(f"         {several} only the teacher can answer: {reason}")


def _tell_tasks(workspace: protege.Workspace) -> None:
    done = {each.task_id: each for each in protege.improve(workspace)}
    tasks = workspace.tasks()
    print(f"\n{len(tasks)} tasks, and what could be replaced:")
    for task in tasks:
        why = done[task.id].reason if task.id in done else "not tried"
        print(f"  {task.calls:3}  {task.name} ({task.kind}): {why}")
