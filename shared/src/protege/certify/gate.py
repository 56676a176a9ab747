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
from typing import TYPE_CHECKING, Any

import orjson

from ..common.tracing import traced
from ..rollout.policy import policy_of
from ..specialist import Route, Specialist
from ..task import Task
from ..workspace import Workspace
from .guarantee import grid
from .ledger import spent_on

if TYPE_CHECKING:
    from ..curate import Curated
    from ..evaluate.judging import Answers
    from ..loop.settings import Settings

LEAST_SEEN = 5
"""Calibration calls of a wording, or a fiftieth of all."""


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
    from ..evaluate import evaluate
    from ..rollout.policy import grader_of
    from .guarantee import calibrate, hindsight_coverage, hopeless

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
