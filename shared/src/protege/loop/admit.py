"""Whether a specialist that was measured may answer, and what follows for who answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..certify.gate import terms_from
from ..common.tracing import traced
from ..curate import Curated
from ..rollout.lifecycle import keep_record, promote, prune, shadow, taken_out, terms_of
from ..rollout.policy import policy_of
from ..specialist import Route, Specialist
from ..task import Task
from ..workspace import Workspace
from .settings import Settings

WORSE = 0.9
"""A new specialist that keeps less than this part of what the old one keeps does not take its place."""


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
    from ..rollout.lifecycle import refuse
    from ..serve import describe, unload
    from ..watch import close_reason

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
    from ..watch import reason_of

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
