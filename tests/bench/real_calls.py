"""What the guarantee keeps on real calls: one specialist a task, its coverage and its mistakes on calls it never saw.

    python tests/bench/real_calls.py answers CALLS.jsonl[.gz] FOLDER TASK…    tune, and ask all held-out calls (resumes)
    python tests/bench/real_calls.py figures FOLDER [--json]                 certify from those answers, and compare

TASK: a value of the rows' field `task`, by which this benchmark, and nothing that it runs, picks the rows. FOLDER keeps
a home for each task, and what its specialist answered with each token's log-probability: `figures` replays that through
the program's own steps, so that another way to be confident is compared without asking again.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import random
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from protege import Specialist, Workspace
from protege.asking.confidence import Scorer
from protege.asking.novelty import Novelty, novelty_from
from protege.certify import Certificate, Promise, hindsight_coverage, refused_early, scan
from protege.collect import collect
from protege.common.progress import Silent
from protege.common.trust import trust
from protege.curate import CurateSettings
from protege.errors import DoesNotFit
from protege.evaluate import Judged, answer_all, rescored
from protege.evaluate.figures import auroc
from protege.evaluate.fitting import fit
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.loop.steps import curate, place, select, tune
from protege.loop.tasks import find_tasks
from protege.serve import Completer, open_engines
from protege.serve.engine import Completion
from protege.stats.intervals import clopper_pearson
from protege.tune import TuneSettings

HELD_OUT = ("validation", "calibration", "test")
EPSILONS, DELTA = (0.05, 0.10), 0.05
DRAWS = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(required=True)
    asking = what.add_parser("answers")
    asking.add_argument("calls", type=Path)
    asking.add_argument("folder", type=Path)
    asking.add_argument("tasks", nargs="+")
    asking.add_argument("--steps", type=int, default=TuneSettings().steps)
    asking.set_defaults(run=answer_tasks)
    counting = what.add_parser("figures")
    counting.add_argument("folder", type=Path)
    counting.add_argument("--json", action="store_true")
    counting.set_defaults(run=print_figures)
    options = parser.parse_args()
    options.run(options)


def answer_tasks(options: argparse.Namespace) -> None:
    for name in options.tasks:
        answers(options.calls, options.folder / name, name, settings_for(options.steps))


def settings_for(steps: int) -> Settings:
    curating = CurateSettings(calibration=0.3, test=0.2, validation=0.08)
    return Settings(engine="embedded", curate=curating, tune=TuneSettings(steps=steps))


def answers(path: Path, home: Path, name: str, settings: Settings) -> None:
    kept = home / "completions.jsonl"
    if kept.exists():
        return print(f"{name}: answered already", flush=True)
    home.mkdir(parents=True, exist_ok=True)
    begin_s = time.perf_counter()
    only = home / "calls.jsonl"
    only.write_bytes(b"".join(rows_of(path, name)))
    trust(home)
    workspace = Workspace(home)
    collect(workspace, [only])
    task = find_tasks(workspace)[0]
    run = Run(workspace, task, settings, Silent())
    curated = curate(run)
    base, _, _ = select(run, curated)
    assert base is not None
    specialist = place(run, tune(run, curated, base))
    tuned_s = time.perf_counter() - begin_s
    with open_engines(workspace, specialist) as engines:
        heard = Heard(engines)
        for part in HELD_OUT:
            judged = answer_all(heard, specialist, task, curated.examples(part), parallel=engines.count)
            agreed = sum(one.agreed for one in judged)
            print(f"{name}: {part} {agreed} of {len(judged)} agree", flush=True)
    kept.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in heard.lines))
    print(f"{name}: tuned in {tuned_s:.0f} s, all in {time.perf_counter() - begin_s:.0f} s", flush=True)
    workspace.close()


def rows_of(path: Path, name: str) -> list[bytes]:
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as lines:
        return [line for line in lines if json.loads(line).get("task") == name]


@dataclass(frozen=True)
class Terms:
    """What one ε comes to. coverage: certified on calibration calls; plain_coverage: had the summed log-probability
    been the confidence; hindsight: the largest that some threshold would have had there with observed disagreement ≤ ε.
    kept, disagreed, disagreement and its exact 95% interval: of the test calls, which had no part in any of it."""

    epsilon: float
    coverage: float
    plain_coverage: float
    hindsight: float
    kept: int
    disagreed: int
    disagreement: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Stability:
    """Scorers fitted on other validation calls, drawn from validation and calibration: the share that is not plain, and
    what AUROC gained over the plain confidence on the rest: mean, 5% quantile, and the share of draws that lost."""

    fitted: float
    gain: float
    gain_5: float
    lost: float


@dataclass(frozen=True)
class TaskFigures:
    """One task. calls: by part; unanswered: those that nothing came back for, in all. agreement: on test calls.
    plain_auroc, auroc: of both confidences, on calibration and test calls together; test_aurocs: on test calls alone.
    weights: of the fitted scorer, empty for the plain one. median_ms: an answer's latency."""

    task: str
    kind: str
    calls: dict[str, int]
    unanswered: int
    validation_errors: int
    agreement: float
    plain_auroc: float | None
    auroc: float | None
    test_aurocs: tuple[float | None, float | None]
    weights: dict[str, float]
    median_ms: float | None
    terms: tuple[Terms, ...]
    stability: Stability


