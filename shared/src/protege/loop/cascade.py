"""A cascade: what the specialist hands back, a larger one is asked before the teacher is.

    small specialist ── sure ──► its answer
         └── not sure ──► larger specialist ── sure ──► its answer
                               └── not sure ──► teacher

As in FrugalGPT (Chen, Zaharia, Zou, 2023; arXiv:2305.05176), with a promise: of all answers that the two keep, more
than ε disagree with probability δ at most. Each is certified at half of the δ that one alone would have. Where each
keeps its own promise so do both together, and one of them breaks its own with probability δ at most (a union bound).

The second is certified on the calibration calls that the first hands on. Which ones these are depends on the first
one's threshold, and that was found on calibration calls too: so only those are handed on that its finding never looked
at. The sequence of tests ended at the first threshold that failed; the answers below that one had no part in it, and
given where it ended they are a plain sample of what the route will see there. Calls between the two thresholds, about a
fiftieth of all, go to the teacher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ..certify import gate, ledger
from ..common.progress import Progress
from ..errors import ProtegeError
from ..rollout.lifecycle import canary, keep_record, promote, prune, refuse, taken_out
from ..rollout.policy import policy_of
from ..specialist import Base, Route, Specialist
from ..task import Task
from ..workspace import Workspace
from . import admit, steps
from .retraining import ENOUGH

if TYPE_CHECKING:
    from ..curate import Curated
    from ..evaluate import Judged
    from ..evaluate.judging import Answers
    from .settings import Improvement, Settings

LEAST = 0.1
"""Where costs are unknown, the share of a task's calls that a second specialist must keep."""


@dataclass(frozen=True)
class HandedOn:
    """What the second is asked, and is certified on.

    first, terms: the specialist before it and its route. curated: the data set, of whose held-out calls only these are
    left. share: of the calibration calls. below: they are those that the first answered, and not with so much
    confidence.
    """

    first: Specialist
    terms: Route
    curated: Curated
    share: float
    below: float


@dataclass(frozen=True)
class Second:
    """What became of the second specialist. answers: whether it answers now; reason: why, for people.

    share: of the task's calls, that is handed on to it. coverage: of these, what it is certified to keep. saving_usd:
    by each of these; None where costs are unknown.
    """

    reason: str
    specialist_id: str | None = None
    answers: bool = False
    share: float = 0.0
    coverage: float = 0.0
    saving_usd: float | None = None
    certificate: Mapping[str, Any] | None = None


def promise_of_each(settings: Settings) -> Settings:
    """The settings that each is certified by: with half of δ, where there are to be two."""
    return replace(settings, delta=settings.delta / 2) if settings.cascade else settings


def extended(
    workspace: Workspace,
    task: Task,
    curated: Curated,
    answers: Answers,
    found: Improvement,
    settings: Settings,
    progress: Progress,
) -> Improvement:
    """The improvement with a second specialist, where one is asked for, the first is live and leaves enough to it.

    Whatever stands in the way of the second is a part of the reason; the first goes on.
    """
    first = next((s for s in workspace.specialists(task_id=task.id) if s.id == found.specialist_id), None)
    if not settings.cascade or first is None or first.state != "live":
        return found
    if found.figures["certified_coverage"] >= ENOUGH:
        return found
    try:
        handed = handed_on(workspace, task, first, curated, answers, settings)
        second = _second(workspace, task, curated, handed, settings, progress)
    except ProtegeError as error:
        second = Second(f"No second specialist: {error}")
    reason = f"{found.reason} {second.reason}"
    return replace(found, reason=reason, figures={**found.figures, "cascade": asdict(second)})


def handed_on(
    workspace: Workspace, task: Task, first: Specialist, curated: Curated, answers: Answers, settings: Settings
) -> HandedOn:
    """Of the held-out calls those that the first hands on; of calibration, of those that its decision was taken on."""
    terms = workspace.routes()[first.id]
    below = ((first.report or {}).get("certificate") or {}).get("failed") or 0.0
    spent = ledger.spent_on(workspace, task, first, curated, answers, promise_of_each(settings)).calls
    asked = [one for one in (*answers.validation, *spent, *answers.test) if is_handed_on(one, below)]
    rest = curated.held_out({one.call_id for one in asked})
    return HandedOn(first, terms, rest, len(rest.calibration) / max(1, len(spent)), below)


def is_handed_on(one: Judged, below: float) -> bool:
    """Whether the live route asks the next one, too. Not where nothing came back: the route's time, or the engine's
    trouble, is the reason then, or what cannot be shown."""
    return one.latency_ms is not None and not one.kept_at(below)


