"""The loop's steps, each with its result kept in the workspace under the hash of what it was made from."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..common.hashing import hash_of
from ..common.progress import Progress
from ..common.tracing import traced
from ..errors import EngineError
from ..evaluate.judging import Answers
from ..rollout.lifecycle import keep_record, refuse
from ..rollout.policy import grader_of
from ..specialist import Base, PromptForm, Specialist
from ..task import Task
from ..workspace import Workspace
from .retraining import due_for

if TYPE_CHECKING:
    from ..curate import Curated
    from ..evaluate import Judged
    from ..measure.parity import Parity
    from .settings import Settings

ANEW = 500
"""So many answers of the teacher's since a change are enough to learn from them alone: what was right before may be
wrong now, and teaching both teaches neither."""


def decided(settings: Settings) -> Settings:
    """The settings with the engine decided, once for all tasks. Raises, before any work is done, what would stand in
    its way at its end: an engine that cannot be had, a duration that is none."""
    from ..serve import check_keep_alive, choose_ollama

    check_keep_alive(settings.keep_alive)
    server = choose_ollama(settings.engine, settings.serve_as)
    if server is None:
        return replace(settings, engine="embedded")
    server.close()
    return replace(settings, engine="ollama")


def check_bases(workspace: Workspace, settings: Settings) -> None:
    """Raise, before any work is done, what `select.base_named` raises for a base that is not here, or is none."""
    from ..select import base_named

    for name in (settings.base, settings.cascade):
        if name:
            base_named(name, workspace.home)


@traced
def curate(workspace: Workspace, task: Task, settings: Settings) -> Curated:
    """The task's data set: of all its calls where a retraining is due, else that of the last time."""
    from ..curate import Curated, CurateSettings, curate
    from ..redact.policy import load_policy
    from ..watch import last_reason

    chosen = settings.curate or CurateSettings()
    policy = load_policy(workspace.home, task.name, key=workspace.key)
    reason = last_reason(workspace, task.id)
    if reason is not None:
        chosen = replace(chosen, since=reason.since)
    terms = hash_of(task.to_record()["templates"], task.kind, chosen, policy.identity)
    kept = workspace.result(f"data:{task.id}")
    last = workspace.home / "datasets" / str(kept and kept["folder"])
    if (
        kept
        and kept["terms"] == terms
        and last.exists()
        and not (settings.retrain or due_for(workspace, task, kept)[0])
    ):
        return Curated.load(last)
    began = time.time()
    calls = list(workspace.calls(task_id=task.id))
    if reason is not None:
        since = workspace.count_calls(task_id=task.id, teacher_only=True, since=reason.since)
        learn_since = reason.since if since >= ANEW else reason.learn_since
        calls = [call for call in calls if (call.time or 0.0) >= learn_since]
    made_from = (task.to_record(), [(c.id, c.content_hash) for c in calls], chosen, policy.identity)
    folder = workspace.home / "datasets" / hash_of(*made_from)
    if folder.exists():
        curated = Curated.load(folder)
    else:
        curated = curate(task, calls, chosen, policy)
        curated.save(folder)
    since = reason.since if reason is not None else None
    answered = workspace.count_calls(task_id=task.id, teacher_only=True, since=since)
    record = {"folder": folder.name, "terms": terms, "calls": answered, "time": began}
    record["after"] = workspace.last_attempt()
    workspace.save_result(f"data:{task.id}", record)
    return curated


@traced
def select(
    workspace: Workspace, task: Task, curated: Curated, settings: Settings, progress: Progress
) -> tuple[Base | None, str, list[tuple[str, str]]]:
    from ..select import Policy, base_named, find_bases, machine, select

    if settings.base:
        base = base_named(settings.base, workspace.home)
        return base, f"{base.name} was asked for.", []
    found = find_bases(workspace.home)
    policy = settings.policy or Policy()
    key = f"select:{hash_of(curated.hash, [base.sha256 for base in found], policy)}"
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


@traced
def tune(
    workspace: Workspace, task: Task, curated: Curated, base: Base, settings: Settings, progress: Progress
) -> Specialist:
    from ..tune import TuneSettings, tune

    tuning = settings.tune or TuneSettings()
    identity = f"sp-{hash_of(task.id, task.to_record()['templates'], curated.hash, base.sha256, tuning)[:12]}"
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


