"""The loop's steps, each with its result kept in the workspace under the hash of what it was made from."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from .errors import BadInput, EngineError
from .lifecycle import promote, prune, publish, save_terms, taken_out, withdraw
from .progress import Progress, Silent
from .specialist import Base, PromptForm, Route, Specialist
from .task import Task
from .workspace import Workspace

if TYPE_CHECKING:
    from .cluster import Change
    from .cluster.worth import Worth
    from .curate import Curated
    from .evaluate import Judged
    from .flywheel import Settings
    from .parity import Parity


@dataclass(frozen=True)
class Answers:
    """A specialist's answers to the held-out calls, and the fingerprint of the engine that gave them.

    calibration: empty where the validation calls show that no threshold would be certified.
    """

    fingerprint: str
    validation: list[Judged]
    calibration: list[Judged]
    test: list[Judged]


def decided(settings: Settings) -> Settings:
    """The settings with the engine decided, once for all tasks. Raises, before any work is done, what would stand in
    its way at its end: an engine that cannot be had, a duration that is none."""
    from .serve import check_keep_alive, choose_ollama

    check_keep_alive(settings.keep_alive)
    server = choose_ollama(settings.engine, settings.serve_as)
    if server is None:
        return replace(settings, engine="embedded")
    server.close()
    return replace(settings, engine="ollama")


def find_tasks(workspace: Workspace, progress: Progress | None = None) -> list[Task]:
    """Bring the journal in, and say which kinds of call repeat; anew only where calls have come since the last time."""
    from .collect import drain

    drain(workspace)
    if workspace.result(f"tasks:{workspace.count_calls()}") is None:
        _discover(workspace, workspace.tasks(), progress)
    return workspace.tasks()


def _discover(workspace: Workspace, known: Sequence[Task], progress: Progress | None) -> None:
    from .cluster import discover

    key = f"tasks:{workspace.count_calls()}"
    with (progress or Silent()).step("Finding tasks"):
        found = discover(workspace.calls, known)
    workspace.save_tasks(found.tasks, found.assignment)
    if workspace.routes():
        publish(workspace)
    workspace.save_result(key, len(found.tasks))


def merge_tasks(workspace: Workspace, into: str, other: str, progress: Progress | None = None) -> Task:
    """Make two tasks (names or ids) one, also in what is discovered later. Raises BadInput."""
    from .cluster import merge

    tasks = find_tasks(workspace, progress)
    first, second = choose(tasks, [into, other])
    _discover(workspace, merge(tasks, first, second), progress)
    return next(task for task in workspace.tasks() if {first.id, second.id} & {task.id, *task.merged})


def split_task(workspace: Workspace, name: str, phrase: str = "", progress: Progress | None = None) -> list[Task]:
    """Make the requests of a task that hold `phrase` a task of their own, also in what is discovered later.

    Without a phrase what was merged by hand is told apart again. Returns the tasks of which it is one afterwards.
    Raises BadInput.
    """
    from .cluster import split

    tasks = find_tasks(workspace, progress)
    [task] = choose(tasks, [name])
    before = {other.id for other in tasks if other.id != task.id}
    _discover(workspace, split(tasks, task, phrase), progress)
    return [other for other in workspace.tasks() if other.id not in before]


def task_changes(workspace: Workspace, progress: Progress | None = None) -> list[Change]:
    """What has changed in the traffic: new kinds of call, new wordings, kinds that come more or less often."""
    from .cluster import changes

    tasks = find_tasks(workspace, progress)
    return changes(workspace.calls(), tasks, workspace.assignments())


def weigh_tasks(workspace: Workspace, tasks: Sequence[Task], progress: Progress | None = None) -> list[Worth]:
    """What the tasks are worth, the most first; a task's calls are read again only where the task has changed."""
    from .cluster.worth import HOW, Worth, ranked, weigh

    price_as: str | None = (workspace.result("teacher") or {}).get("price_as")

    def terms(task: Task) -> tuple[str | None, float | None]:
        figures = (workspace.result(f"improvement:{task.id}") or {}).get("figures") or {}
        return unfit(task), figures.get("certified_coverage")

    made_from = {task.id: _hash(task.to_record(), terms(task), price_as, HOW) for task in tasks}
    kept: dict[str, Any] = {task.id: workspace.result(f"worth:{task.id}") or {} for task in tasks}
    if changed := [task for task in tasks if kept[task.id].get("made_from") != made_from[task.id]]:
        with (progress or Silent()).step("Weighing tasks", len(changed)) as bar:
            for task in changed:
                barred, measured = terms(task)
                calls = workspace.calls(task_id=task.id)
                worth = weigh(task, calls, barred=barred, measured=measured, price_as=price_as)
                kept[task.id] = {"made_from": made_from[task.id], "worth": worth.to_record()}
                workspace.save_result(f"worth:{task.id}", kept[task.id])
                bar.advance()
    return ranked([Worth.from_record(kept[task.id]["worth"]) for task in tasks])


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
    from .redact import load_policy

    calls = list(workspace.calls(task_id=task.id))
    chosen = settings.curate or CurateSettings()
    policy = load_policy(workspace.home, task.name, key=workspace.key)
    made_from = (task.to_record(), [(c.id, c.content_hash) for c in calls], chosen, policy.identity)
    folder = workspace.home / "datasets" / _hash(*made_from)
    if folder.exists():
        return Curated.load(folder)
    curated = curate(task, calls, chosen, policy)
    curated.save(folder)
    return curated


