"""The loop's steps, each with its result kept in the workspace under the hash of what it was made from."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from .errors import BadInput
from .lifecycle import promote, publish
from .progress import Progress, Silent
from .specialist import Base, Route, Specialist
from .task import Task
from .workspace import Workspace

if TYPE_CHECKING:
    from .curate import Curated
    from .evaluate import Judged
    from .flywheel import Settings
    from .serve import Completer


@dataclass(frozen=True)
class Answers:
    """A specialist's answers to the held-out calls, and the fingerprint of the engine that gave them."""

    fingerprint: str
    validation: list[Judged]
    calibration: list[Judged]
    test: list[Judged]


def find_tasks(workspace: Workspace, progress: Progress | None = None) -> list[Task]:
    """Bring the journal in, and say which kinds of call repeat; anew only where calls have come since the last time."""
    from .cluster import discover
    from .collect import drain

    drain(workspace)
    key = f"tasks:{workspace.count_calls()}"
    if workspace.result(key) is None:
        with (progress or Silent()).step("Finding tasks"):
            found = discover(workspace.calls, workspace.tasks())
        workspace.save_tasks(found.tasks, found.assignment)
        if workspace.routes():
            publish(workspace)
        workspace.save_result(key, len(found.tasks))
    return workspace.tasks()


def unfit(task: Task) -> str | None:
    """Why a task cannot be routed whatever its calls, None where nothing speaks against it."""
    if task.kind == "text":
        return "Free text: no exact comparison says whether two answers agree, so no threshold can be certified."
    if not task.templates:
        return "No constant wording was found in its prompts, so a route could not tell its calls from others."
    return None