def print_figures(options: argparse.Namespace) -> None:
    homes = sorted(home.parent for home in options.folder.glob("*/completions.jsonl"))
    found = [figures(home) for home in homes]
    if options.json:
        return print(json.dumps([asdict(one) for one in found], indent=1))
    for one in found:
        print("\n".join(shown(one)))


def shown(one: TaskFigures) -> Iterator[str]:
    calls = ", ".join(f"{n} {part}" for part, n in one.calls.items())
    weights = ", ".join(f"{name} {weight:.2f}" for name, weight in one.weights.items()) or "plain"
    yield f"{one.task} ({one.kind}; {calls}, {one.unanswered} unanswered; median {one.median_ms or 0:.0f} ms)"
    yield (
        f"  agreement {one.agreement:.3f}; AUROC {one.plain_auroc or 0:.4f} plain, {one.auroc or 0:.4f} fitted on "
        f"{one.validation_errors} errors: {weights}"
    )
    for terms in one.terms:
        low, high = terms.interval
        yield (
            f"  ε {terms.epsilon:.2f}: certified {terms.coverage:.3f} (plain {terms.plain_coverage:.3f}, hindsight "
            f"{terms.hindsight:.3f}); of test calls {terms.kept} kept, {terms.disagreed} disagree: "
            f"{terms.disagreement:.3f} ({low:.3f} to {high:.3f})"
        )
    drawn = one.stability
    yield (
        f"  other validation calls: fitted {drawn.fitted:.2f}, AUROC {drawn.gain:+.4f} on average, "
        f"{drawn.gain_5:+.4f} at the 5% quantile, lower in {drawn.lost:.2f}"
    )


def figures(home: Path) -> TaskFigures:
    kind, plain, novelty = replayed(home)
    scorer = fit(plain["validation"], novelty)
    scored = {part: rescored(judged, scorer) for part, judged in plain.items()}
    latencies = [one.latency_ms for one in plain["test"] if one.latency_ms is not None]
    return TaskFigures(
        task=home.name,
        kind=kind,
        calls={part: len(judged) for part, judged in plain.items()},
        unanswered=sum(one.latency_ms is None for judged in plain.values() for one in judged),
        validation_errors=sum(one.valid and not one.agreed for one in plain["validation"]),
        agreement=statistics.fmean(one.agreed for one in plain["test"]),
        plain_auroc=auroc([*plain["calibration"], *plain["test"]]),
        auroc=auroc([*scored["calibration"], *scored["test"]]),
        test_aurocs=(auroc(plain["test"]), auroc(scored["test"])),
        weights=dict(scorer.weights),
        median_ms=statistics.median(latencies) if latencies else None,
        terms=tuple(terms(plain, scored, epsilon) for epsilon in EPSILONS),
        stability=stability(plain, novelty),
    )


