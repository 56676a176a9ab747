"""What commands print of their results, in words."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import report

if TYPE_CHECKING:
    from ..cluster import Change
    from ..measure import Cost
    from ..task import Task


def change_text(change: Change) -> str:
    """A change in the traffic."""
    share, before = f"{change.share:.1%}", f"{change.before:.1%}"
    text = {
        "new": f"{change.name}: a new kind of call, {share} of traffic",
        "reworded": f"{change.name}: a new wording of its prompt, {share} of its calls",
        "more": f"{change.name}: {share} of traffic, {before} until then",
        "less": f"{change.name}: {share} of traffic, {before} until then",
        "gone": f"{change.name}: no calls, {before} of traffic until then",
        "unknown": f"calls that fit no task: {share} of traffic, {before} until then",
    }[change.what]
    return f"{text}, since {datetime.fromtimestamp(change.since, UTC):%A %-d %B %Y}"


def answerer(task: Mapping[str, Any]) -> str:
    """Who answers a task, without the task's name in front of its specialists."""
    version = (task["specialist"] or "").removeprefix(f"{task['name']}-")
    if task["state"] == "live":
        return task["answered_by"].replace(f"{task['name']}-", "")
    return f"teacher; {version} {task['state']}" if version else "teacher"


CONTENT = ("examples", "worst")
"""The fields of an evaluation that quote calls. The report has them, redacted."""


def figures_only(record: Any, known: Collection[str] = ()) -> Any:
    """Measured figures, as JSON holds them, without prompts and answers.

    known: the task's labels and tools, a closed set. Confusions and slices of any other answer are left out.
    """
    if isinstance(record, Mapping):
        plain = {key: figures_only(value, known) for key, value in record.items() if key not in CONTENT}
        if isinstance(confusions := plain.get("confusions"), list | tuple):
            plain["confusions"] = [c for c in confusions if {c["teacher"], c["specialist"]} <= set(known)]
        if isinstance(slices := plain.get("slices"), list | tuple):
            named = {*known, "others", "no tool"}
            plain["slices"] = [s for s in slices if s["by"] != "answer" or set(s["value"].split(" + ")) <= named]
        return plain
    return [figures_only(value, known) for value in record] if isinstance(record, list | tuple) else record


def answers_of(task: Task | None) -> tuple[str, ...]:
    """The task's labels and tools; none if the task is gone."""
    return () if task is None else (*task.labels, *task.tools)


def figure_lines(figures: Mapping[str, Any]) -> list[str]:
    """An improvement's figures; empty if the loop did not get that far."""
    if not figures:
        return []
    evaluation, certificate = figures["evaluation"], figures["certificate"]
    low, high = evaluation["interval"]
    teacher = "" if figures.get("structure") is None else f", {figures['structure']:.1%} of the teacher's"
    corrected = evaluation.get("corrected")
    return [
        f"Agreement {evaluation['agreement']:.1%} on {evaluation['n']} held-out calls "
        f"(95% interval {low:.1%}–{high:.1%}).",
        f"Certified coverage {figures['certified_coverage']:.1%} at ε = {certificate['epsilon']:g}, "
        f"δ = {certificate['delta']:g}; {figures['hindsight_coverage']:.1%} in hindsight.",
        f"The right structure: {evaluation['valid']:.1%} of its answers{teacher}; no other is kept.",
        *([f"Corrected by people: {report.formatting.corrections(corrected)}."] if corrected else []),
    ]


def comparison_lines(pair: Mapping[str, Any]) -> list[str]:
    """Two specialists on the same calls."""
    compared, first, second = pair["comparison"], pair["first"]["name"], pair["second"]["name"]
    low, high = compared["interval"]
    lines = [
        f"{name} agrees with the teacher on {compared[key]:.1%} of {compared['n']} calls "
        f"(95% interval {compared[f'{key}_interval'][0]:.1%}–{compared[f'{key}_interval'][1]:.1%})."
        for name, key in ((first, "first"), (second, "second"))
    ]
    lines.append(
        f"Only {first}: {compared['only_first']}, only {second}: {compared['only_second']}; difference "
        f"{compared['difference']:+.1%} ({low:+.1%} to {high:+.1%}), McNemar's exact p = {compared['p_value']:.3g}."
    )
    if compared["latency_ms"] is not None:
        lines.append(f"Latency, {first} minus {second}: {compared['latency_ms']:+.0f} ms (median).")
    return lines


def cost_lines(cost: Cost) -> list[str]:
    """What a specialist costs, and beside which prices it pays."""
    once_s, money = cost.tuning_s + cost.evaluation_s, report.formatting.money
    how = {"meter": "by its meter", "estimate": "an estimate", "given": "as you say"}[cost.power.source]
    lines = [
        f"It answers {cost.kept:.1%} of the calls for good; {cost.audited:.0%} are audited.",
        f"Once: {once_s:,.0f} s of this machine, {money(cost.once_usd)}, {cost.once_wh:.2g} Wh. 1,000 calls: "
        f"{money(1000 * cost.machine_usd)}, {1000 * cost.call_wh:.2g} Wh ({cost.power.watts:.0f} W, {how}).",
    ]
    for price in cost.beside:
        calls = price.break_even_calls
        pays = "never pays" if calls is None else f"has paid for itself after {math.ceil(calls):,} calls"
        name = f"At {price.model}'s list price" if price.model else "Beside the teacher"
        usd, with_it = money(1000 * price.usd), money(1000 * price.with_specialist_usd)
        lines.append(f"{name}: 1,000 calls {usd} → {with_it}; it {pays}.")
    return lines