def choose(tasks: Sequence[Task], wanted: Sequence[str]) -> list[Task]:
    """The tasks of these names or ids; all where none are named. Raises BadInput."""
    if not wanted:
        return list(tasks)
    known = {key: task for task in tasks for key in (task.id, task.name)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise BadInput(f"There is no task {unknown[0]!r}.", "`protege tasks` lists them.")
    return [known[name] for name in wanted]


def curate(workspace: Workspace, task: Task, settings: Settings) -> Curated:
    from .curate import Curated, CurateSettings, curate

    calls = list(workspace.calls(task_id=task.id))
    chosen = settings.curate or CurateSettings()
    folder = workspace.home / "datasets" / _hash(task.to_record(), [(c.id, c.content_hash) for c in calls], chosen)
    if folder.exists():
        return Curated.load(folder)
    curated = curate(task, calls, chosen)
    curated.save(folder)
    return curated


def select(
    workspace: Workspace, task: Task, curated: Curated, settings: Settings, progress: Progress
) -> tuple[Base | None, str, list[tuple[str, str]]]:
    from .select import Policy, find_bases, load_base, machine, select

    if settings.base:
        base = load_base(settings.base)
        return base, f"{base.name} was asked for.", []
    found = find_bases(workspace.home)
    policy = settings.policy or Policy()
    key = f"select:{_hash(curated.hash, [base.sha256 for base in found], policy)}"
    kept: dict[str, Any] | None = workspace.result(key)
    if kept is None:
        with progress.step(f"{task.name}: choosing a base"):
            chosen = select(task, curated.train.to_list(), machine(workspace.home), policy, found)
        digest = chosen.base.sha256 if chosen.base else ""
        kept = dict[str, Any](base=digest, reason=chosen.reason, passed_over=list(chosen.passed_over))
        if chosen.base:  # what stands in the way of all of them, memory say, may be gone the next time
            workspace.save_result(key, kept)
    base = next((base for base in found if base.sha256 == kept["base"]), None)
    return base, kept["reason"], [(name, reason) for name, reason in kept["passed_over"]]


def tune(
    workspace: Workspace, task: Task, curated: Curated, base: Base, settings: Settings, progress: Progress
) -> Specialist:
    from .tune import TuneSettings, tune

    tuning = settings.tune or TuneSettings()
    identity = f"sp-{_hash(task.id, task.to_record()['templates'], curated.hash, base.sha256, tuning)[:12]}"
    mine = workspace.specialists(task_id=task.id)
    if known := next((s for s in mine if s.id == identity), None):
        known = replace(known, serve_as=settings.serve_as)
        workspace.save_specialist(known)
        return known
    tuned = tune(curated, task, base, workspace.home / "specialists" / identity, tuning, progress=progress)
    version = max((s.version for s in mine), default=0) + 1
    specialist = Specialist(
        id=identity,
        name=f"{task.name}-v{version}",
        task_id=task.id,
        version=version,
        base=base,
        form=tuning.form,
        files=tuned.files,
        digests=tuned.digests,
        settings=tuned.settings,
        lineage=tuned.lineage,
        report={"tuning": tuned.figures},
        max_tokens=tuned.max_tokens,
        serve_as=settings.serve_as,
        created=time.time(),
    )
    workspace.save_specialist(specialist)
    return specialist


def answers(
    workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, settings: Settings, progress: Progress
) -> Answers:
    """What the specialist answers to every held-out call, through the kind of engine that is to serve it."""
    from .evaluate import answer_all, judged_from, judged_to
    from .serve import replicate, serve

    def part(name: str, ask: Completer, parallel: int) -> list[Judged]:
        key = f"judged:{specialist.id}:{fingerprint}:{name}"
        kept = workspace.result(key)
        if kept is not None:
            return judged_from(kept)
        rows = curated.parts[name]
        with progress.step(f"{task.name}: answering {name} calls", len(rows)) as bar:
            judged = answer_all(ask, specialist, task, rows, parallel=parallel, bar=bar)
        workspace.save_result(key, judged_to(judged))
        return judged

    with serve(workspace, [specialist]) as engine:
        fingerprint = engine.fingerprint(specialist)
        test = part("test", engine, 1)  # as agents are answered, one at a time: their latencies are reported
    with replicate(workspace, specialist) as engines:
        validation, calibration = (part(name, engines, engines.count) for name in ("validation", "calibration"))
    return Answers(fingerprint, validation, calibration, test)


def certify(task: Task, curated: Curated, answers: Answers, settings: Settings) -> dict[str, Any]:
    """The figures of an improvement: agreement on test calls, and the threshold that calibration calls certify."""
    from .evaluate import evaluate, grader_for
    from .route import calibrate, grid_from, hindsight_coverage

    epsilon, delta = settings.epsilon, settings.delta
    grid = grid_from(answers.validation, calibration_calls=len(answers.calibration), epsilon=epsilon, delta=delta)
    certificate = calibrate(answers.calibration, grid, epsilon=epsilon, delta=delta)
    evaluation = evaluate(answers.test, grader_for(task), threshold=certificate.threshold)
    return {
        "evaluation": evaluation.to_record(),
        "certificate": certificate.to_record(),
        "certified_coverage": certificate.coverage,
        "hindsight_coverage": hindsight_coverage(answers.calibration, epsilon),
        "fingerprint": answers.fingerprint,
        "calls": dict(curated.provenance["counts"]),
        "confidences": [(j.confidence, j.agreed) for j in answers.test if j.confidence is not None],
    }


def route(workspace: Workspace, specialist: Specialist, curated: Curated, figures: Mapping[str, Any]) -> bool:
    """Let the specialist answer where a threshold is certified; whether it may."""
    specialist = replace(specialist, report={**(specialist.report or {}), **figures})
    workspace.save_specialist(specialist)
    certificate = figures["certificate"]
    if certificate["threshold"] is None:
        return False
    terms = Route(
        task_id=specialist.task_id,
        specialist_id=specialist.id,
        threshold=certificate["threshold"],
        fingerprint=figures["fingerprint"],
        epsilon=certificate["epsilon"],
        delta=certificate["delta"],
        calibration_calls=certificate["n"],
        kept=certificate["kept"],
        errors=certificate["errors"],
        signatures=tuple(sorted(set(curated.calibration["signature"]))),
    )
    workspace.save_result(f"route:{specialist.id}", terms.to_record())
    promote(workspace, specialist)
    return True


def _hash(*made_from: Any) -> str:
    """SHA-256 (hex, 32 digits) over values that orjson can write, dataclasses among them."""
    body = orjson.dumps(made_from, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()[:32]
