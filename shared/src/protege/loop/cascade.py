"""A cascade: what the specialist hands back, a larger one is asked before the teacher is.

    small specialist ── sure ──► its answer
         └── not sure ──► larger specialist ── sure ──► its answer
                               └── not sure ──► teacher

As in FrugalGPT (Chen, Zaharia, Zou, 2023; arXiv:2305.05176), with a promise: more than ε of all the answers that the
two keep disagree with probability δ at most. Each is certified at half of the δ that one alone would have. If each
keeps its own promise, so do both together, and one of them breaks its own with probability δ at most (a union bound).

The second is certified on the held-out calls that the first hands on. Which calls these are depends on the first one's
threshold, and that was found on held-out calls too. So only those calls are handed on that the search for the threshold
never looked at. The first one's threshold comes from a fixed sequence of tests, which ended at the first threshold that
failed; the answers below that one had no part in it, and given where it ended they are a plain sample of what the route
will see there. Calls between the two thresholds, about a fiftieth of all, go to the teacher. The second one's may come
from the scan of all thresholds, which looks at everything: nothing is handed on after it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from .. import select as selecting
from .. import serve
from ..certify import Candidate, Figures, Promise, calls_needed, certify, live_calls, pool_size, route_from, spent_on
from ..errors import ProtegeError
from ..rollout.lifecycle import canary, keep_record, promote, prune, refuse, taken_out
from ..rollout.policy import policy_of
from ..specialist import Base, Route, Specialist
from ..tune import TuneSettings, tuner_named
from . import steps
from .admit import is_in_service
from .contest import HEAD
from .retraining import ENOUGH
from .run import Improvement, Run, Second
from .worth import saving_usd

if TYPE_CHECKING:
    from ..curate import Curated
    from ..evaluate import Judged

LEAST = 0.1
"""If costs are unknown, the share of a task's calls that a second specialist must keep."""


@dataclass(frozen=True)
class HandedOn:
    """What the second is asked, and is certified on."""

    first: Specialist
    route: Route
    """The first one's."""
    curated: Curated
    """The data set, with only those held-out calls that the first hands on."""
    share: float
    """Of the calls that the first was certified on, the share handed on."""
    below: float
    """Handed on is what the first answered with less confidence than this."""


def extended(run: Run, first: Candidate, improvement: Improvement) -> Improvement:
    """The improvement with a second specialist, if one is asked for, the first is live and leaves enough to it.

    Whatever stands in the way of the second becomes a part of the reason; the first goes on.
    """
    figures = improvement.figures
    live = run.workspace.specialist(first.specialist.id)
    if not run.settings.cascade or figures is None or live is None or live.state != "live":
        return improvement
    if run.settings.epsilon_all is not None:
        reason = f"{improvement.reason} No second specialist: a promise of all calls is made for one alone."
        return replace(improvement, reason=reason)
    if figures.certificate.threshold is None or figures.certificate.coverage >= ENOUGH:
        return improvement
    try:
        second = _second(run, first, handed_on(run, replace(first, specialist=live)))
    except ProtegeError as error:
        second = Second(f"No second specialist: {error}")
    return replace(improvement, reason=f"{improvement.reason} {second.reason}", second=second)


def handed_on(run: Run, first: Candidate) -> HandedOn:
    """Of the held-out calls those that the first hands on; of calibration and test, of those it was certified on."""
    route, answers = run.workspace.routes()[first.specialist.id], first.answers
    below = ((first.specialist.report or {}).get("certificate") or {}).get("failed") or 0.0
    spent = spent_on(run.workspace, first, run.settings.promise).calls
    live = live_calls(first.curated)
    judged = [j for j in (*answers.validation, *spent) if j.call_id in live]
    # A call without the second opinion that the first needs goes to the teacher.
    asked = [j for j in judged if not answers.scorer.adviser or "second" in (j.features or {})]
    rest = first.curated.held_out({answer.call_id for answer in asked if is_handed_on(answer, below)})
    return HandedOn(first.specialist, route, rest, pool_size(rest) / max(1, len(spent)), below)


def is_handed_on(answer: Judged, below: float) -> bool:
    """Whether the live route asks the next one, too.

    Not if nothing came back: the reason is then the route's time, the engine's trouble, or a call that cannot be shown.
    """
    return answer.latency_ms is not None and not answer.kept_at(below)