def select(
    workspace: Workspace, task: Task, curated: Curated, settings: Settings, progress: Progress
) -> tuple[Base | None, str, list[tuple[str, str]]]:
    from .select import Policy, base_named, find_bases, machine, select

    if settings.base:
        base = base_named(settings.base, workspace.home)
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
        return replace(known, serve_as=settings.serve_as)  # kept once it is certified so
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


def better_prompt(
    workspace: Workspace, task: Task, curated: Curated, base: Base, settings: Settings, progress: Progress
) -> Settings:
    """The settings with the better of the two prompts, where they ask for a comparison: a specialist is tuned for each,
    and the one whose validation answers agree more often goes on; the slots alone, which cost less, where both do."""
    from .evaluate import answer_all
    from .serve import open_engines
    from .tune import TuneSettings

    if not settings.compare_prompts:
        return settings
    tuning = settings.tune or TuneSettings()
    key = f"prompts:{_hash(task.id, task.to_record()['templates'], curated.hash, base.sha256, tuning)}"
    agreed: dict[PromptForm, int] = workspace.result(key) or {}
    forms: tuple[PromptForm, ...] = ("slots", "whole")
    made = {form: replace(settings, tune=replace(tuning, form=form)) for form in forms}
    for form in forms if not agreed else ():
        tuned = place(workspace, tune(workspace, task, curated, base, made[form], progress), settings, progress)
        with open_engines(workspace, tuned) as engines, progress.step(f"{task.name}: answering, {form}") as bar:
            rows = curated.validation
            judged = answer_all(engines, tuned, task, rows, parallel=engines.count, bar=bar)
        agreed[form] = sum(one.agreed for one in judged)
    workspace.save_result(key, agreed)
    best = max(forms, key=lambda form: agreed[form])
    loser = next(form for form in forms if form != best)
    refuse(workspace, tune(workspace, task, curated, base, made[loser], progress))
    return made[best]


def place(workspace: Workspace, specialist: Specialist, settings: Settings, progress: Progress) -> Specialist:
    """The specialist in the engine that is to serve it. What is live is saved so only when it has its new terms."""
    from .serve import choose_ollama, place

    server = choose_ollama(settings.engine, settings.serve_as)
    try:
        placed = place(workspace, specialist, server, keep_alive=settings.keep_alive, progress=progress)
    finally:
        if server is not None:
            server.close()
    if placed.state != "live" and placed != specialist:
        workspace.save_specialist(placed)
    return placed


def parity(workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, progress: Progress) -> Parity:
    """Whether what is served is what was tuned, on validation calls; a specialist of which it is not so may not serve.

    Kept under the engine's fingerprint: another engine or version is compared anew.
    """
    from .parity import Parity, compare
    from .serve import open_engine, remove

    with open_engine(workspace, specialist) as engine:
        key = f"parity:{specialist.id}:{engine.fingerprint(specialist)}"
        kept = workspace.result(key)
        if kept is None:
            found = compare(workspace, task, specialist, engine, curated.validation.to_list(), progress)
            workspace.save_result(key, found.to_record())
        else:
            found = Parity(**kept)
    if not found.holds:
        refuse(workspace, remove(workspace, specialist))
    return found


def refuse(workspace: Workspace, specialist: Specialist) -> None:
    """Let the specialist serve no more where it was to serve; what it does elsewhere, on other terms, goes on."""
    from .serve import remove, unload

    stored = next((s for s in workspace.specialists(task_id=specialist.task_id) if s.id == specialist.id), specialist)
    if stored.state != "live":
        unload(specialist)
        workspace.save_specialist(specialist)
    elif (stored.engine, stored.serve_as) == (specialist.engine, specialist.serve_as):
        withdraw(workspace, specialist)  # on terms that hold no more
    elif specialist.engine == "ollama" and not stored.imported:
        remove(workspace, specialist)


