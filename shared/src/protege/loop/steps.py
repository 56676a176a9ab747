"""The loop's steps, each with its result kept in the workspace under the hash of what it was made from."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import curate as curating
from .. import evaluate, measure, serve
from .. import select as selecting
from .. import tune as tuning
from ..asking.confidence import Scorer
from ..asking.novelty import novelty_from
from ..certify import as_routed, pool_size, refused
from ..chat.copied import copied_in
from ..common.confinement import Aside
from ..common.hashing import hash_of
from ..common.tracing import traced
from ..errors import BadInput, EngineError, ProtegeError
from ..redact import load_policy
from ..rollout.lifecycle import keep_record, refuse
from ..rollout.policy import grader_of
from ..specialist import Base, Specialist
from ..store.records import DataSet
from ..watch.reasons import Reason, last_reason
from . import trials
from .retraining import due_since
from .run import Run
from .settings import Settings

if TYPE_CHECKING:
    from ..call import Call
    from ..certify import Promise
    from ..curate import Curated
    from ..evaluate import Answers, Judged, Parity
    from ..serve import Adviser, Replicas
    from ..tune import Tuner
    from ..workspace import Workspace

COPIES = ("tool_calls", "json")
"""Kinds of answers that have arguments or fields."""
ANEW = 500
"""With this many of the teacher's answers since a change, learn from them alone: what was right before may be wrong
now, and teaching both teaches neither."""

log = logging.getLogger("protege.loop")


def decided(settings: Settings) -> Settings:
    """The settings with the engine decided, once for all tasks, and as what specialists are served.

    Raises, before any work is done, what would stand in its way at its end: an engine that cannot be had, a duration
    that is none, or a base for a method that takes none.
    """
    serve.check_keep_alive(settings.keep_alive)
    if settings.serve_as == "lora" and settings.tune is not None and settings.tune.variant == "dora":
        raise BadInput("DoRA's weights are not applied over a base by any engine.", "Leave out --serve-as lora.")
    if settings.compete:  # a method that cannot be had here is told of for each task; the other may do
        return replace(settings, engine=serve.choose(settings.engine, settings.serve_as).name)
    tuner = _tuner(settings)
    if tuner.base is not None and settings.base:
        raise BadInput(f"A {tuner.name} takes no base model.", "Leave out --base, or --kind.")
    serve_as = tuner.serve_as or settings.serve_as
    return replace(settings, serve_as=serve_as, engine=serve.choose(settings.engine, serve_as).name)


def _tuner(settings: Settings) -> Tuner:
    return tuning.tuner_named((settings.tune or tuning.TuneSettings()).method)


def check_bases(workspace: Workspace, settings: Settings) -> None:
    """Raise, before any work is done, what `select.base_named` raises for a base that is not here, or is none."""
    for name in (settings.base, settings.cascade):
        if name:
            selecting.base_named(name, workspace.home)


@traced
def curate(run: Run) -> Curated:
    """The task's data set: made of all its calls if a retraining is due, else the last one."""
    workspace, task = run.workspace, run.task
    settings = run.settings.curate or curating.CurateSettings()
    policy = load_policy(workspace.home, task.name, key=workspace.key)
    reason = last_reason(workspace, task.id)
    if reason is not None:
        settings = replace(settings, since=reason.since)
    made_with = hash_of(task.to_record()["templates"], task.kind, settings, policy.identity)
    last = workspace.findings.data_set(task.id)
    if last and last.made_from == made_with and not run.settings.retrain:
        is_here = _folder(workspace, last.folder).exists()
        if is_here and not due_since(workspace, task, last)[0]:
            return curating.Curated.load(_folder(workspace, last.folder))
    began = time.time()
    calls = _calls_to_learn_from(run, reason)
    made_from = (task.to_record(), [_told_by(call) for call in calls], settings, policy.identity)
    folder = _folder(workspace, hash_of(*made_from))
    if folder.exists():
        curated = curating.Curated.load(folder)
    else:
        asides: list[Aside] = []
        curated = curating.curate(task, calls, settings, policy, on_aside=asides.append)
        workspace.quarantine.add(asides)
        curated.save(folder)
    since = reason.since if reason is not None else None
    answered = workspace.count_calls(task_id=task.id, teacher_only=True, since=since)
    data_set = DataSet(folder.name, made_with, answered, began, workspace.history.last_attempt())
    workspace.findings.save_data_set(task.id, data_set)
    return curated


def _told_by(call: Call) -> tuple[Any, ...]:
    """What a call tells, as far as a data set depends on it."""
    return (call.id, call.content_hash, *((dict(call.correction),) if call.correction else ()))


def _folder(workspace: Workspace, name: str) -> Path:
    return workspace.home / "datasets" / name


def _calls_to_learn_from(run: Run, reason: Reason | None) -> list[Call]:
    failed = run.workspace.quarantine.keys("curation")  # by this version, which need not try them again
    calls = [call for call in run.workspace.calls(task_id=run.task.id) if call.id not in failed]
    if reason is None:
        return calls
    since = run.workspace.count_calls(task_id=run.task.id, teacher_only=True, since=reason.since)
    learn_since = reason.since if since >= ANEW else reason.learn_since
    return [call for call in calls if (call.time or 0.0) >= learn_since]