@traced
def better_prompt(
    workspace: Workspace, task: Task, curated: Curated, base: Base, settings: Settings, progress: Progress
) -> Settings:
    """The settings with the better of the two prompts, where they ask for a comparison: a specialist is tuned for each,
    and the one whose validation answers agree more often goes on; the slots alone, which cost less, where both do."""
    from ..evaluate import answer_all
    from ..serve import open_engines
    from ..tune import TuneSettings

    if not settings.compare_prompts:
        return settings
    tuning = settings.tune or TuneSettings()
    key = f"prompts:{hash_of(task.id, task.to_record()['templates'], curated.hash, base.sha256, tuning)}"
    agreed: dict[PromptForm, int] = workspace.result(key) or {}
    forms: tuple[PromptForm, ...] = ("slots", "whole")
    made = {form: replace(settings, tune=replace(tuning, form=form)) for form in forms}
    for form in forms if not agreed else ():
        tuned = place(workspace, tune(workspace, task, curated, base, made[form], progress), settings, progress)
        with open_engines(workspace, tuned) as engines, progress.step(f"{task.name}: answering, {form}") as bar:
            rows = curated.validation
            grader = grader_of(workspace, task)
            judged = answer_all(engines, tuned, task, rows, parallel=engines.count, grader=grader, bar=bar)
        agreed[form] = sum(one.agreed for one in judged)
    workspace.save_result(key, agreed)
    best = max(forms, key=lambda form: agreed[form])
    loser = next(form for form in forms if form != best)
    refuse(workspace, tune(workspace, task, curated, base, made[loser], progress))
    return made[best]


@traced
def place(workspace: Workspace, specialist: Specialist, settings: Settings, progress: Progress) -> Specialist:
    """The specialist in the engine that is to serve it. What is live is saved so only when it has its new terms."""
    from ..serve import choose_ollama, place

    server = choose_ollama(settings.engine, settings.serve_as)
    try:
        placed = place(workspace, specialist, server, keep_alive=settings.keep_alive, progress=progress)
    finally:
        if server is not None:
            server.close()
    if not placed.answers and placed != specialist:
        keep_record(workspace, placed)
    return placed


@traced
def parity(workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, progress: Progress) -> Parity:
    """Whether what is served is what was tuned, on validation calls; a specialist of which it is not so may not serve.

    Kept under the engine's fingerprint: another engine or version is compared anew.
    """
    from ..measure.parity import Parity, compare
    from ..serve import open_engine, remove

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


@traced
def answers(
    workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, settings: Settings, progress: Progress
) -> Answers:
    """What the specialist answers to every held-out call, through the kind of engine that is to serve it."""
    from ..asking.confidence import Scorer
    from ..asking.novelty import novelty_from
    from ..certify import hopeless
    from ..certify.guarantee import grid
    from ..evaluate import answer_all, judged_from, judged_to, rescored
    from ..evaluate.fitting import fit
    from ..serve import Replicas, open_engine, open_engines

    with contextlib.ExitStack() as running:
        alone = Replicas([running.enter_context(open_engine(workspace, specialist))])
        fingerprint = alone.fingerprint(specialist)
        grader = grader_of(workspace, task)
        known = Scorer.plain(novelty_from(task, specialist.form, curated.train.to_list()))

        @functools.cache
        def many() -> Replicas:
            return running.enter_context(open_engines(workspace, specialist))

        def part(name: str, engines: Callable[[], Replicas]) -> list[Judged]:
            key = f"judged:{specialist.id}:{fingerprint}:{name}:{hash_of(curated.hash, grader.name)}"
            kept = workspace.result(key)
            if kept is not None:
                return judged_from(kept)
            engine, rows = engines(), curated.parts[name]
            with progress.step(f"{task.name}: answering {name} calls", len(rows)) as bar:
                judged = answer_all(
                    engine, specialist, task, rows, parallel=engine.count, grader=grader, bar=bar, scorer=known
                )
            if engine.fingerprint(specialist) != fingerprint:
                raise EngineError("Two engines of one specialist differ.", "Did its files change? `protege improve`.")
            workspace.save_result(key, judged_to(judged))
            return judged

        # The test calls as agents are answered, one at a time: their latencies are reported.
        test = part("test", lambda: alone)
        validation = part("validation", many)
        scorer = fit(validation, known.novelty)
        validation = rescored(validation, scorer)
        refused = hopeless(validation, grid(validation, curated, settings), epsilon=settings.epsilon)
        calibration = [] if refused else rescored(part("calibration", many), scorer)
    return Answers(fingerprint, scorer, validation, calibration, rescored(test, scorer))