def replayed(home: Path) -> tuple[str, dict[str, list[Judged]], Novelty]:
    """The task's kind, what its specialist answered by part, with plain confidences, and what it was trained on."""
    workspace = Workspace(home)
    task = find_tasks(workspace)[0]
    curated = curate(Run(workspace, task, settings_for(TuneSettings().steps), Silent()))
    specialist = workspace.specialists(task_id=task.id)[0]
    workspace.close()
    novelty = novelty_from(task, specialist.form, curated.examples("train"))
    replay, scorer = Replay(home / "completions.jsonl"), Scorer.plain(novelty)
    plain = {part: answer_all(replay, specialist, task, curated.examples(part), scorer=scorer) for part in HELD_OUT}
    return task.kind, plain, novelty


def terms(plain: Mapping[str, list[Judged]], scored: Mapping[str, list[Judged]], epsilon: float) -> Terms:
    certificate = certified(scored, epsilon)
    threshold = certificate.threshold
    kept = [one for one in scored["test"] if threshold is not None and one.kept_at(threshold)]
    disagreed = sum(not one.agreed for one in kept)
    return Terms(
        epsilon=epsilon,
        coverage=certificate.coverage,
        plain_coverage=certified(plain, epsilon).coverage,
        hindsight=hindsight_coverage(scored["calibration"], epsilon),
        kept=len(kept),
        disagreed=disagreed,
        disagreement=disagreed / len(kept) if kept else 0.0,
        interval=clopper_pearson(disagreed, len(kept)),
    )


def certified(judged: Mapping[str, list[Judged]], epsilon: float) -> Certificate:
    """By the program's own functions; on calibration calls alone, so that test calls can tell what it keeps."""
    promise = Promise(epsilon, DELTA)
    return refused_early(judged["validation"], promise) or scan(judged["calibration"], promise)


def stability(plain: Mapping[str, list[Judged]], novelty: Novelty) -> Stability:
    pool, size = [*plain["validation"], *plain["calibration"]], len(plain["validation"])
    chance, gains, fitted = random.Random(0), list[float](), 0
    for _ in range(DRAWS):
        drawn = chance.sample(pool, len(pool))
        scorer = fit(drawn[:size], novelty)
        fitted += bool(scorer.weights)
        before, after = auroc(drawn[size:]), auroc(rescored(drawn[size:], scorer))
        gains.append(after - before if before is not None and after is not None else 0.0)
    gains.sort()
    return Stability(fitted / DRAWS, statistics.fmean(gains), gains[DRAWS // 20], sum(g < 0 for g in gains) / DRAWS)


class Heard:
    """An engine that keeps what it said, by the hash of the prompt."""

    def __init__(self, engine: Completer) -> None:
        self.lines: list[dict[str, object]] = []
        self._engine = engine
        self._lock = threading.Lock()

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        said = self._engine.complete(specialist, prompt, timeout_s=timeout_s)
        with self._lock:
            self.lines.append({"prompt": key_of(prompt), **asdict(said)})
        return said

    def close(self) -> None: ...


class Replay:
    """An engine that says again what `Heard` kept."""

    def __init__(self, path: Path) -> None:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        self._said = {line.pop("prompt"): completion_from(line) for line in lines}

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        if (said := self._said.get(key_of(prompt))) is None:
            raise DoesNotFit("Nobody answered this prompt.")
        return said

    def close(self) -> None: ...


def completion_from(record: dict[str, Any]) -> Completion:
    return Completion(**{**record, **{name: tuple(record[name]) for name in ("tokens", "token_logprobs")}})


def key_of(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()


if __name__ == "__main__":
    main()