def answers(
    workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, settings: Settings, progress: Progress
) -> Answers:
    """What the specialist answers to every held-out call, through the kind of engine that is to serve it."""
    from .evaluate import answer_all, judged_from, judged_to
    from .route import hopeless
    from .serve import Replicas, open_engine, open_engines

    with contextlib.ExitStack() as running:
        alone = Replicas([running.enter_context(open_engine(workspace, specialist))])
        fingerprint = alone.fingerprint(specialist)

        @functools.cache
        def many() -> Replicas:
            return running.enter_context(open_engines(workspace, specialist))

        def part(name: str, engines: Callable[[], Replicas]) -> list[Judged]:
            key = f"judged:{specialist.id}:{fingerprint}:{name}"
            kept = workspace.result(key)
            if kept is not None:
                return judged_from(kept)
            engine, rows = engines(), curated.parts[name]
            with progress.step(f"{task.name}: answering {name} calls", len(rows)) as bar:
                judged = answer_all(engine, specialist, task, rows, parallel=engine.count, bar=bar)
            if engine.fingerprint(specialist) != fingerprint:
                raise EngineError("Two engines of one specialist differ.", "Did its files change? `protege improve`.")
            workspace.save_result(key, judged_to(judged))
            return judged

        # The test calls as agents are answered, one at a time: their latencies are reported.
        test = part("test", lambda: alone)
        validation = part("validation", many)
        refused = hopeless(validation, _grid(validation, curated, settings), epsilon=settings.epsilon)
        calibration = [] if refused else part("calibration", many)
    return Answers(fingerprint, validation, calibration, test)


def certify(task: Task, curated: Curated, answers: Answers, settings: Settings) -> dict[str, Any]:
    """The figures of an improvement: agreement on test calls, and the threshold that calibration calls certify.

    Coverage in hindsight is of the calibration calls; of the test calls where those were not asked.
    """
    from .evaluate import evaluate, grader_for
    from .route import calibrate, hindsight_coverage, hopeless

    epsilon, delta = settings.epsilon, settings.delta
    grid = _grid(answers.validation, curated, settings)
    certificate = hopeless(answers.validation, grid, epsilon=epsilon) or calibrate(
        answers.calibration, grid, epsilon=epsilon, delta=delta
    )
    evaluation = evaluate(answers.test, grader_for(task), threshold=certificate.threshold)
    return {
        "evaluation": evaluation.to_record(),
        "certificate": certificate.to_record(),
        "certified_coverage": certificate.coverage,
        "hindsight_coverage": hindsight_coverage(answers.calibration or answers.test, epsilon),
        "fingerprint": answers.fingerprint,
        "calls": dict(curated.provenance["counts"]),
        "confidences": [(j.confidence, j.agreed) for j in answers.test if j.confidence is not None],
    }


def _grid(validation: Sequence[Judged], curated: Curated, settings: Settings) -> tuple[float, ...]:
    from .route import grid_from

    calls = len(curated.calibration)
    return grid_from(validation, calibration_calls=calls, epsilon=settings.epsilon, delta=settings.delta)


def route(
    workspace: Workspace, specialist: Specialist, curated: Curated, figures: Mapping[str, Any], settings: Settings
) -> tuple[bool, str]:
    """Let the specialist answer where a threshold is certified; whether it may, and why."""
    from .serve import describe, unload

    certificate = figures["certificate"]
    specialist = describe(workspace, replace(specialist, report={**(specialist.report or {}), **figures}))
    if certificate["threshold"] is None:
        refuse(workspace, specialist)
        prune(workspace, specialist.task_id, settings.keep_versions)
        return False, certificate["reason"]
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
    if taken_out(workspace, specialist):
        workspace.save_specialist(specialist)
        save_terms(workspace, specialist, terms)
        unload(specialist)
        return False, f"{specialist.name} was taken out of service. `protege promote {specialist.name}` lets it answer."
    promote(workspace, specialist, terms)
    prune(workspace, specialist.task_id, settings.keep_versions)
    return True, certificate["reason"]


def _hash(*made_from: Any) -> str:
    """SHA-256 (hex, 32 digits) over values that orjson can write, dataclasses among them."""
    body = orjson.dumps(made_from, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()[:32]