def _second(
    workspace: Workspace, task: Task, curated: Curated, handed: HandedOn, settings: Settings, progress: Progress
) -> Second:
    """The steps of the loop, once more: from the same data set, measured on what is handed on."""
    from ..serve import check_room

    base, promise = _base(workspace, settings), promise_of_each(settings)
    if reason := _unfit(base, handed, promise):
        return Second(f"No second specialist: {reason}", share=handed.share)
    specialist = steps.tune(workspace, task, curated, base, settings, progress)
    specialist = steps.place(workspace, specialist, settings, progress)
    check_room(workspace, [handed.first, specialist])
    parity = steps.parity(workspace, task, specialist, curated, progress)
    if not parity.holds:
        return Second(f"{specialist.name}: {parity.reason}", specialist.id, share=handed.share)
    answers = steps.answers(workspace, task, specialist, handed.curated, promise, progress)
    figures = gate.certify(workspace, task, specialist, handed.curated, answers, promise, beside=1)
    figures["parity"] = parity.to_record()
    second = judged(workspace, task, specialist, handed, figures)
    specialist = replace(specialist, report={**(specialist.report or {}), **figures, "cascade": asdict(second)})
    if second.answers:
        second = let_in(workspace, task, specialist, handed, second, settings)
    else:
        refuse(workspace, specialist)
    prune(workspace, task.id, settings.keep_versions)
    return second


def _base(workspace: Workspace, settings: Settings) -> Base:
    from ..select import base_named

    return base_named(settings.cascade or "", workspace.home)


def _unfit(base: Base, handed: HandedOn, promise: Settings) -> str | None:
    """Why there is no use in tuning one."""
    from ..certify import calls_needed

    if base.sha256 == handed.first.base.sha256:
        return f"{handed.first.name} was tuned from {base.name} already. Name a larger base."
    has, least = len(handed.curated.calibration), calls_needed(0, promise.epsilon, promise.delta)
    if has >= least:
        return None
    more = f", which takes about {round((least - has) / handed.share):,} more calibration calls" if handed.share else ""
    return f"{handed.first.name} hands on {has} calibration calls, and {least - has} are missing at the least{more}."


def judged(
    workspace: Workspace, task: Task, specialist: Specialist, handed: HandedOn, figures: Mapping[str, Any]
) -> Second:
    """Whether it is certified, in time, and saves."""
    certificate, coverage = figures["certificate"], figures["certified_coverage"]
    saving = saving_usd(workspace, task, coverage, figures["evaluation"]["latency_p50_ms"])
    second = Second("", specialist.id, False, handed.share, coverage, saving, certificate)
    if certificate["threshold"] is None:
        return replace(
            second, reason=f"{specialist.name}, on what {handed.first.name} hands on: {certificate['reason']}"
        )
    if late := _late(workspace, handed, figures):
        return replace(second, reason=f"{specialist.name} does not answer: {late}")
    said = f"{specialist.name} keeps {coverage:.0%} of the {handed.share:.0%} that {handed.first.name} hands on"
    if saving is None:
        saves = coverage * handed.share >= LEAST
        why = f"; without a price of the teacher's, at least {LEAST:.0%} of all calls must be."
        return replace(second, answers=saves, reason=f"{said}{'.' if saves else why}")
    each = f"{'saves' if saving > 0 else 'costs'} ${abs(saving) * 1000:.2g} for a thousand of them"
    return replace(second, answers=saving > 0, reason=f"{said} and {each}.")


def saving_usd(workspace: Workspace, task: Task, coverage: float, latency_ms: float | None) -> float | None:
    """US dollars that each call saves which is handed on: what the teacher costs, for those kept, less the time of this
    machine, for all. None where a cost is unknown."""
    from ..cluster.worth import MACHINE_USD_PER_HOUR, teacher_usd

    teacher = teacher_usd(task, (workspace.result("teacher") or {}).get("price_as"))
    if teacher is None or latency_ms is None:
        return None
    return coverage * teacher - latency_ms / 3_600_000 * MACHINE_USD_PER_HOUR


def _late(workspace: Workspace, handed: HandedOn, figures: Mapping[str, Any]) -> str | None:
    limit_ms = policy_of(workspace, handed.terms.task_id).latency_ms
    before = ((handed.first.report or {}).get("evaluation") or {}).get("latency_p95_ms") or 0.0
    both = before + (figures["evaluation"]["latency_p95_ms"] or 0.0)
    if limit_ms is None or both <= limit_ms:
        return None
    return f"both one after the other take {both:.0f} ms or more for some calls, and the policy allows {limit_ms:.0f}."


def let_in(
    workspace: Workspace, task: Task, specialist: Specialist, handed: HandedOn, second: Second, settings: Settings
) -> Second:
    """Let it answer beside the first. Staged, a share of the runs first: the shadow would ask it about all calls."""
    from ..serve import describe, unload

    figures = specialist.report or {}
    own = gate.terms_from(workspace, task, specialist, handed.curated, figures)
    terms = replace(
        own,
        delta=handed.terms.delta + own.delta,
        after=handed.first.id,
        below=handed.below,
        rests_on=handed.terms.identity,
        takes_s=(figures["evaluation"]["latency_p95_ms"] or 0.0) / 1000,
    )
    specialist = describe(workspace, specialist)
    if taken_out(workspace, specialist):
        keep_record(workspace, specialist, terms)
        unload(specialist)
        why = f"{specialist.name} was taken out of service. `protege promote {specialist.name}` lets it answer."
        return replace(second, answers=False, reason=why)
    if settings.rollout == "direct":
        promote(workspace, specialist, terms, second.reason)
    elif not admit.stands(workspace, specialist, terms):
        canary(workspace, specialist, second.reason, terms=terms)
    return second
