"""The gate: what a specialist's held-out answers certify, and the route that follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import evaluate
from ..asking.confidence import Scorer
from ..common.hashing import hash_of
from ..common.tracing import traced
from ..rollout.policy import grader_of, policy_of
from ..rollout.stages import certificate_of
from ..specialist import TIMEOUT_S, Route, Specialist
from ..task import Task
from ..workspace import Workspace
from .certificate import Certificate, hindsight_coverage
from .ledger import Spent, spend
from .plug_in import PlugIn, plug_in
from .promise import Promise
from .scan import refused_early, scan
from .sequence import calibrate, early_refusal, grid_from

if TYPE_CHECKING:
    from ..curate import Curated
    from ..evaluate import Answers, Evaluation, Judged, Parity

LEAST_SEEN = 5
"""Calibration calls of a wording, or a fiftieth of all: with fewer, the result may not hold for that wording."""
FOLDS = 20
"""Of the cross-fitting that tells what a threshold found on other calls keeps. With few folds the rest is so much
smaller than the whole that it certifies less."""


@dataclass(frozen=True)
class Candidate:
    """A specialist with all that is known about it before it is certified."""

    task: Task
    specialist: Specialist
    curated: Curated
    """Its data set; of the second in a cascade, only the held-out calls that the first hands on."""
    parity: Parity
    answers: Answers
    """Its answers to the held-out calls of `curated`."""


@dataclass(frozen=True)
class Figures:
    """What was measured of a specialist, and what that certifies."""

    evaluation: Evaluation
    """Of its answers to the calibration and test calls; to the test calls alone if the others were not asked."""
    certificate: Certificate
    hindsight_coverage: float
    """What an oracle would have kept of these calls."""
    fingerprint: str
    """Of the engine that answered."""
    scorer: Scorer
    ceiling: Mapping[str, Any] | None
    """How far the teacher agreed with itself on prompts that were recorded more than once."""
    structure: float | None
    """The share of the teacher's answers to these calls that have the task's structure; None if that was not counted.
    `Evaluation.valid` is the specialist's, before the gate, which keeps no other."""
    calls: Mapping[str, int]
    """Calls in each part of the data set."""
    confidences: Sequence[tuple[float, bool]]
    """Of each of these answers that has one: its confidence, and whether it agreed."""
    parity: Parity
    plug_in: PlugIn | None = None
    """Where no threshold is certified, the one that the shadow may show."""

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "evaluation": self.evaluation.to_record(),
            "certificate": self.certificate.to_record(),
            "certified_coverage": self.certificate.coverage,
            "hindsight_coverage": self.hindsight_coverage,
            "fingerprint": self.fingerprint,
            "scorer": self.scorer.to_record(),
            "ceiling": self.ceiling,
            "structure": self.structure,
            "calls": dict(self.calls),
            "confidences": list(self.confidences),
            "parity": self.parity.to_record(),
            "plug_in": self.plug_in.to_record() if self.plug_in else None,
        }


@traced
def certify(workspace: Workspace, candidate: Candidate, promise: Promise, beside: int = 0) -> Figures:
    """The figures of a candidate: its agreement on held-out calls, and the threshold that they certify.

    The calibration and the test calls are one pool here: neither trained the specialist or its confidence, and nothing
    was chosen by them. Spends δ from the task's ledger, unless the validation calls show that no threshold would pass.
    beside: see `ledger.spend`.
    """
    answers, curated = candidate.answers, candidate.curated
    validation = as_routed(answers.validation, curated)
    held_out, kept, proposed = [*answers.calibration, *answers.test], None, None
    certificate = refused(validation, pool_size(curated), promise)
    if certificate is None:
        limit_ms = waits_ms(workspace, candidate)
        spent = spent_on(workspace, candidate, promise, beside)
        promise = replace(promise, delta=spent.delta)  # a later decision has fewer calls, or less of δ
        calls = as_routed(in_time(spent.calls, limit_ms), curated)
        certificate = decided(calls, validation, promise)
        if certificate.threshold is not None:
            kept = cross_fitted(calls, validation, promise, certificate.threshold)
        elif promise.scanned:
            proposed = plug_in(as_routed(in_time(held_out, limit_ms), curated), promise)
    figures = Figures(
        evaluation=evaluate.evaluate(
            held_out,
            grader_of(workspace, candidate.task),
            threshold=certificate.threshold,
            kept=kept,
            timed=answers.test,
            examples=[*curated.examples("calibration"), *curated.examples("test")],
        ),
        certificate=certificate,
        hindsight_coverage=hindsight_coverage(held_out, promise.epsilon, promise.of_all),
        fingerprint=answers.fingerprint,
        scorer=answers.scorer,
        ceiling=curated.provenance.get("agreement"),
        structure=curated.provenance.get("structure"),
        calls=curated.provenance["counts"],
        confidences=[(j.confidence, j.agreed) for j in held_out if j.confidence is not None],
        parity=candidate.parity,
        plug_in=proposed,
    )
    return _as_shown(workspace, candidate, figures)


