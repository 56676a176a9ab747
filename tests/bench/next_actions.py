"""What specialists may answer of an agent's next actions: its node as one task, beside the steps of its conversations.

    python tests/bench/next_actions.py FILE FOLDER [--minutes N] [--kinds head,pointer,lora] [--grader NAME] [--json]

FILE: recorded calls of one node, with the run of each under `run` or `session`; no run is in two parts of a data set.
Kinds are made and certified apart; a task counts with the one that keeps most of its validation calls. FOLDER keeps
what was made, so a run that ended goes on where it stopped; no task begins after --minutes. `--train-only SHARE` of the
runs, drawn by their hash, are never held out: those that a rule was designed on. --grader: of the JSON tasks. Training
rows are not redacted: that takes most of the time, and is measured elsewhere.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
from protege import Settings, Task, Workspace
from protege.call import Call
from protege.certify import Promise, as_routed, hindsight_coverage
from protege.certify.gate import decided, independent, refused
from protege.cluster import discover, undivided
from protege.common.progress import Silent
from protege.curate import CurateSettings
from protege.errors import ProtegeError
from protege.loop import steps
from protege.loop.contest import contenders
from protege.loop.run import Run
from protege.rollout import set_policy
from protege.tune import TuneSettings

EPSILONS, DELTA = (0.05, 0.10), 0.05
CURATE = CurateSettings(
    calibration=0.4, test=0.15, validation=0.08, min_calibration=20, min_validation=15, min_train=20, since=1.0
)
"""Steps have few calls: half of them certify. Calls without a time are never held out."""


@dataclass(frozen=True)
class Cell:
    """One kind of specialist for one task. agreement: of the held-out calls, the share answered as the teacher did.
    coverage: certified, by ε. validation, hindsight: what an oracle would have kept at ε = .05 of the validation and of
    the held-out calls. kept: in words, by ε."""

    task: str
    calls: int
    kind: str
    reason: str = ""
    held_out: int = 0
    agreement: float = 0.0
    coverage: Mapping[str, float] = field(default_factory=dict[str, float])
    validation: float = 0.0
    hindsight: float = 0.0
    kept: Mapping[str, str] = field(default_factory=dict[str, str])
    seconds: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--kinds", default="head,pointer")
    parser.add_argument("--ways", default="plain,states")
    parser.add_argument("--task", action="append", default=[], help="These alone, by the end of their names.")
    parser.add_argument("--grader", default="")
    parser.add_argument("--train-only", type=float, default=0.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    ends_s = time.monotonic() + 60 * options.minutes
    calls = list(calls_of(options.file, options.train_only))
    told = {way: cells(options, calls, way, ends_s) for way in options.ways.split(",")}
    if options.json:
        print(json.dumps({way: [asdict(cell) for cell in found] for way, found in told.items()}))
    else:
        for way, found in told.items():
            print_way(way, found, len(calls))


def calls_of(file: Path, train_only: float) -> Iterator[Call]:
    with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
        for number, line in enumerate(lines):
            row = json.loads(line)
            run = str(row.get("run") or row.get("session") or "")
            given = {name: row[name] for name in ("messages", "response", "tools", "model", "usage") if name in row}
            share = int(hashlib.sha256(run.encode()).hexdigest(), 16) % 10 / 10
            when = {} if share < train_only else {"time": 2.0 + number}
            yield Call.from_record({**given, "id": f"{number:06}", "run": run, **when})


def cells(options: argparse.Namespace, calls: Sequence[Call], way: str, ends_s: float) -> list[Cell]:
    home = options.folder / way
    home.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(home)
    (home / "redaction.toml").write_text("types = []\nmodel = false\n")
    if not workspace.tasks():
        workspace.add_calls(calls)
        found = discover(calls)
        if way == "plain":
            divided, tasks = {task.split_from for task in found.tasks if task.state}, list(found.tasks)
            for whole in [task for task in tasks if task.id in divided]:
                tasks = undivided(tasks, whole)
            found = discover(calls, tasks)
        workspace.save_tasks(found.tasks, found.assignment)
    told: list[Cell] = []
    for task in workspace.tasks():
        if options.task and not any(task.name.endswith(name) for name in options.task):
            continue
        if options.grader and task.kind == "json":
            set_policy(workspace, task, {"grader": options.grader})
        for kind in options.kinds.split(","):
            told.append(cell_of(workspace, task, kind, time.monotonic() < ends_s))
            if not options.json:
                print(way, task.name, kind, told[-1].kept or told[-1].reason, flush=True)
    workspace.close()
    return told


def cell_of(workspace: Workspace, task: Task, kind: str, in_time: bool) -> Cell:
    if task.kind == "text":
        return Cell(task.name, task.calls, kind, "answers in words")
    path = workspace.home / f"{task.id}-{kind}.json"
    if not path.exists() and in_time:
        path.write_bytes(orjson.dumps(asdict(measured(workspace, task, kind))))
    return Cell(**orjson.loads(path.read_bytes())) if path.exists() else Cell(task.name, task.calls, kind, "not yet")


def measured(workspace: Workspace, task: Task, kind: str) -> Cell:
    """The kind's specialist for the task, on its held-out calls."""
    begin_s = time.perf_counter()
    settings = Settings(curate=CURATE, tune=TuneSettings(method=kind), compete=False)
    try:
        run = Run(workspace, task, steps.decided(settings), Silent())
        [run] = contenders(run).values()
        curated = steps.curate(run)
        base, reason, _ = steps.select(run, curated)
        if base is None:
            return Cell(task.name, task.calls, kind, reason)
        specialist, parity = steps.served_alike(run, steps.tune(run, curated, base), curated)
        answers = steps.answers(run, specialist, curated, Promise(0.5, DELTA))
    except ProtegeError as error:
        return Cell(task.name, task.calls, kind, str(error))
    held_out = [*answers.calibration, *answers.test]
    validation = as_routed(answers.validation, curated)
    pool = as_routed(independent(held_out, curated), curated)
    certificates = {
        str(promise.epsilon): refused(validation, len(pool), promise) or decided(pool, validation, promise)
        for promise in (Promise(epsilon, DELTA) for epsilon in EPSILONS)
    }
    return Cell(
        task=task.name,
        calls=task.calls,
        kind=kind,
        reason="" if parity.holds else parity.reason,
        held_out=len(held_out),
        agreement=sum(answer.agreed for answer in held_out) / max(1, len(held_out)),
        coverage={epsilon: certificate.coverage for epsilon, certificate in certificates.items()},
        validation=hindsight_coverage(validation),
        hindsight=hindsight_coverage(as_routed(held_out, curated)),
        kept={epsilon: f"{c.kept} of {c.n}, {c.errors} wrong" for epsilon, c in certificates.items()},
        seconds=time.perf_counter() - begin_s,
    )


def print_way(way: str, found: Sequence[Cell], calls: int) -> None:
    print(f"\n{way}\n{'task':58} {'calls':>6} {'kind':>8} {'agree':>6} {'.05':>6} {'.10':>6} {'hindsight':>9}")
    chosen: dict[str, Cell] = {}
    for cell in found:
        coverage = " ".join(f"{cell.coverage.get(str(epsilon), 0.0):6.2f}" for epsilon in EPSILONS)
        told = f"{cell.agreement:6.2f} {coverage} {cell.hindsight:9.2f} {cell.reason[:60]}"
        print(f"{cell.task[-58:]:58} {cell.calls:6} {cell.kind:>8} {told}")
        if cell.task not in chosen or cell.validation > chosen[cell.task].validation:
            chosen[cell.task] = cell
    for epsilon in EPSILONS:
        kept = sum(cell.coverage.get(str(epsilon), 0.0) * cell.calls for cell in chosen.values())
        print(f"of all {calls} calls, certified at ε = {epsilon}: {kept / calls:.3f}")


if __name__ == "__main__":
    main()
