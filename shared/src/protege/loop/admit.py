"""Whether a specialist that was measured may answer, and what follows for who answers."""

from __future__ import annotations

from dataclasses import replace

from .. import serve
from ..certify import Candidate, Figures, route_from
from ..common.tracing import traced
from ..rollout.lifecycle import keep_record, promote, prune, refuse, route_of, shadow, taken_out
from ..rollout.policy import policy_of
from ..specialist import Route, Specialist
from ..watch.reasons import close_reason, reason_of
from ..workspace import Workspace
from .run import Run

WORSE = 0.9
"""A new specialist that keeps less than this share of what the live one keeps does not take its place."""


@traced
def admit(run: Run, candidate: Candidate, figures: Figures) -> tuple[bool, str]:
    """Let the specialist answer, or go into the shadow, if nothing objects. Returns whether it answers, and why."""
    workspace, settings = run.workspace, run.settings
    measured = replace(candidate.specialist, report={**(candidate.specialist.report or {}), **figures.to_record()})
    specialist = serve.describe(workspace, measured)
    owed = _may_be_shown(run, candidate, figures)
    if objection := _objection(workspace, specialist, figures, owed):
        if _goes_on_alone(run, specialist, figures):
            return True, f"As the first of a cascade: {objection} {specialist.name} goes on alone."
        refuse(workspace, specialist)
        prune(workspace, run.task.id, settings.keep_versions)
        return False, objection
    route, why = route_from(workspace, candidate, figures), _why(figures)
    if taken_out(workspace, specialist):
        keep_record(workspace, specialist, route)
        serve.unload(specialist)
        if owed:
            return False, f"{why} {specialist.name} was in the shadow, and was not shown or was taken out of it."
        return False, f"{specialist.name} was taken out of service. `protege promote {specialist.name}` lets it answer."
    if owed:
        if not is_in_service(workspace, specialist, route):
            shadow(workspace, specialist, route, why)
        prune(workspace, run.task.id, settings.keep_versions)
        return False, f"{why} Its shadow is to show it on new calls."
    data_set = workspace.findings.data_set(run.task.id)
    close_reason(workspace, run.task.id, data_set.time if data_set else None)
    if settings.rollout == "direct":
        promote(workspace, specialist, route, why)
    elif not is_in_service(workspace, specialist, route):
        shadow(workspace, specialist, route, why)
    prune(workspace, run.task.id, settings.keep_versions)
    if (workspace.specialist(specialist.id) or specialist).answers:
        return True, why
    return False, f"{why} It is compared in the shadow before it answers."


def _why(figures: Figures) -> str:
    advised = " Its confidence weighs a head's second opinion." if figures.scorer.adviser else ""
    return f"{figures.certificate.reason}{advised}"


def _may_be_shown(run: Run, candidate: Candidate, figures: Figures) -> bool:
    """Whether the shadow is to show what the held-out calls cannot: in a staged rollout, or where it is at it."""
    if figures.certificate.threshold is not None or figures.plug_in is None:
        return False
    proposed = route_from(run.workspace, candidate, figures)
    return run.settings.rollout == "staged" or is_in_service(run.workspace, candidate.specialist, proposed)


def _goes_on_alone(run: Run, specialist: Specialist, figures: Figures) -> bool:
    """Whether it is live by a certificate of its own, which holds although it cannot be the first of a cascade.

    The first of a cascade is certified with less of δ, and by fewer thresholds.
    """
    workspace, settings = run.workspace, run.settings
    stored, route = workspace.specialist(specialist.id), workspace.routes().get(specialist.id)
    if not settings.cascade or figures.certificate.threshold is not None or stored is None or route is None:
        return False
    same = stored.state == "live" and not route.after and route.fingerprint == figures.fingerprint
    return same and route.epsilon <= settings.epsilon and route.delta <= settings.delta


def is_in_service(workspace: Workspace, specialist: Specialist, route: Route) -> bool:
    """Whether it is in the shadow, a canary or live already, on these terms."""
    stored = workspace.specialist(specialist.id) or specialist
    if stored.state not in ("shadow", "canary", "live"):
        return False
    return route_of(workspace, specialist).identity == route.identity


def _objection(workspace: Workspace, specialist: Specialist, figures: Figures, owed: bool) -> str | None:
    """Why it may not answer, or if the proof is owed, not go into the shadow; None if nothing speaks against it."""
    if figures.certificate.threshold is None and not owed:
        hint = " `protege improve --every 1d` has the shadow show one." if figures.plug_in else ""
        return f"{figures.certificate.reason}{hint}"
    limit_ms, took_ms = policy_of(workspace, specialist.task_id).latency_ms, figures.evaluation.latency_p95_ms
    if limit_ms is not None and took_ms is not None and took_ms > limit_ms:
        return f"One answer in 20 takes {took_ms:.0f} ms or more, and the policy allows {limit_ms:.0f}."
    return _keeps_less(workspace, specialist, figures)


def _keeps_less(workspace: Workspace, specialist: Specialist, figures: Figures) -> str | None:
    """The objection that the live specialist keeps clearly more, on the same promise, and nothing speaks against it."""
    routes = workspace.routes()
    others = [s for s in workspace.specialists(task_id=specialist.task_id) if s.id != specialist.id and s.id in routes]
    live = next((s for s in others if s.state == "live" and not routes[s.id].after), None)
    if live is None or reason_of(workspace, specialist.task_id) is not None:
        return None
    older, keeps = routes[live.id], figures.plug_in or figures.certificate
    coverage = older.kept / older.calibration_calls if older.calibration_calls else 0.0
    if older.epsilon > keeps.epsilon or keeps.coverage >= WORSE * coverage:
        return None
    return f"It keeps {keeps.coverage:.0%} of the calls and {live.name} {coverage:.0%}."