@traced
def select(run: Run, curated: Curated) -> tuple[Base | None, str, list[tuple[str, str]]]:
    """The base to tune from, or None; why; and those that were not chosen, each with its reason."""
    workspace, settings = run.workspace, run.settings
    if (own := _tuner(settings).base) is not None:
        return own, f"The method {_tuner(settings).name} needs no base model.", []
    if settings.base:
        base = selecting.base_named(settings.base, workspace.home)
        return base, f"{base.name} was asked for.", []
    bases = selecting.find_bases(workspace.home)
    policy = settings.policy or selecting.SelectionPolicy()
    key = f"select:{hash_of(curated.hash, [base.sha256 for base in bases], policy)}"
    cached: dict[str, Any] | None = workspace.cached(key)
    if cached is None:
        with run.progress.step(f"{run.task.name}: choosing a base"):
            machine, examples = selecting.machine(workspace.home), curated.examples("train")
            selection = selecting.select(run.task, examples, machine, policy, bases)
        digest = selection.base.sha256 if selection.base else ""
        cached = dict[str, Any](base=digest, reason=selection.reason, passed_over=list(selection.passed_over))
        if selection.base:  # what stands in the way of all of them, memory say, may be gone the next time
            workspace.cache(key, cached)
    base = next((base for base in bases if base.sha256 == cached["base"]), None)
    return base, cached["reason"], [(name, reason) for name, reason in cached["passed_over"]]


@traced
def tune(run: Run, curated: Curated, base: Base) -> Specialist:
    """A specialist tuned from the base; the one that was tuned from the same inputs before if there is one."""
    task = run.task
    settings, tried = trials.best_settings(run, curated, base)
    identity = trials.identity_of(run, curated, base, settings)
    specialists = run.workspace.specialists(task_id=task.id)
    if known := next((s for s in specialists if s.id == identity), None):
        return replace(known, serve_as=run.settings.serve_as)  # stored once it is certified so
    folder = run.workspace.home / "specialists" / identity
    tuned = tuning.tune(curated, task, base, folder, settings, progress=run.progress)
    version = max((s.version for s in specialists), default=0) + 1
    specialist = Specialist(
        id=identity,
        name=f"{task.name}-v{version}",
        task_id=task.id,
        version=version,
        base=base,
        form=settings.form,
        files=tuned.files,
        digests=tuned.digests,
        settings=tuned.settings,
        lineage=tuned.lineage,
        report={"tuning": {**tuned.figures, **tried, "seconds": tuned.figures["seconds"] + tried.get("seconds", 0.0)}},
        max_tokens=tuned.max_tokens,
        serve_as=run.settings.serve_as,
        created=time.time(),
        copied=copied_in(curated.examples("train")) if task.kind in COPIES else (),
    )
    run.workspace.save_specialist(specialist)
    return specialist


@traced
def place(run: Run, specialist: Specialist) -> Specialist:
    """The specialist in the engine that is to serve it. A live one is stored so only when it has its new route."""
    kind = serve.choose(run.settings.engine, run.settings.serve_as)
    placed = kind.place(run.workspace, specialist, keep_alive=run.settings.keep_alive, progress=run.progress)
    if not placed.answers and placed != specialist:
        keep_record(run.workspace, placed)
    return placed


@traced
def served_alike(run: Run, specialist: Specialist, curated: Curated) -> tuple[Specialist, Parity]:
    """The specialist in its engine, and whether what is served there is what was tuned; if not, it may not serve.

    Weights that are less rounded are tried first, where the engine's kind has any: the result says which were taken and
    why.
    """
    specialist, refused_at = place(run, specialist), ""
    while True:
        key, compared = parity(run, specialist, curated)
        if compared.holds or not 0 < compared.n == compared.prompts:  # no weights make another prompt of it
            break
        finer = serve.engine_kind(specialist.engine).finer(run.workspace, specialist)
        if finer is None:
            break
        refused_at += f" As {serve.precision(specialist)}: {compared.reason}"
        specialist = place(run, finer)
    if refused_at:
        compared = replace(compared, reason=f"{serve.precision(specialist)} was taken: {compared.reason}{refused_at}")
        run.workspace.cache(key, compared.to_record())
        if not specialist.answers:
            keep_record(run.workspace, specialist)
    if not compared.holds:
        refuse(run.workspace, serve.remove(run.workspace, specialist))
    return specialist, compared


def parity(run: Run, specialist: Specialist, curated: Curated) -> tuple[str, Parity]:
    """Whether what is served is what was tuned, on validation calls; and the key that it is cached under.

    Cached under the engine's fingerprint: another engine or version is compared anew.
    """
    with contextlib.closing(serve.open_engine(run.workspace, specialist)) as engine:
        # The rule that was compared by is part of the key: what an older one refused is compared anew.
        key = f"parity:{measure.RULE}:{specialist.id}:{engine.fingerprint(specialist)}"
        cached = run.workspace.cached(key)
        if cached is not None:
            compared = evaluate.Parity(**cached)
        else:
            examples = curated.examples("validation")
            compared = measure.check_parity(run.workspace, run.task, specialist, engine, examples, run.progress)
            run.workspace.cache(key, compared.to_record())
    return key, compared


