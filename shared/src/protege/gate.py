"""The gate: what a specialist's held-out answers certify, and what follows for who answers.

δ is spent with every decision. The first on a set of calibration calls has all of it: P(disagreement among kept > ε) ≤
δ. Whoever looks at the same calls again, to certify a retrained specialist, another engine or another ε, has seen what
came of them, and chooses by it. So a later decision is taken on calls that none has used, where those are half of the
calibration calls or more; else on all of them with δ/4, the next with δ/16, and so on. What bears on a later decision
is which of the earlier ones passed: 2 ** k histories before the k-th, and each may choose another specialist. The
chance that any route certified on these calls breaks its promise is then at most the sum of 2 ** k · δ / 4 ** k, which
is 2 δ (a union bound over histories), however many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from .hashing import hash_of
from .lifecycle import keep_record, promote, prune, shadow, taken_out, terms_of
from .policy import policy_of
from .specialist import Route, Specialist
from .task import Task
from .tracing import traced
from .workspace import Workspace

if TYPE_CHECKING:
    from .curate import Curated
    from .evaluate import Judged
    from .flywheel import Settings
    from .steps import Answers

FRESH = 0.5
LEAST_SEEN = 5
"""Calibration calls of a wording, or a fiftieth of all."""
WORSE = 0.9
"""A new specialist that keeps less than this part of what the old one keeps does not take its place."""


@dataclass(frozen=True)
class Spent:
    """The calibration calls of a decision, and the δ that it may spend on them."""

    calls: Sequence[Judged]
    delta: float


def spend(
    workspace: Workspace, task: Task, answers: Answers, of: Sequence[Any], delta: float, beside: int = 0
) -> Spent:
    """The calls and the δ of this decision, which `of` names; asked again, the same as the first time. beside: so many
    of those before it have not looked at these calls, though they are recorded for them (`cascade`).

    Kept before anything is decided: what was looked at is spent, also where the process is killed then.
    """
    key, decisions = hash_of(*of), list[dict[str, Any]](workspace.result(f"decisions:{task.id}") or [])
    ids = [one.call_id for one in answers.calibration]
    known: dict[str, Any] | None = next((d for d in decisions if d["key"] == key), None)
    if known is None:
        used = {call for decision in decisions for call in decision["calls"]}
        fresh = [call for call in ids if call not in used]
        if len(fresh) >= FRESH * len(ids):
            known = {"key": key, "calls": fresh, "delta": delta}
        else:
            again = sum(not set(ids).isdisjoint(decision["calls"]) for decision in decisions)
            known = {"key": key, "calls": ids, "delta": delta / 4 ** max(0, again - beside)}
        workspace.save_result(f"decisions:{task.id}", [*decisions, known])
    chosen = set(known["calls"])
    return Spent([one for one in answers.calibration if one.call_id in chosen], known["delta"])


def spent_on(
    workspace: Workspace,
    task: Task,
    specialist: Specialist,
    curated: Curated,
    answers: Answers,
    settings: Settings,
    beside: int = 0,
) -> Spent:
    """The calls and the δ of the decision about this specialist, in this engine, on this data set, for this promise."""
    from .steps import grader_of

    scorer, grader = answers.scorer.to_record(), grader_of(workspace, task).name
    of = (specialist.id, answers.fingerprint, curated.hash, grader, scorer, settings.epsilon, settings.delta)
    return spend(workspace, task, answers, of, settings.delta, beside)


@traced
def certify(
    workspace: Workspace,
    task: Task,
    specialist: Specialist,
    curated: Curated,
    answers: Answers,
    settings: Settings,
    beside: int = 0,
) -> dict[str, Any]:
    """The figures of an improvement: agreement on test calls, and the threshold that calibration calls certify.

    Coverage in hindsight is of the calibration calls; of the test calls where those were not asked. beside: see
    `spend`.
    """
    from .evaluate import evaluate
    from .route import calibrate, hindsight_coverage, hopeless
    from .steps import grader_of

    epsilon = settings.epsilon
    levels = grid(answers.validation, curated, settings)
    certificate = hopeless(answers.validation, levels, epsilon=epsilon)
    if certificate is None:
        spent = spent_on(workspace, task, specialist, curated, answers, settings, beside)
        certificate = calibrate(spent.calls, levels, epsilon=epsilon, delta=spent.delta)
    evaluation = evaluate(
        answers.test, grader_of(workspace, task), threshold=certificate.threshold, rows=curated.test.to_list()
    )
    return {
        "evaluation": evaluation.to_record(),
        "certificate": certificate.to_record(),
        "certified_coverage": certificate.coverage,
        "hindsight_coverage": hindsight_coverage(answers.calibration or answers.test, epsilon),
        "fingerprint": answers.fingerprint,
        "scorer": answers.scorer.to_record(),
        "ceiling": curated.provenance.get("agreement"),
        "calls": dict(curated.provenance["counts"]),
        "confidences": [(j.confidence, j.agreed) for j in answers.test if j.confidence is not None],
    }


def grid(validation: Sequence[Judged], curated: Curated, settings: Settings) -> tuple[float, ...]:
    """The thresholds to test: known before any calibration call is."""
    from .route import grid_from

    calls = len(curated.calibration)
    return grid_from(validation, calibration_calls=calls, epsilon=settings.epsilon, delta=settings.delta)


@traced
def route(
    workspace: Workspace,
    task: Task,
    specialist: Specialist,
    curated: Curated,
    figures: Mapping[str, Any],
    settings: Settings,
) -> tuple[bool, str]:
    """Let the specialist answer, or go into the shadow, where the gate lets it pass; whether it answers, and why."""
    from .serve import describe, unload
    from .steps import refuse
    from .watch import close_reason

    specialist = describe(workspace, replace(specialist, report={**(specialist.report or {}), **figures}))
    if objection := _objection(workspace, task, specialist, figures):
        refuse(workspace, specialist)
        prune(workspace, task.id, settings.keep_versions)
        return False, objection
    terms, why = terms_from(workspace, task, specialist, curated, figures), figures["certificate"]["reason"]
    if taken_out(workspace, specialist):
        keep_record(workspace, specialist, terms)
        unload(specialist)
        return False, f"{specialist.name} was taken out of service. `protege promote {specialist.name}` lets it answer."
    close_reason(workspace, task.id, (workspace.result(f"data:{task.id}") or {}).get("time"))
    if settings.rollout == "direct":
        promote(workspace, specialist, terms, why)
    elif not stands(workspace, specialist, terms):
        shadow(workspace, specialist, terms, why)
    prune(workspace, task.id, settings.keep_versions)
    now = next(s for s in workspace.specialists(task_id=task.id) if s.id == specialist.id)
    return now.answers, why if now.answers else f"{why} It is compared in the shadow before it answers."


def _objection(workspace: Workspace, task: Task, specialist: Specialist, figures: Mapping[str, Any]) -> str | None:
    """Why the gate does not let it pass."""
    certificate, evaluation = figures["certificate"], figures["evaluation"]
    if certificate["threshold"] is None:
        return certificate["reason"]
    limit_ms, took_ms = policy_of(workspace, task.id).latency_ms, evaluation["latency_p95_ms"]
    if limit_ms is not None and took_ms is not None and took_ms > limit_ms:
        return f"One answer in 20 takes {took_ms:.0f} ms or more, and the policy allows {limit_ms:.0f}."
    return _worse(workspace, specialist, figures)


def _worse(workspace: Workspace, specialist: Specialist, figures: Mapping[str, Any]) -> str | None:
    """Where the one that is live keeps clearly more, on the same promise and as far as is known still."""
    from .watch import reason_of

    certificate, certified = figures["certificate"], workspace.routes()
    mine = workspace.specialists(task_id=specialist.task_id)
    alone = [s for s in mine if s.id != specialist.id and s.id in certified and not certified[s.id].after]
    live = next((s for s in alone if s.state == "live"), None)
    if live is None or reason_of(workspace, specialist.task_id) is not None:
        return None
    older = certified[live.id]
    coverage = older.kept / older.calibration_calls if older.calibration_calls else 0.0
    if older.epsilon > certificate["epsilon"] or figures["certified_coverage"] >= WORSE * coverage:
        return None
    return f"It keeps {figures['certified_coverage']:.0%} of the calls and {live.name} {coverage:.0%}."


def stands(workspace: Workspace, specialist: Specialist, terms: Route) -> bool:
    """Whether it is on its way already, or there, on these terms."""
    stored = next((s for s in workspace.specialists(task_id=specialist.task_id) if s.id == specialist.id), specialist)
    if stored.state not in ("shadow", "canary", "live"):
        return False
    return terms_of(workspace, specialist).identity == terms.identity


def terms_from(
    workspace: Workspace, task: Task, specialist: Specialist, curated: Curated, figures: Mapping[str, Any]
) -> Route:
    """The route that these figures certify."""
    certificate, calibration = figures["certificate"], curated.calibration
    answered = [orjson.loads(request) for request in calibration["request"]]
    teachers = Counter(str(model) for call in answered if (model := call.get("answered_by") or call.get("model")))
    labels = Counter(calibration["answer"]) if task.kind == "label" else Counter[str]()
    return Route(
        task_id=specialist.task_id,
        specialist_id=specialist.id,
        threshold=certificate["threshold"],
        fingerprint=figures["fingerprint"],
        epsilon=certificate["epsilon"],
        delta=certificate["delta"],
        calibration_calls=certificate["n"],
        kept=certificate["kept"],
        errors=certificate["errors"],
        signatures=_wordings(calibration["signature"]),
        scorer=figures["scorer"],
        teachers=tuple(teacher for teacher, _ in teachers.most_common()),
        labels={label: count / len(calibration) for label, count in labels.items()},
        grader=policy_of(workspace, task.id).grader,
    )


def _wordings(signatures: Sequence[str]) -> tuple[str, ...]:
    """The wordings that calibration speaks of: one that was seen a few times may well be another matter."""
    counts = Counter(signatures)
    least = min(LEAST_SEEN, 0.02 * len(signatures))
    return tuple(sorted(signature for signature, count in counts.items() if count >= least))
