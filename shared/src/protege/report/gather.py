"""What the workspace knows, as a report's data and as the status that `protege status` prints."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypedDict

from .. import serve
from ..cluster.worth import MACHINE_USD_PER_HOUR, teacher_usd
from ..common.confinement import Confinement
from ..common.prices import price_source
from ..errors import ProtegeError
from ..evaluate import Bin, Confusion, FieldDifference, Reliability, Slice
from ..measure.agents import EndToEnd
from ..measure.ceiling import known_ceiling
from ..rollout.policy import price_as_of
from ..rollout.stages import ProofSoFar, proof_so_far
from ..route.belief import doubt
from ..specialist import Specialist
from ..store.records import ImprovementRow, Realised
from ..task import Task
from ..workspace import Workspace
from . import tuning
from .data import Agreement, Certified, Incident, ReportData, TaskReport
from .over_time import HOUR_S, HourlyCounts, OverTime
from .thumbnails import pictures

_STAGES = ("live", "canary", "shadow")
"""Of a task's specialists, the one that is furthest says how far the task is."""
INCIDENTS = 100
"""Shown at most, the latest."""


class TaskStatus(TypedDict):
    """A task as `protege status` shows it.

    answered_by: of a cascade both, in their order, and certified_coverage is of both. ceiling: as `Ceiling.to_record`
    writes it, None where nothing shows it. proof: how far a shadow is that owes the proof, as `ProofSoFar.to_record`
    writes it. corrected: calls whose right answer people have said; kept: calls that a specialist answered; saved_usd:
    by that, US dollars.
    """

    id: str
    name: str
    calls: int
    answered_by: str
    specialist: str | None
    base: str | None
    state: str
    agreement: float | None
    ceiling: dict[str, Any] | None
    certified_coverage: float | None
    proof: dict[str, Any] | None
    corrected: int
    kept: int
    saved_usd: float | None
    reason: str


def gather(workspace: Workspace) -> ReportData:
    """All that is known of every task, largest first.

    What the calls cannot tell, others may: the policy's `price_as`, whose list price stands for calls without a cost;
    and in `Workspace.findings`, `save_stand_in` if no model answers as the teacher (its latencies then mean nothing),
    `save_realised`, and `save_end_to_end` for runs of the whole agent.
    """
    stand_in = workspace.findings.stand_in()
    known = workspace.tasks()
    counts = _hourly_counts(workspace, known)
    reports = [_task_report(workspace, task, bool(stand_in), counts) for task in known]
    notes = [stand_in] if stand_in else []
    tasks, note = _with_examples(workspace, known, reports)
    return ReportData(
        tasks=tasks,
        calls=workspace.count_calls(),
        created=time.time(),
        home=str(workspace.home),
        machine=f"{os.cpu_count()} cores, {platform.machine()}, {platform.system()}",
        prices=_prices([price_as_of(workspace, task.id) for task in known] or [price_as_of(workspace)]),
        notes=(*notes, *([note] if note else [])),
        over_time=counts.over_time(),
        incidents=_incidents(workspace, known),
        end_to_end=_end_to_end(workspace),
    )


def status(workspace: Workspace) -> dict[str, Any]:
    """Tasks, who answers them, what that has saved so far, by day or hour too (`OverTime`), and what happened.

    damaged: how many rows of each table cannot be read. doubt: why agents are not answered from this home at all
    (`route.belief`); None if they are.
    """
    tasks: list[TaskStatus] = []
    confinement = Confinement("status")
    for task in workspace.tasks():
        with confinement.each(task.id):
            tasks.append(_status(workspace, task))
    specialists = workspace.specialists()
    placed = _placed(specialists)
    over_time, incidents = history(workspace)
    return {
        "home": str(workspace.home),
        "doubt": found._asdict() if (found := doubt(workspace.home)) else None,
        "calls": workspace.count_calls(),
        "set_aside": workspace.quarantine.counts(),
        "damaged": workspace.damaged(),
        "kept": sum(task["kept"] for task in tasks),
        "saved_usd": sum(task["saved_usd"] or 0.0 for task in tasks),
        "tasks": tasks,
        "specialists": [_specialist(s, placed[s.id]) for s in specialists],
        "over_time": asdict(over_time),
        "incidents": [asdict(incident) for incident in incidents],
        "end_to_end": agent.to_record() if (agent := _end_to_end(workspace)) else None,
    }