def advised(run: Run, specialist: Specialist, head: Specialist) -> Specialist:
    """A tuned model with a copy of this head for a second opinion, stored so; as it is where that cannot be had.

    Whether the opinion enters the model's confidence is decided where that is fitted: on validation calls.
    """
    try:
        with_opinion = serve.advised(run.workspace, specialist, head)
    except ProtegeError as error:
        log.warning("%s gets no second opinion: %s", specialist.name, error)
        return specialist
    if with_opinion != specialist:
        keep_record(run.workspace, with_opinion)
    return with_opinion


@traced
def validated(run: Run, specialist: Specialist, curated: Curated) -> list[Judged]:
    """The specialist's answers to the validation calls, with the confidences that are fitted to them."""
    with serve.open_engines(run.workspace, specialist) as many:
        asking = _asking(run, specialist, curated, many.fingerprint(specialist))
        judged = _answers_to(run, asking, curated, "validation", lambda: many)
    return evaluate.rescored(judged, asking.fitted(judged))


@dataclass(frozen=True)
class _Asking:
    """How a specialist is asked the held-out calls."""

    specialist: Specialist
    fingerprint: str
    """Of its engine."""
    plain: Scorer
    adviser: Adviser | None
    """Whom to ask for its second opinion."""
    advised_by: str
    """That one's fingerprint; "" without one."""

    def fitted(self, judged: Sequence[Judged]) -> Scorer:
        """The scorer that its answers to the validation calls give."""
        return evaluate.fit(judged, self.plain.novelty, self.advised_by)


def _asking(run: Run, specialist: Specialist, curated: Curated, fingerprint: str) -> _Asking:
    plain = Scorer.plain(novelty_from(run.task, specialist.form, curated.examples("train")))
    adviser = serve.adviser(run.workspace, specialist)
    advised_by = adviser.fingerprint(serve.head_of(specialist)) if adviser else ""
    return _Asking(specialist, fingerprint, plain, adviser, advised_by)


@traced
def answers(run: Run, specialist: Specialist, curated: Curated, promise: Promise) -> Answers:
    """What the specialist answers to every held-out call, through the kind of engine that is to serve it.

    The calibration calls are not asked if the validation calls show that the promise cannot be kept.
    """
    with contextlib.ExitStack() as running:
        alone = running.enter_context(serve.Replicas([serve.open_engine(run.workspace, specialist)]))
        asking = _asking(run, specialist, curated, alone.fingerprint(specialist))

        @functools.cache
        def many() -> Replicas:
            return running.enter_context(serve.open_engines(run.workspace, specialist))

        def part(name: str, engines: Callable[[], Replicas]) -> list[Judged]:
            return _answers_to(run, asking, curated, name, engines)

        # The test calls as agents are answered, one at a time: their latencies are reported.
        test = part("test", lambda: alone)
        validation = part("validation", many)
        scorer = asking.fitted(validation)
        validation = evaluate.rescored(validation, scorer)
        hopeless = refused(as_routed(validation, curated), pool_size(curated), promise)
        calibration = [] if hopeless else evaluate.rescored(part("calibration", many), scorer)
    return evaluate.Answers(asking.fingerprint, scorer, validation, calibration, evaluate.rescored(test, scorer))


def _answers_to(
    run: Run, asking: _Asking, curated: Curated, part: str, engines: Callable[[], Replicas]
) -> list[Judged]:
    """The specialist's answers to one part of the data set. Raises EngineError if the engines are not all alike."""
    specialist, grader = asking.specialist, grader_of(run.workspace, run.task)
    judged_by = hash_of(curated.hash, grader.name, *([asking.advised_by] if asking.advised_by else []))
    key = f"judged:{specialist.id}:{asking.fingerprint}:{part}:{judged_by}"
    cached = run.workspace.cached(key)
    if cached is not None:
        return evaluate.judged_from(cached)
    examples = curated.examples(part)
    corrections = run.workspace.corrections.of_calls({example.id for example in examples})
    engine, examples = engines(), evaluate.with_corrections(examples, corrections)
    with run.progress.step(f"{run.task.name}: answering {part} calls", len(examples)) as bar:
        judged = evaluate.answer_all(
            engine,
            specialist,
            run.task,
            examples,
            parallel=engine.count,
            grader=grader,
            bar=bar,
            scorer=asking.plain,
            adviser=asking.adviser,
            on_aside=run.workspace.quarantine.keep,
        )
    if engine.fingerprint(specialist) != asking.fingerprint:
        raise EngineError("Two engines of one specialist differ.", "Did its files change? `protege improve`.")
    run.workspace.cache(key, evaluate.judged_to(judged))
    return judged
