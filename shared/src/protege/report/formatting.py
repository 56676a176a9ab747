"""Figures as people read them: the same on the page, in Markdown and in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from ..cluster.worth import Worth
from ..measure.agents import EndToEnd, Runs
from ..measure.ceiling import Ceiling
from .data import Doubted, Incident, Pictures, TaskReport
from .over_time import OverTime, Period, Unit

UNKNOWN = "not measured"
FIRST = 5
"""Calls that are named, of those with answers that look wrong."""


def percent(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}%"


def money(value: float | None) -> str:
    """US dollars; below ten cents with two significant digits, since a specialist's calls cost fractions of a cent."""
    if value is None:
        return UNKNOWN
    if value and abs(value) < 0.1:
        value = float(f"{value:.1e}")
        digits = max(2, 1 - int(f"{value:e}".split("e")[1]))
        return f"${value:.{digits}f}"
    return f"${value:,.2f}"


def latency(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:,.0f} ms" if value < 10_000 else f"{value / 1000:,.1f} s"


def count(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def number(value: float | None, digits: int = 4) -> str:
    return UNKNOWN if value is None else f"{value:.{digits}g}"


def change(before: str, after: str) -> str:
    return UNKNOWN if before == after == UNKNOWN else f"{before} → {after}"


def state(task: TaskReport) -> str:
    names = {"live": "live", "canary": f"canary: {percent(task.share, 0)} of its runs", "shadow": "shadow"}
    return names.get(task.state, "with the teacher")


def agreement(task: TaskReport) -> str:
    return percent(task.agreement.rate if task.agreement else None)


def interval(task: TaskReport) -> str:
    return "" if task.agreement is None else between((task.agreement.low, task.agreement.high))


def sample(task: TaskReport) -> str:
    return "" if task.agreement is None else f"n = {task.agreement.n:,}"


def ceiling(known: Ceiling | None) -> str:
    """How often the teacher agrees with itself, and how that is known."""
    if known is None:
        return UNKNOWN
    if not known.asked_again:
        return f"{percent(known.agreement)} of {count(known.n)} prompts that were recorded more than once, on average"
    refused = f", {count(known.refused)} refused" if known.refused else ""
    other = "" if known.same_model else f" of {known.model}, which did not answer them first"
    return (
        f"{percent(known.agreement)} of {count(known.n)} calls asked again{other} ({between(known.interval)}{refused})"
    )


def doubted(known: Doubted | None) -> str:
    """How many training answers look wrong, and which to look at first."""
    if known is None:
        return UNKNOWN
    if not known.answers:
        return f"none of {count(known.examples)} training answers"
    first = ", ".join(known.calls[:FIRST])
    return f"{count(known.answers)} of {count(known.examples)} training answers, most of all: {first}"


def corrections(corrected: Mapping[str, int] | None) -> str:
    """What the specialist answered where people corrected the teacher, as an evaluation's record counts it."""
    if not corrected:
        return UNKNOWN
    n, right, taught = (corrected[name] for name in ("n", "as_corrected", "as_teacher"))
    wrong = n - right - taught
    return f"{n:,} held-out calls, answered {right:,} times as they say, {taught:,} as the teacher, {wrong:,} otherwise"


def corrected(task: TaskReport) -> str:
    """How many answers people corrected, and what the specialist said to those held out."""
    if not task.corrected:
        return "none"
    held_out = f"; {corrections(task.corrections)}" if task.corrections else ""
    return f"{count(task.corrected)} calls{held_out}"


def ceiling_briefly(task: TaskReport) -> str:
    return "" if task.ceiling is None else f"({percent(task.ceiling.agreement)})"


def certified_coverage(task: TaskReport) -> str:
    return percent(task.certified.coverage if task.certified else None)


def hindsight_coverage(task: TaskReport) -> str:
    return percent(task.certified.hindsight if task.certified else None)


def coverage(task: TaskReport) -> str:
    """Certified coverage, and in brackets the coverage in hindsight."""
    certified = task.certified
    return UNKNOWN if certified is None else f"{percent(certified.coverage)}\n({percent(certified.hindsight)})"


def latencies(task: TaskReport) -> str:
    return change(latency(task.teacher_latency_ms), latency(task.specialist_latency_ms))


def costs(task: TaskReport) -> str:
    return change(money(task.cost_before_usd), money(task.cost_after_usd))


def tokens(task: TaskReport) -> str:
    return change(count(task.tokens_before), count(task.tokens_after))


def calibration(task: TaskReport) -> str:
    certified = task.certified
    if certified is None:
        return UNKNOWN
    if certified.threshold is None:
        return f"no threshold holds on {certified.n:,} held-out calls"
    calls = "calls of the shadow" if certified.proof == "shadow" else "held-out calls"
    return f"{certified.kept:,} of {certified.n:,} {calls} kept, {certified.errors:,} of them wrong"


def guarantee(task: TaskReport) -> str:
    certified = task.certified
    if certified is None or certified.threshold is None:
        return "none"
    most = percent(certified.epsilon, 0 if certified.epsilon >= 0.01 else 1)
    kept = f"with {percent(1 - certified.delta, 0)} confidence, at most {most} of the kept answers disagree"
    if certified.epsilon_all is None:
        return kept
    of_all = percent(certified.epsilon_all, 0 if certified.epsilon_all >= 0.01 else 1)
    return f"{kept}, and at most {of_all} of all calls are kept and disagree"


def realised(task: TaskReport) -> str:
    run = task.realised
    if run is None:
        return UNKNOWN
    kept = f"{run.kept:,} of {run.calls:,} calls kept"
    if run.disagreements is None or not run.compared:
        return kept
    share = percent(run.disagreements / run.compared)
    return f"{kept}, {run.disagreements:,} of {run.compared:,} compared disagree ({share})"


def realised_briefly(task: TaskReport) -> str:
    run = task.realised
    if run is None or not run.calls:
        return UNKNOWN
    kept = f"{percent(run.kept / run.calls)} kept"
    if run.disagreements is None or not run.compared:
        return kept
    return f"{kept}\n{percent(run.disagreements / run.compared)} wrong"


def saving(worth: Worth) -> str:
    """The expected saving, to two digits since more would not be known; a month, or in 1,000 calls if times are
    missing."""
    usd, tokens = worth.saving_usd_a_month, worth.saving_tokens_a_month
    span = "a month"
    if worth.calls_a_month is None:
        usd = None if worth.saving_usd is None else worth.saving_usd * 1000
        tokens, span = worth.saving_tokens * 1000, "in 1,000 calls"
    if not worth.saving_tokens:
        return "–"
    amount = f"{count(_two_digits(tokens or 0.0))} tokens" if usd is None else about(usd)
    return f"{amount} {span}"


def about(usd: float) -> str:
    usd = _two_digits(usd)
    return f"${usd:,.0f}" if usd >= 10 else money(usd)


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def when(time: float, unit: Unit = "hour") -> str:
    """A day, or a day and time, UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d" if unit == "day" else "%Y-%m-%d %H:%M")


def between(bounds: tuple[float, float] | None) -> str:
    """The interval of a share; empty if there is none."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}%"


def periods(over_time: OverTime) -> list[tuple[str, ...]]:
    """Start, calls asked, calls kept, coverage, audited agreement and savings of each, the latest first."""
    return [
        (
            when(p.start, over_time.unit),
            count(p.asked),
            count(p.kept),
            percent(p.coverage),
            audited(p),
            money(p.saved_usd),
        )
        for p in reversed(over_time.periods)
    ]


def audited(period: Period) -> str:
    """The audited agreement, with its interval."""
    if period.agreement is None:
        return UNKNOWN
    return f"{percent(period.agreement)} of {period.compared:,} ({between(period.interval)})"


def incident(event: Incident) -> str:
    return f"{when(event.time)} {event.specialist or event.task}: {event.what}. {event.why}"


def confidence_figures(task: TaskReport) -> str:
    """How well confidence tells right answers from wrong ones, and how well calibrated it is."""
    known = {"AUROC": task.auroc, "area under risk–coverage": task.aurc}
    if task.reliability:
        known |= {"ECE": task.reliability.ece, "Brier": task.reliability.brier}
    return ", ".join(f"{name} {number(value, 3)}" for name, value in known.items() if value is not None) or UNKNOWN


def pictures(found: Pictures) -> str:
    """How many calls hold images, and why none is shown."""
    if not found.calls:
        return found.note
    some = f"{count(found.calls)} of the latest calls hold" if found.calls != 1 else "One of the latest calls holds"
    how = found.note or "shown so small that no text in them can be read."
    return f"{some} images{'.' if found.note else ','} {how}"


def runs(group: Runs) -> str:
    """How many runs succeed, what a success costs, and what else is known of them."""
    parts = [
        f"{group.succeeded:,} of {group.runs:,} runs succeed: {percent(group.success)} ({between(group.interval)})",
        f"cost a success {money(group.usd_a_success)}",
    ]
    if group.latency_ms is not None:
        parts.append(f"a run takes {latency(group.latency_ms)} (median)")
    if group.calls is not None and group.kept is not None:
        parts.append(f"specialists answer {group.kept:,} of {group.calls:,} calls")
    if group.errors:
        parts.append(f"runs that raised: {', '.join(f'{count:,} {name}' for name, count in group.errors.items())}")
    return "; ".join(parts)


def end_to_end(compared: EndToEnd) -> str:
    """The difference that specialists make."""
    low, high = (f"{100 * bound:+.1f}" for bound in compared.interval)
    difference = f"{100 * compared.difference:+.1f} points of success with specialists (95% interval {low} to {high})"
    if (pairs := compared.paired) is None:
        return difference
    apart = f"of the same cases {pairs.only_with:,} succeed only with them and {pairs.only_without:,} only without"
    return f"{difference}; {apart} (McNemar's exact p = {number(pairs.p_value, 3)})"