def history(workspace: Workspace) -> tuple[OverTime, tuple[Incident, ...]]:
    """What specialists did with live calls by day or hour, and the latest incidents, the newest first."""
    known = workspace.tasks()
    return _hourly_counts(workspace, known).over_time(), _incidents(workspace, known)


def _status(workspace: Workspace, task: Task) -> TaskStatus:
    improvement = workspace.findings.improvement(task.id)
    mine = workspace.specialists(task_id=task.id)
    answering = sorted((s for s in mine if s.state == "live"), key=lambda s: s.id in asked_after(workspace))
    shown = _shown(mine, answering, improvement)
    figures = (shown.report if shown else None) or {}
    evaluation = figures.get("evaluation") or {}
    kept = sum(workspace.count_calls(specialist_id=s.id) for s in mine)
    saved = _saved_a_call(task, evaluation, price_as_of(workspace, task.id))
    proof = _proof(workspace, task)
    return TaskStatus(
        id=task.id,
        name=task.name,
        calls=task.calls,
        answered_by=", then ".join(s.name for s in answering) or "teacher",
        specialist=shown.name if shown else None,
        base=shown.base.name if shown else None,
        state=shown.state if shown else "",
        agreement=evaluation.get("agreement"),
        ceiling=ceiling.to_record() if (ceiling := known_ceiling(workspace, task.id)) else None,
        certified_coverage=_certified_coverage(figures, answering[1:]),
        proof=proof.to_record() if proof else None,
        corrected=workspace.corrections.count(task),
        kept=kept,
        saved_usd=None if saved is None else kept * saved,
        reason=_why(improvement.reason, proof) if improvement else "not improved yet: protege improve",
    )


def _proof(workspace: Workspace, task: Task) -> ProofSoFar | None:
    """How far the task's shadow is with the proof, if it owes one."""
    found = (proof_so_far(workspace, specialist) for specialist in workspace.specialists(task_id=task.id))
    return next((proof for proof in found if proof is not None), None)


def _why(reason: str, proof: ProofSoFar | None) -> str:
    return f"{reason} So far {proof.words}." if proof else reason


def asked_after(workspace: Workspace) -> set[str]:
    """The ids of those that are asked, in a cascade, only what another handed back."""
    return {identity for identity, terms in workspace.routes().items() if terms.after}


def _shown(
    mine: Sequence[Specialist], answering: Sequence[Specialist], improvement: ImprovementRow | None
) -> Specialist | None:
    """Of a task's specialists: who answers, first; else the one last made to, else the last."""
    made = [s for s in mine if improvement and s.id == improvement.specialist_id]
    return next(iter((*answering, *made, *mine[::-1])), None)


def _certified_coverage(figures: Mapping[str, Any], then: Sequence[Specialist]) -> float | None:
    """Of a cascade, both ones' share of all calls."""
    after = [found for s in then if (found := (s.report or {}).get("cascade"))]
    alone = figures.get("certified_coverage")
    return None if alone is None else alone + sum(found["share"] * found["coverage"] for found in after)