def _as_shown(workspace: Workspace, candidate: Candidate, figures: Figures) -> Figures:
    """The figures with the certificate of the shadow, if that has shown the threshold which they propose."""
    stored = workspace.routes().get(candidate.specialist.id)
    if stored is None or stored.proof != "shadow" or figures.plug_in is None:
        return figures
    if stored.terms != route_from(workspace, candidate, figures).terms:
        return figures  # another engine, confidence, wording or promise: what was shown is another route
    return replace(figures, certificate=Certificate(**certificate_of(stored)), plug_in=None)


def pool_size(curated: Curated) -> int:
    """The number of calls that a certificate may rest on: calibration and test calls are one pool."""
    return len(curated.calibration) + len(curated.test)


def refused(validation: Sequence[Judged], n: int, promise: Promise) -> Certificate | None:
    """The refusal that needs no held-out call, of which there are n; None if a threshold may pass."""
    if promise.scanned:
        return refused_early(validation, promise)
    return early_refusal(validation, _grid(validation, n, promise), epsilon=promise.epsilon)


def decided(calls: Sequence[Judged], validation: Sequence[Judged], promise: Promise) -> Certificate:
    """What these calls certify."""
    if promise.scanned:
        return scan(calls, promise)
    grid = _grid(validation, len(calls), promise)
    return calibrate(calls, grid, epsilon=promise.epsilon, delta=promise.delta)


def _grid(validation: Sequence[Judged], n: int, promise: Promise) -> tuple[float, ...]:
    return grid_from(validation, calibration_calls=n, epsilon=promise.epsilon, delta=promise.delta)


def cross_fitted(
    calls: Sequence[Judged], validation: Sequence[Judged], promise: Promise, threshold: float
) -> evaluate.Kept:
    """What a threshold keeps that was found on other calls: each twentieth is kept by what the rest certify.

    The counts at `threshold` itself flatter it, since it was chosen by them.
    """
    kept: list[Judged] = []
    for fold in range(FOLDS):
        rest = [call for i, call in enumerate(calls) if i % FOLDS != fold]
        found = decided(rest, validation, promise).threshold
        kept += [call for call in calls[fold::FOLDS] if found is not None and call.kept_at(found)]
    return evaluate.kept_figures(kept, len(calls), threshold)


def independent(judged: Sequence[Judged], curated: Curated) -> list[Judged]:
    """One call of each group, drawn by its id: calls of one run, or near-duplicates, tend to go wrong together.

    What is certified of these holds for a call drawn from a group drawn at random, whatever the groups' sizes are.
    """
    parts = (curated.parts[name] for name in ("calibration", "test"))
    group_of = {call_id: group for part in parts for call_id, group in zip(part["id"], part["group"], strict=True)}
    drawn: dict[str, str] = {}
    for call_id in sorted(group_of, key=hash_of):
        drawn.setdefault(group_of[call_id], call_id)
    chosen = set(drawn.values())
    return [answer for answer in judged if answer.call_id in chosen]


def as_routed(judged: Sequence[Judged], curated: Curated) -> list[Judged]:
    """The answers as the live route treats them: one to a call of a wording that will not be live is handed back.

    If they counted as kept, rare wordings could certify a threshold that the common wordings fail.
    """
    live = live_calls(curated)
    return [j if j.call_id in live else replace(j, valid=False, confidence=None) for j in judged]


