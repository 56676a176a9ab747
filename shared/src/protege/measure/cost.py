"""What a specialist costs with everything in, and from how many calls on it pays.

Counted: the tokens of the teacher, who answers what the specialist does not keep and what is audited; this machine's
time, for every call that the specialist is asked and, once, for tuning and for asking it the held-out calls. Not
counted: the teacher's answers that it learnt from, which the agent needed anyway, and people's time. The figures are
those of the specialist's evaluation, the machine counted whole for one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..cluster import MACHINE_USD_PER_HOUR, teacher_usd
from ..common.prices import cost_usd
from ..errors import BadInput
from ..rollout.lifecycle import audit_rate
from ..rollout.policy import price_as_of
from ..specialist import Specialist
from ..task import Task
from ..workspace import Workspace
from .power import Power

HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class Beside:
    """The specialist beside one price of the calls."""

    model: str
    """Whose price it is; empty for the teacher's as recorded."""
    usd: float
    """US dollars a call if that model answers all."""
    with_specialist_usd: float
    """US dollars a call if the specialist is asked first, and that model answers the rest."""
    break_even_calls: float | None
    """Calls from which on the specialist has paid for what it cost once; None if a call never gets cheaper."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a specialist costs. Times in seconds, energy in watt-hours."""

    task: str
    specialist: str
    kept: float
    """The share of calls that it answers in the end: certified, and not audited."""
    audited: float
    """The share of calls that the teacher answers to compare."""
    tuning_s: float
    evaluation_s: float
    """Of asking it the calibration and test calls."""
    once_usd: float
    """The machine's time of both."""
    machine_usd: float
    """The machine's time of a call."""
    once_wh: float
    call_wh: float
    power: Power
    beside: tuple[Beside, ...]

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def cost_of(workspace: Workspace, task: Task, power: Power, models: tuple[str, ...] = ()) -> Cost:
    """The cost of the task's newest specialist, beside the teacher and beside other models at their list prices.

    Raises BadInput if the task has none that was evaluated, no answer of it was timed, its price is unknown, or a model
    has no list price.
    """
    specialist, figures = _newest(workspace, task)
    evaluation: Mapping[str, Any] = figures["evaluation"]
    latency_ms = _latency_ms(specialist, evaluation)
    tuning_s = float((figures.get("tuning") or {}).get("seconds") or 0.0)
    evaluation_s = int(evaluation["n"]) * latency_ms / 1000  # the certificate's calls are among these
    audited = audit_rate(workspace, specialist)
    kept = float(figures["certified_coverage"]) * (1 - audited)
    once_usd = (tuning_s + evaluation_s) / 3600 * MACHINE_USD_PER_HOUR
    machine_usd = latency_ms / HOUR_MS * MACHINE_USD_PER_HOUR
    prices = [("", _teacher(workspace, task)), *((model, _listed(task, model)) for model in models)]
    return Cost(
        task=task.name,
        specialist=specialist.name,
        kept=kept,
        audited=audited,
        tuning_s=tuning_s,
        evaluation_s=evaluation_s,
        once_usd=once_usd,
        machine_usd=machine_usd,
        once_wh=(tuning_s + evaluation_s) / 3600 * power.watts,
        call_wh=latency_ms / HOUR_MS * power.watts,
        power=power,
        beside=tuple(_beside(model, usd, kept, machine_usd, once_usd) for model, usd in prices),
    )


def _beside(model: str, usd: float, kept: float, machine_usd: float, once_usd: float) -> Beside:
    saved = kept * usd - machine_usd
    return Beside(model, usd, usd - saved, once_usd / saved if saved > 0 else None)


def _newest(workspace: Workspace, task: Task) -> tuple[Specialist, Mapping[str, Any]]:
    for specialist in reversed(workspace.specialists(task_id=task.id)):
        figures = specialist.report or {}
        if figures.get("evaluation") and figures.get("certificate"):
            return specialist, figures
    raise BadInput(f"{task.name} has no specialist that was evaluated.", f"Make one: protege improve {task.name}")


def _latency_ms(specialist: Specialist, evaluation: Mapping[str, Any]) -> float:
    if evaluation.get("latency_p50_ms") is None:
        fact = f"How long {specialist.name} takes for an answer is not known: none was timed."
        raise BadInput(fact, f"Tune it again: protege improve {specialist.name.rpartition('-v')[0]} --retrain")
    return float(evaluation["latency_p50_ms"])


def _teacher(workspace: Workspace, task: Task) -> float:
    usd = teacher_usd(task, price_as_of(workspace, task.id))
    if usd is None:
        remedy = f"Say whose list price to take: protege policy {task.name} --price-as MODEL"
        raise BadInput(f"What a call of {task.name} costs is not known.", remedy)
    return usd


def _listed(task: Task, model: str) -> float:
    thousand = cost_usd(model, round(1000 * (task.input_tokens or 0.0)), round(1000 * (task.output_tokens or 0.0)))
    if thousand is None:
        raise BadInput(f"The price list has no model {model!r}.", "Name one that it has, such as gpt-4.1-nano.")
    return thousand / 1000
