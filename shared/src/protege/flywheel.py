"""The whole loop, steps S1 to S6 of "Small Language Models are the Future of Agentic AI" (Belcak et al., 2025, §6).

    collect ─► cluster ─► curate ─► select ─► tune ─► serve ─► evaluate ─► route      and again, on new calls

`improve` runs it over all tasks or some. Every step's result is kept under the hash of what it was made from: a second
run reuses what did not change, and a run that was killed goes on where it stopped. Only the last step changes what
agents see, and it does so in one write.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from .errors import BadInput, NotEnoughCalls
from .progress import Progress, Silent
from .specialist import Base, Route, Specialist
from .task import Task
from .workspace import Workspace

if TYPE_CHECKING:
    from .curate import Curated, CurateSettings
    from .evaluate import Judged
    from .select import Policy
    from .tune import TuneSettings


def improve(
    workspace: Workspace, wanted: Sequence[str] = (), settings: Settings | None = None, progress: Progress | None = None
) -> list[Improvement]:
    """Run the loop over the tasks named (by name or id), or over all, largest first.

    Raises WorkspaceBusy where another process improves the same workspace, BadInput for a task that does not exist. What
    stands in the way of one task (too few calls, no base that qualifies) does not stop the others: it is their reason.
    """
    settings, progress = settings or Settings(), progress or Silent()
    with workspace.lock():
        tasks = choose(find_tasks(workspace, progress), wanted)
        return [improve_task(workspace, task, settings, progress) for task in tasks]


def improve_task(workspace: Workspace, task: Task, settings: Settings, progress: Progress) -> Improvement:
    """Run the loop over one task: from its calls to a route, or to the reason why there is none."""
    if reason := unfit(task):
        return _conclude(workspace, Improvement(task.id, None, "teacher", reason))
    try:
        curated = _curate(workspace, task, settings)
    except NotEnoughCalls as error:
        return _conclude(workspace, Improvement(task.id, None, "teacher", str(error)))
    base, reason, passed_over = _select(workspace, task, curated, settings, progress)
    if base is None:
        return _conclude(workspace, Improvement(task.id, None, "teacher", reason, passed_over=passed_over))
    specialist = _tune(workspace, task, curated, base, settings, progress)
    measured = _evaluate(workspace, task, specialist, curated, settings, progress)
    return _route(workspace, task, specialist, curated, measured, settings, passed_over)


# The steps


def find_tasks(workspace: Workspace, progress: Progress | None = None) -> list[Task]:
    """Bring the journal in, and say which kinds of call repeat; anew only where calls have come since the last time."""
    from .cluster import discover
    from .collect import drain

    drain(workspace)
    key = f"tasks:{workspace.count_calls()}"
    if workspace.result(key) is None:
        with (progress or Silent()).step("Finding tasks"):
            found = discover(workspace.calls(), workspace.tasks())
        workspace.save_tasks(found.tasks, found.assignment)
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


def _curate(workspace: Workspace, task: Task, settings: Settings) -> Curated:
    from .curate import Curated, curate

    calls = list(workspace.calls(task_id=task.id))
    made_from = _hash(task.templates, [(c.id, c.content_hash, c.error) for c in calls], settings.curate)
    folder = workspace.home / "datasets" / made_from
    if folder.exists():
        return Curated.load(folder)
    curated = curate(task, calls, settings.curate) if settings.curate else curate(task, calls)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    curated.save(folder)
    return curated


def _select(
    workspace: Workspace, task: Task, curated: Curated, settings: Settings, progress: Progress
) -> tuple[Base | None, str, list[tuple[str, str]]]:
    from .select import find_bases, machine, select

    found = find_bases(workspace.home, (settings.base,) if settings.base else ())
    with progress.step(f"{task.name}: choosing a base"):
        chosen = select(task, curated.train, machine(workspace.home), settings.policy, found)
    return chosen.base, chosen.reason, [(name, reason) for name, reason in chosen.passed_over]


def _tune(
    workspace: Workspace, task: Task, curated: Curated, base: Base, settings: Settings, progress: Progress
) -> Specialist:
    from .tune import TuneSettings, tune

    tuning = settings.tune or TuneSettings()
    identity = f"sp-{_hash(curated.hash, base.sha256, tuning)[:12]}"
    mine = workspace.specialists(task_id=task.id)
    if known := next((s for s in mine if s.id == identity), None):
        return known
    version = max((s.version for s in mine), default=0) + 1
    folder = workspace.home / "specialists" / identity
    tuned = tune(curated, task, base, folder, tuning, progress=progress)
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
        lineage={**tuned.lineage, "dataset": curated.hash},
        max_tokens=tuned.max_tokens,
        created=time.time(),
    )
    workspace.save_specialist(specialist)
    return specialist


def _evaluate(
    workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, settings: Settings, progress: Progress
) -> Measured:
    """Ask the specialist, through the engine that is to serve it, for every held-out call."""
    from .evaluate import answer_all, judged_from, judged_to
    from .serve import serve

    with serve(workspace, [specialist], as_=settings.serve_as) as engine:
        fingerprint = engine.fingerprint(specialist)

        def part(name: str) -> list[Judged]:
            key = f"judged:{specialist.id}:{fingerprint}:{name}"
            kept = workspace.result(key)
            if kept is not None:
                return judged_from(kept)
            rows = getattr(curated, name)
            with progress.step(f"{task.name}: asking for {name}", len(rows)) as bar:
                judged = answer_all(engine, specialist, task, rows, bar=bar)
            workspace.save_result(key, judged_to(judged))
            return judged

        return Measured(fingerprint, part("validation"), part("calibration"), part("test"))


def _route(
    workspace: Workspace,
    task: Task,
    specialist: Specialist,
    curated: Curated,
    measured: Measured,
    settings: Settings,
    passed_over: list[tuple[str, str]],
) -> Improvement:
    from .evaluate import evaluate, grader_for
    from .route import calibrate, grid_from, hindsight_coverage

    evaluation = evaluate(measured.test, grader_for(task))
    grid = grid_from(measured.validation)
    certificate = calibrate(measured.calibration, grid, epsilon=settings.epsilon, delta=settings.delta)
    figures = {
        **evaluation.to_record(),
        **certificate.to_record(),
        "certified_coverage": certificate.kept / max(1, certificate.n) if certificate.threshold is not None else 0.0,
        "hindsight_coverage": hindsight_coverage(measured.calibration, settings.epsilon),
        "epsilon": settings.epsilon,
        "delta": settings.delta,
        "fingerprint": measured.fingerprint,
        "counts": curated.provenance.get("counts"),
    }
    specialist = replace(specialist, report=figures)
    workspace.save_specialist(specialist)
    if certificate.threshold is None:
        done = Improvement(task.id, specialist.id, "teacher", certificate.reason, figures, passed_over)
        return _conclude(workspace, done)
    route = Route(
        task_id=task.id,
        specialist_id=specialist.id,
        threshold=certificate.threshold,
        fingerprint=measured.fingerprint,
        epsilon=settings.epsilon,
        delta=settings.delta,
        calibration_calls=certificate.n,
        kept=certificate.kept,
        errors=certificate.errors,
        signatures=tuple(sorted(set(curated.calibration["signature"]))),
    )
    workspace.save_result(f"route:{specialist.id}", route.to_record())
    promote(workspace, specialist)
    reason = f"keeps {figures['certified_coverage']:.0%} of its calls at ε = {settings.epsilon:g}"
    return _conclude(workspace, Improvement(task.id, specialist.id, "live", reason, figures, passed_over))


# What may answer


def promote(workspace: Workspace, specialist: Specialist) -> None:
    """Let a specialist answer its task on the terms that were certified for it, in place of the one that does now.

    Raises BadInput where no threshold was certified for it.
    """
    record = workspace.result(f"route:{specialist.id}")
    if record is None:
        raise BadInput(
            f"No threshold is certified for {specialist.name}, so it may not answer.",
            "`protege improve` certifies one once there are calls enough.",
        )
    for other in workspace.specialists(task_id=specialist.task_id):
        if other.state == "live" and other.id != specialist.id:
            workspace.save_specialist(replace(other, state="retired"))
    workspace.save_specialist(replace(specialist, state="live"))
    workspace.save_route(Route.from_record(record))
    _publish(workspace)


def retire(workspace: Workspace, specialist: Specialist) -> None:
    """Take a specialist out of service; the teacher answers its task from the next call on."""
    if specialist.state == "live":
        workspace.drop_route(specialist.task_id)
    workspace.save_specialist(replace(specialist, state="retired"))
    _publish(workspace)


def rollback(workspace: Workspace, specialist: Specialist) -> Specialist | None:
    """Give the task back to the specialist's predecessor, or to the teacher where there is none; returns the predecessor."""
    retire(workspace, specialist)
    older = [s for s in workspace.specialists(task_id=specialist.task_id) if s.version < specialist.version]
    for predecessor in sorted(older, key=lambda s: -s.version):
        if workspace.result(f"route:{predecessor.id}") is not None:
            promote(workspace, predecessor)
            return predecessor
    return None


