"""Choose a base for a task, and say why every other one was passed over."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import BaseModelError
from ..specialist import Base, PromptForm
from ..task import Example, Task
from .fit import Needs, obstacle, obstacle_of_model
from .hardware import Machine
from .models import Model, catalogue, model_of
from .policy import SelectionPolicy
from .probing import ProbeResult, longest_tokens, probe, shown_form

CLEARLY = 0.15
"""The larger of two bases must lower the loss by this share to be worth its memory and time; by half this share if the
task calls tools and only the larger is said to be able to."""

Prober = Callable[[Base, Task, Sequence[Example]], ProbeResult]


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice of a base."""

    base: Base | None
    """The base to tune from; None if none qualifies."""
    passed_over: tuple[tuple[str, str], ...]
    """Name and reason of every other base that was found, and of every other model of the catalogue."""
    reason: str
    """Why this base was chosen, or why none was."""
    probes: tuple[ProbeResult, ...] = ()
    """What was measured, smallest base first; empty with a single candidate."""


def select(
    task: Task,
    examples: Sequence[Example],
    machine: Machine,
    policy: SelectionPolicy | None = None,
    bases: Sequence[Base] = (),
    *,
    form: PromptForm = "slots",
    probe_always: bool = False,
    prober: Prober = probe,
) -> Selection:
    """Choose among the bases on this machine.

    examples: from train or validation.
    form: what the specialist will be shown.
    probe_always: whether to probe even a single base that qualifies.

    A base qualifies by its licence, size and context, by the memory and disk space it needs, and by a way to tune and
    serve it. Tool calling is a preference and not a condition, because tuning teaches it.

    If several qualify, a probe without training decides. The smaller is kept unless the larger lowers the loss (bits
    per byte of the teacher's answers) by at least CLEARLY, and by more than two standard errors of the difference per
    call: size costs time and memory on every call, and tuning closes most of a small gap.
    """
    policy = policy or SelectionPolicy()
    needs = Needs(longest_tokens(task, examples, form), tools=task.kind == "tool_calls")
    passed: list[tuple[str, str]] = []
    fit: list[Base] = []
    for base in bases:
        if reason := obstacle(base, needs, machine, policy):
            passed.append((base.name, reason))
        else:
            fit.append(base)
    fit.sort(key=lambda base: base.parameters)
    probes: list[ProbeResult] = []
    if len(fit) > 1 or (fit and probe_always):
        fit, probes, failed = _probe_all(fit, task, examples, prober)
        passed += failed
    absent = [(model.name, _why_absent(model, needs, machine, policy)) for model in _absent(bases)]
    if not fit:
        return Selection(None, (*passed, *absent), _none_fits(bases, needs, machine, policy), tuple(probes))
    best = _best(probes, needs) if probes else 0
    passed += [(base.name, _why_not(probes, best, i)) for i, base in enumerate(fit) if i != best]
    return Selection(fit[best], (*passed, *absent), _why(fit, probes, best), tuple(probes))


def _probe_all(
    bases: Sequence[Base], task: Task, examples: Sequence[Example], prober: Prober
) -> tuple[list[Base], list[ProbeResult], list[tuple[str, str]]]:
    """The bases that could be probed, what was measured, and why the others could not."""
    form = shown_form(task, examples)
    probed: list[Base] = []
    results: list[ProbeResult] = []
    failed: list[tuple[str, str]] = []
    for base in bases:
        try:
            results.append(
                prober(base, task, examples) if prober is not probe else probe(base, task, examples, form=form)
            )
            probed.append(base)
        except BaseModelError as error:
            failed.append((base.name, error.fact))
    return probed, results, failed


def _best(probes: Sequence[ProbeResult], needs: Needs) -> int:
    """The position of the best probe; `probes` are ordered from the smallest base."""
    best = 0
    for i, other in enumerate(probes):
        if _clearly_better(other, probes[best], needs):
            best = i
    return best


def _clearly_better(larger: ProbeResult, smaller: ProbeResult, needs: Needs) -> bool:
    knows_tools = _calls_tools(larger.base) and not _calls_tools(smaller.base)
    share = CLEARLY / 2 if needs.tools and knows_tools else CLEARLY
    if larger.bits_per_byte > (1 - share) * smaller.bits_per_byte:
        return False
    differences = [a - b for a, b in zip(smaller.losses, larger.losses, strict=False)]
    if len(differences) < 2:
        return True
    return statistics.fmean(differences) > 2 * statistics.stdev(differences) / math.sqrt(len(differences))


def _calls_tools(name: str) -> bool:
    model = model_of(name)
    return bool(model and model.tool_calling)


def _why(fit: Sequence[Base], probes: Sequence[ProbeResult], best: int) -> str:
    base = fit[best]
    if len(fit) == 1:
        return f"{base.name} is the only base here that qualifies."
    loss = f"{probes[best].bits_per_byte:.2f} bits a byte of the teacher's answers before tuning"
    if best == 0:
        return f"{base.name}: {loss}; no larger base here is clearly better."
    return f"{base.name}: {loss}, clearly better than the smaller {fit[0].name} ({probes[0].bits_per_byte:.2f})."


def _why_not(probes: Sequence[ProbeResult], best: int, other: int) -> str:
    mine, chosen = probes[other], probes[best]
    figures = f"{mine.bits_per_byte:.2f} bits a byte before tuning, {chosen.base} {chosen.bits_per_byte:.2f}"
    return f"not clearly better than a smaller one: {figures}" if other > best else f"clearly worse: {figures}"


def _absent(bases: Sequence[Base]) -> list[Model]:
    """The models of the catalogue that are not on this machine."""
    names = {base.name for base in bases}
    return [model for model in catalogue() if model.name not in names]


def _why_absent(model: Model, needs: Needs, machine: Machine, policy: SelectionPolicy) -> str:
    return obstacle_of_model(model, needs, machine, policy) or f"not on this machine: {model.how_to_get}"


def _none_fits(bases: Sequence[Base], needs: Needs, machine: Machine, policy: SelectionPolicy) -> str:
    fact = f"None of the {len(bases)} bases on this machine qualifies." if bases else "No base is on this machine."
    for model in _absent(bases):
        if model.tuning == "gguf" and not obstacle_of_model(model, needs, machine, policy):
            return f"{fact} {model.name} would: {model.how_to_get}"
    return f"{fact} No other model of the catalogue would: allow more licences, or free memory."