def _second(run: Run, first: Candidate, handed: HandedOn) -> Second:
    """The steps of the loop once more: from the same data set, measured on what is handed on."""
    workspace, promise = run.workspace, replace(run.settings.promise, scanned=True)
    base = selecting.base_named(run.settings.cascade or "", workspace.home)
    if reason := _unfit(base, handed, promise):
        return Second(f"No second specialist: {reason}", share=handed.share)
    run = _making_models(run)
    specialist, parity = steps.served_alike(run, steps.tune(run, first.curated, base), first.curated)
    serve.check_room(workspace, [handed.first, specialist])
    if not parity.holds:
        return Second(f"{specialist.name}: {parity.reason}", specialist.id, share=handed.share)
    if handed.first.settings.get("method") == HEAD and handed.first.form == specialist.form:
        specialist = steps.advised(run, specialist, handed.first)
    answers = steps.answers(run, specialist, handed.curated, promise)
    candidate = Candidate(run.task, specialist, handed.curated, parity, answers)
    figures = certify(workspace, candidate, promise, beside=1)
    second = decided(run, specialist, handed, figures)
    report = {**(specialist.report or {}), **figures.to_record(), "cascade": asdict(second)}
    candidate = replace(candidate, specialist=replace(specialist, report=report))
    if second.answers:
        second = let_in(run, candidate, handed, figures, second)
    else:
        refuse(workspace, candidate.specialist)
    prune(workspace, run.task.id, run.settings.keep_versions)
    return second


def _making_models(run: Run) -> Run:
    """The run as a second specialist is made: a model is tuned, whatever the first is."""
    tune = run.settings.tune or TuneSettings()
    if tuner_named(tune.method).base is None:
        return run
    engine = serve.choose("auto", "merged").name
    tune = replace(tune, method=TuneSettings().method).decided()
    return replace(run, settings=replace(run.settings, tune=tune, serve_as="merged", engine=engine))


def _unfit(base: Base, handed: HandedOn, promise: Promise) -> str | None:
    """Why there is no use in tuning one; None if there is."""
    if base.sha256 == handed.first.base.sha256:
        return f"{handed.first.name} was tuned from {base.name} already. Name a larger base."
    has, least = pool_size(handed.curated), calls_needed(0, promise.epsilon, promise.delta)
    if has >= least:
        return None
    more = f", which takes about {round((least - has) / handed.share):,} more held-out calls" if handed.share else ""
    return f"{handed.first.name} hands on {has} held-out calls, and {least - has} are missing at the least{more}."


def decided(run: Run, specialist: Specialist, handed: HandedOn, figures: Figures) -> Second:
    """Whether the second may answer: certified, in time, and worth its cost."""
    certificate, coverage = figures.certificate, figures.certificate.coverage
    saving = saving_usd(run, coverage, figures.evaluation.latency_p50_ms)
    second = Second("", specialist.id, False, handed.share, coverage, saving, certificate.to_record())
    if certificate.threshold is None:
        reason = f"{specialist.name}, on what {handed.first.name} hands on: {certificate.reason}"
        return replace(second, reason=reason)
    if late := _late(run, handed, figures):
        return replace(second, reason=f"{specialist.name} does not answer: {late}")
    keeps = f"{specialist.name} keeps {coverage:.0%} of the {handed.share:.0%} that {handed.first.name} hands on"
    if saving is None:
        saves = coverage * handed.share >= LEAST
        why = f"; without a price of the teacher's, at least {LEAST:.0%} of all calls must be."
        return replace(second, answers=saves, reason=f"{keeps}{'.' if saves else why}")
    each = f"{'saves' if saving > 0 else 'costs'} ${abs(saving) * 1000:.2g} for a thousand of them"
    return replace(second, answers=saving > 0, reason=f"{keeps} and {each}.")


def _late(run: Run, handed: HandedOn, figures: Figures) -> str | None:
    limit_ms = policy_of(run.workspace, run.task.id).latency_ms
    before_ms = ((handed.first.report or {}).get("evaluation") or {}).get("latency_p95_ms") or 0.0
    both_ms = before_ms + (figures.evaluation.latency_p95_ms or 0.0)
    if limit_ms is None or both_ms <= limit_ms:
        return None
    return (
        f"both one after the other take {both_ms:.0f} ms or more for some calls, and the policy allows {limit_ms:.0f}."
    )


def let_in(run: Run, candidate: Candidate, handed: HandedOn, figures: Figures, second: Second) -> Second:
    """Let it answer beside the first. If staged, a share of the runs first: the shadow would ask it about all calls."""
    workspace, own = run.workspace, route_from(run.workspace, candidate, figures)
    route = replace(
        own,
        delta=handed.route.delta + own.delta,
        after=handed.first.id,
        below=handed.below,
        rests_on=handed.route.identity,
    )
    specialist = serve.describe(workspace, candidate.specialist)
    if taken_out(workspace, specialist):
        keep_record(workspace, specialist, route)
        serve.unload(specialist)
        why = f"{specialist.name} was taken out of service. `protege promote {specialist.name}` lets it answer."
        return replace(second, answers=False, reason=why)
    if run.settings.rollout == "direct":
        promote(workspace, specialist, route, second.reason)
    elif not is_in_service(workspace, specialist, route):
        canary(workspace, specialist, second.reason, route=route)
    return second