def _publish(workspace: Workspace) -> None:
    from .route import publish

    publish(workspace)


# What the loop takes and gives


@dataclass(frozen=True)
class Settings:
    """How to improve. epsilon, delta: P(disagreement among kept answers > epsilon) ≤ delta. base: a file, a folder or
    a catalogue name to tune from, in place of choosing. serve_as: "lora" (one base in memory) or "merged"."""

    epsilon: float = 0.05
    delta: float = 0.05
    base: str | None = None
    serve_as: str = "lora"
    curate: CurateSettings | None = None
    tune: TuneSettings | None = None
    policy: Policy | None = None


@dataclass(frozen=True)
class Improvement:
    """What the loop did for a task. decision: "live", or "teacher" (stays with it); reason: why, for people."""

    task_id: str
    specialist_id: str | None
    decision: str
    reason: str
    figures: dict[str, Any] = field(default_factory=dict[str, Any])
    passed_over: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@dataclass(frozen=True)
class Measured:
    """The specialist's answers to the held-out calls, and the fingerprint of the engine that gave them."""

    fingerprint: str
    validation: list[Judged]
    calibration: list[Judged]
    test: list[Judged]


def _conclude(workspace: Workspace, improvement: Improvement) -> Improvement:
    workspace.save_result(f"improvement:{improvement.task_id}", vars(improvement))
    return improvement


def _hash(*made_from: Any) -> str:
    """SHA-256 (hex, 32 digits) over values that orjson can write, dataclasses among them."""
    body = orjson.dumps(made_from, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()[:32]