def _specialist(specialist: Specialist, placed: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    record = specialist.to_record()
    kept = ("id", "name", "task_id", "version", "state", "form", "created", "lineage", "digests", "engine")
    return {
        **{name: record[name] for name in kept},
        "base": specialist.base.name,
        "licence": specialist.base.licence,
        "parity": (specialist.report or {}).get("parity"),
        "trials": tuning.trials(specialist),
        "placed": placed,
        "ollama": placed.get("ollama"),  # as readers of the JSON knew it before there were others
    }


def _placed(specialists: Sequence[Specialist]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """By specialist id and kind of engine, what each engine tells of those that it has."""
    placed: dict[str, dict[str, Mapping[str, Any]]] = {specialist.id: {} for specialist in specialists}
    known = serve.engine_names()  # the package that brought an engine may have been uninstalled
    for name in {name for specialist in specialists for name in specialist.placed if name in known}:
        there = [specialist for specialist in specialists if name in specialist.placed]
        for identity, facts in serve.engine_kind(name).facts(there).items():
            placed[identity][name] = facts
    return placed


def savings(workspace: Workspace, tasks: Sequence[Task]) -> dict[str, float | None]:
    """US dollars that a call saves which a specialist answers, by task id, at its newest figures; None where a cost is
    not known."""
    saved: dict[str, float | None] = {}
    after = asked_after(workspace)
    confinement = Confinement("savings")
    for task in tasks:
        alone = [s for s in workspace.specialists(task_id=task.id) if s.id not in after]
        saved[task.id] = None
        with confinement.each(task.id):
            newest = next((e for s in reversed(alone) if (e := (s.report or {}).get("evaluation"))), {})
            saved[task.id] = _saved_a_call(task, newest, price_as_of(workspace, task.id))
    return saved


def _hourly_counts(workspace: Workspace, tasks: Sequence[Task]) -> HourlyCounts:
    return HourlyCounts(savings(workspace, tasks), asked_after(workspace)).take(
        workspace.history.count_attempts(HOUR_S)
    )


def _incidents(workspace: Workspace, tasks: Sequence[Task]) -> tuple[Incident, ...]:
    """The latest events, the newest first, under the names of today; a task that is gone under its id."""
    task_names = {task.id: task.name for task in tasks}
    names = {s.id: s.name for s in workspace.specialists()}
    return tuple(
        Incident(
            time=event.time,
            task=task_names.get(event.task_id, event.task_id) or "all tasks",
            specialist=names.get(event.specialist_id) if event.specialist_id else None,
            what=event.what,
            why=event.why,
        )
        for event in sorted(workspace.history.events(), key=lambda event: -event.time)[:INCIDENTS]
    )


def _end_to_end(workspace: Workspace) -> EndToEnd | None:
    record = workspace.findings.end_to_end()
    return EndToEnd.from_record(record) if record else None


def _with_examples(
    workspace: Workspace, tasks: Sequence[Task], reports: Sequence[TaskReport]
) -> tuple[tuple[TaskReport, ...], str]:
    """The reports with redacted examples; without any where they cannot be redacted, and why."""
    try:
        from .examples import redactor  # needs the extra `discover`; `status` and `metrics` do without it

        redact = redactor(workspace)
        found: list[TaskReport] = []
        for task, report in zip(tasks, reports, strict=True):
            evaluation = _figures(workspace, task).get("evaluation") or {}
            examples, worst = (redact(task, evaluation.get(name) or ()) for name in ("examples", "worst"))
            found.append(replace(report, examples=examples, worst=worst))
    except ImportError:
        return tuple(reports), "No examples are shown: what redacts them is not installed."
    except ProtegeError as error:
        return tuple(reports), f"No examples are shown, since they cannot be redacted. {error}"
    return tuple(found), ""


def _figures(workspace: Workspace, task: Task) -> Mapping[str, Any]:
    """Those of the task's last improvement, empty where it came to none."""
    improvement = workspace.findings.improvement(task.id)
    return improvement.figures if improvement else {}


def _task_report(workspace: Workspace, task: Task, stand_in: bool, counts: HourlyCounts) -> TaskReport:
    price_as = price_as_of(workspace, task.id)
    improvement = workspace.findings.improvement(task.id)
    figures = _figures(workspace, task)
    mine = workspace.specialists(task_id=task.id)
    specialist = workspace.specialist(improvement.specialist_id or "") if improvement else None
    evaluation: Mapping[str, Any] = figures.get("evaluation") or {}
    certificate: Mapping[str, Any] = figures.get("certificate") or {}
    return TaskReport(
        name=task.name,
        kind=task.kind,
        calls=task.calls,
        state=next((state for state in _STAGES if any(s.state == state for s in mine)), "teacher"),
        reason=_why(improvement.reason, _proof(workspace, task)) if improvement else "not improved yet",
        node=" / ".join(task.node),
        specialist=specialist.name if specialist else None,
        base=specialist.base.name if specialist else None,
        share=terms.share if specialist and (terms := workspace.routes().get(specialist.id)) else 1.0,
        agreement=_agreement(evaluation),
        ceiling=known_ceiling(workspace, task.id),
        doubted=tuning.doubted(workspace.specialists(task_id=task.id)),
        corrected=workspace.corrections.count(task),
        corrections=evaluation.get("corrected"),
        certified=_certified(certificate, figures),
        teacher_latency_ms=None if stand_in else task.latency_ms,
        specialist_latency_ms=evaluation.get("latency_p50_ms"),
        cost_before_usd=_cost_before(task, price_as),
        cost_after_usd=_cost_blended(task, price_as, figures),
        tokens_before=task.input_tokens,
        tokens_after=evaluation.get("input_tokens"),
        realised=_realised(workspace, task, specialist),
        judged=tuple((confidence, agreed) for confidence, agreed in figures.get("confidences") or ()),
        losses=tuning.losses(specialist),
        passed_over=tuple((name, reason) for name, reason in (improvement.passed_over if improvement else ())),
        auroc=evaluation.get("auroc"),
        aurc=evaluation.get("aurc"),
        reliability=_reliability(evaluation),
        slices=tuple(_slice(one) for one in evaluation.get("slices") or () if _may_show(task, one)),
        confusions=tuple(Confusion(**one) for one in evaluation.get("confusions") or () if task.kind == "label"),
        fields=_fields(evaluation),
        pictures=pictures(workspace, task),
        over_time=counts.over_time(task.id),
    )


def _may_show(task: Task, record: Mapping[str, Any]) -> bool:
    """Answers that are labels or names of tools; any other that repeats may be someone's name."""
    return record["by"] != "answer" or task.kind in ("label", "tool_calls")


def _fields(evaluation: Mapping[str, Any]) -> tuple[FieldDifference, ...]:
    """Those that two calls have: a key that only one has may be someone's name."""
    found = (FieldDifference(**one) for one in evaluation.get("fields") or ())
    return tuple(field for field in found if field.calls > 1)


def _slice(record: Mapping[str, Any]) -> Slice:
    fields = dict(record)
    fields["interval"] = tuple(record["interval"])
    return Slice(**fields)


def _reliability(evaluation: Mapping[str, Any]) -> Reliability | None:
    """None too in figures that an older version made."""
    found = evaluation.get("reliability")
    if found is None:
        return None
    bins = [Bin(one["n"], one["confidence"], one["agreement"], tuple(one["interval"])) for one in found["bins"]]
    return Reliability(tuple(bins), found["ece"], found["brier"])


def _agreement(evaluation: Mapping[str, Any]) -> Agreement | None:
    if not evaluation:
        return None
    low, high = evaluation["interval"]
    return Agreement(evaluation["agreement"], low, high, evaluation["n"], evaluation["grader"])


def _certified(certificate: Mapping[str, Any], figures: Mapping[str, Any]) -> Certified | None:
    if not certificate:
        return None
    counts = {name: certificate[name] for name in ("epsilon", "delta", "n", "threshold", "kept", "errors")}
    # Not in figures that an older version made.
    later = {name: certificate[name] for name in ("epsilon_all", "proof") if name in certificate}
    return Certified(**counts, **later, hindsight=figures["hindsight_coverage"])


def _cost_before(task: Task, price_as: str | None) -> float | None:
    """US dollars for 1,000 calls answered by the teacher."""
    cost = teacher_usd(task, price_as)
    return None if cost is None else cost * 1000


def _cost_after(evaluation: Mapping[str, Any]) -> float | None:
    """US dollars for 1,000 calls asked of the specialist: its median time, the whole machine counted for it alone."""
    latency_ms = evaluation.get("latency_p50_ms")
    return None if latency_ms is None else latency_ms * MACHINE_USD_PER_HOUR / 3600


def _saved_a_call(task: Task, evaluation: Mapping[str, Any], price_as: str | None) -> float | None:
    """US dollars that a call saves which the specialist answers; None where a cost is not known."""
    before, after = _cost_before(task, price_as), _cost_after(evaluation)
    return None if before is None or after is None else (before - after) / 1000


def _cost_blended(task: Task, price_as: str | None, figures: Mapping[str, Any]) -> float | None:
    """US dollars for 1,000 calls once routed: every call is asked of the specialist, the rest of the teacher too."""
    before, after = _cost_before(task, price_as), _cost_after(figures.get("evaluation") or {})
    if before is None or after is None or not figures["certified_coverage"]:
        return None
    return after + (1 - figures["certified_coverage"]) * before


def _realised(workspace: Workspace, task: Task, specialist: Specialist | None) -> Realised | None:
    return None if specialist is None else workspace.findings.realised(task.id)


def _prices(price_as: Iterable[str | None]) -> str:
    """price_as: the models whose list prices stand for the teacher's, of each task."""
    models = " or ".join(sorted({model for model in price_as if model}))
    teacher = f"list prices of {price_source()}" + (f", unpriced calls as {models}" if models else "")
    return f"Teacher: tokens at {teacher}. Specialist: its time at ${MACHINE_USD_PER_HOUR:.2f} an hour of this machine."
