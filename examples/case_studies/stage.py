"""What the three case studies share: a folder that is removed afterwards, a teacher, the gateway, and the telling."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import protege
from protege.dialects.teacher import MEDIA
from protege.report import gather
from script_server import Answer, More, Teacher, served

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".downloads" / "case_studies"
"""Where agents and what they need are installed: once, and again when their versions change."""
FRONTS: tuple[str, ...] = ("openai", "azure", "anthropic", "gemini")


@dataclass(frozen=True)
class Stage:
    """Where a study runs."""

    folder: Path
    """Removed when it ends."""
    home: Path
    gateway: str
    """The gateway's address."""
    scripted: str
    """That of the scripted teacher, which also stands for what is not a model."""
    teacher: Teacher | None
    """None if a teacher of the user's answers."""


def options(about: str, checkout: bool = False) -> argparse.ArgumentParser:
    """The options that every study has. checkout: its agent is in no registry."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    teacher = "a real teacher's API, of all fronts or of one; by default a script answers"
    parser.add_argument("--teacher", metavar="[FRONT=]URL", action="append", default=[], help=teacher)
    parser.add_argument("--report", type=Path, default=Path(".protege-case-studies"), metavar="FOLDER")
    parser.add_argument("--keep", action="store_true", help="keep the working folder, and tell where it is")
    if checkout:
        parser.add_argument("--checkout", type=Path, metavar="PATH", help="the agent's source; else git clones it")
    return parser


@contextmanager
def stage(name: str, told: argparse.Namespace, answer: Answer, more: More | None = None) -> Iterator[Stage]:
    """A folder, a teacher and a gateway in front of it; all are gone afterwards, also where the study is terminated."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    folder = Path(tempfile.mkdtemp(prefix=f"protege-{name}-"))
    teacher = Teacher(answer, more)
    try:
        with contextlib.ExitStack() as stack:
            scripted = stack.enter_context(served(teacher.app))
            home = folder / "home"
            address = stack.enter_context(gateway(home, upstreams(told.teacher, scripted)))
            yield Stage(folder, home, address, scripted, None if told.teacher else teacher)
    finally:
        if told.keep:
            print(f"Kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def upstreams(named: Sequence[str], scripted: str) -> dict[str, str]:
    """The address behind each front. named: as FRONT=URL, or a URL for all."""
    found = dict.fromkeys(FRONTS, scripted)
    for each in named:
        front, _, url = each.partition("=")
        found.update({front: url} if front in FRONTS else dict.fromkeys(FRONTS, each))
    return found


@contextmanager
def gateway(home: Path, upstream_of: Mapping[str, str]) -> Iterator[str]:
    """`protege gateway` as its users start it; its address."""
    command = [sys.executable, "-c", "import protege.cli; protege.cli.main()", "gateway", "--json", "--port", "0"]
    told = [f"--upstream={front}={url}" for front, url in upstream_of.items()]
    process = subprocess.Popen(
        [*command, "--home", home, *told], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    try:
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        yield json.loads("".join(lines))["address"]
    finally:
        ended(process, 15)


def run(command: Sequence[str | Path], timeout: float | None = None, **options: Any) -> None:
    """A command that must succeed, within so many seconds. Its output is shown only if it fails."""
    process = subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{command[0]} did not end in {timeout:.0f} s.") from None
    finally:
        ended(process, 10)
    if process.returncode:
        print(said[-4000:])
        raise SystemExit(f"{command[0]} ended with {process.returncode}; above is the end of what it said.")


@contextmanager
def running(command: Sequence[str | Path], log: Path, **options: Any) -> Iterator[None]:
    """A program that runs until the block ends. log: where it writes."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, **options)
        try:
            yield
        finally:
            ended(process, 10)


def ended(process: subprocess.Popen[Any], wait_s: float) -> None:
    """End a program that was started in a session of its own, and those that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(wait_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answering(url: str, log: Path, wait_s: float = 60.0) -> None:
    """Return once the address answers."""
    until = time.monotonic() + wait_s
    while time.monotonic() < until:
        with contextlib.suppress(httpx.TransportError):
            httpx.get(url, timeout=wait_s)
            return
        time.sleep(0.2)
    raise SystemExit(f"{url} did not answer in {wait_s:.0f} s:\n{log.read_text(errors='replace')[-2000:]}")


def needed(program: str, remedy: str) -> str:
    """The path of a program that must be there."""
    found = shutil.which(program)
    if found is None:
        raise SystemExit(f"{program} is missing. {remedy}")
    return found


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


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
    data = gather(workspace)
    path = protege.write_report(folder / f"{name}.html", data)
    figures = {**shares(calls, data.share_kept), "answered": place.teacher.calls if place.teacher else None}
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=1))
    print(f"\nReport: {path}")
    if place.teacher and len(calls) != place.teacher.calls:
        raise SystemExit("Not all calls were recorded.")


def shares(calls: Sequence[protege.Call], by_specialists: float) -> dict[str, Any]:
    """The figures of the table that `table.py` prints. by_specialists: the share of calls that they answer now."""
    return {
        "calls": len(calls),
        "sites": len({call.node for call in calls}),
        "named": sum(len(call.node) > 1 for call in calls),
        "text_alone": sum(call.decision != MEDIA for call in calls),
        "by_specialists": by_specialists,
    }


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