def in_time(judged: Sequence[Judged], limit_ms: float) -> list[Judged]:
    """The answers as they count where an agent waits so long, in ms: a right one that took longer is handed back.

    A wrong one that took longer counts as kept. So what is certified holds whichever of the slow ones come in time.
    """
    return [replace(j, valid=False, confidence=None) if j.agreed and _late(j, limit_ms) else j for j in judged]


def _late(answer: Judged, limit_ms: float) -> bool:
    return answer.latency_ms is not None and answer.latency_ms > limit_ms


def waits_ms(workspace: Workspace, candidate: Candidate) -> float:
    """How long an agent waits for an answer of the candidate, in milliseconds."""
    return policy_of(workspace, candidate.task.id).latency_ms or 1_000 * TIMEOUT_S


def live_calls(curated: Curated) -> set[str]:
    """The ids of the held-out calls whose wording will be live."""
    live = live_wordings(curated)
    parts = (curated.parts[name] for name in ("validation", "calibration", "test"))
    pairs = (pair for part in parts for pair in zip(part["id"], part["signature"], strict=True))
    return {call_id for call_id, signature in pairs if signature in live}


def live_wordings(curated: Curated) -> tuple[str, ...]:
    """The wordings (`chat.prompt.wording_of`) that stand often enough among the calibration calls to speak for."""
    signatures = curated.calibration["signature"]
    counts = Counter(signatures)
    least = min(LEAST_SEEN, 0.02 * len(signatures))
    return tuple(sorted(signature for signature, count in counts.items() if count >= least))


def route_from(workspace: Workspace, candidate: Candidate, figures: Figures) -> Route:
    """The route that these figures certify, or that they propose to the shadow.

    Raises ValueError if they do neither.
    """
    certificate, calibration = figures.certificate, candidate.curated.examples("calibration")
    chosen = certificate if certificate.threshold is not None else figures.plug_in
    if chosen is None or chosen.threshold is None:
        raise ValueError("no threshold is certified")
    asked = [example.call for example in calibration]
    teachers = Counter(model for call in asked if (model := call.answered_by or call.model))
    is_label = candidate.task.kind == "label"
    labels = Counter(example.answer for example in calibration) if is_label else Counter[str]()
    return Route(
        task_id=candidate.task.id,
        specialist_id=candidate.specialist.id,
        threshold=chosen.threshold,
        fingerprint=figures.fingerprint,
        epsilon=chosen.epsilon,
        delta=chosen.delta,
        calibration_calls=chosen.n,
        kept=chosen.kept,
        errors=chosen.errors,
        signatures=live_wordings(candidate.curated),
        scorer=figures.scorer.to_record(),
        teachers=tuple(teacher for teacher, _ in teachers.most_common()),
        labels={label: count / len(calibration) for label, count in labels.items()},
        grader=policy_of(workspace, candidate.task.id).grader,
        takes_s=(figures.evaluation.latency_p95_ms or 0.0) / 1000,
        epsilon_all=chosen.epsilon_all,
        proof="owed" if chosen is figures.plug_in else certificate.proof,
    )


def spent_on(workspace: Workspace, candidate: Candidate, promise: Promise, beside: int = 0) -> Spent:
    """What the decision about this specialist, in this engine, on this data set, for this promise, may look at."""
    answers, grader = candidate.answers, grader_of(workspace, candidate.task).name
    made_from = (candidate.specialist.id, answers.fingerprint, candidate.curated.hash, grader)
    calls = independent([*answers.calibration, *answers.test], candidate.curated)
    limit_ms = waits_ms(workspace, candidate)
    late = [answer.call_id for answer in calls if _late(answer, limit_ms)]  # another limit is another decision
    said = [(j.call_id, j.correction) for j in calls if j.correction]  # judged otherwise, it is another look
    told = [found for found in (late, said) if found]
    decision = hash_of(*made_from, answers.scorer.to_record(), promise.to_record(), *told)
    return spend(workspace, candidate.task.id, decision, calls, promise.delta, beside)
