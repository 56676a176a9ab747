"""Figures as people read them, the same on the page and in the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from ..cluster.worth import Worth
from ..measure.agents import EndToEnd, Runs
from ..measure.ceiling import Ceiling
from .data import Incident, TaskReport
from .over_time import OverTime, Period, Unit

UNKNOWN = "not measured"


def percent(value: float | None, digits: int = 1) -> str:
    return UNKNOWN if value is None else f"{100 * value:.{digits}f}%"


def money(value: float | None) -> str:
    """US dollars; below ten cents with two significant digits, as a specialist's calls cost fractions of a cent."""
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
    said = {"live": "live", "canary": f"canary: {percent(task.share, 0)} of its runs", "shadow": "shadow"}
    return said.get(task.state, "with the teacher")


def agreement(task: TaskReport) -> str:
    return percent(task.agreement.rate if task.agreement else None)


def interval(task: TaskReport) -> str:
    found = task.agreement
    return "" if found is None else f"{100 * found.low:.1f}–{100 * found.high:.1f}%"


def sample(task: TaskReport) -> str:
    return "" if task.agreement is None else f"n = {task.agreement.n:,}"


def ceiling(found: Ceiling | None) -> str:
    """How far the teacher agrees with itself, and where that is known from."""
    if found is None:
        return UNKNOWN
    if not found.asked_again:
        return f"{percent(found.agreement)} of {count(found.n)} prompts that were recorded more than once, on average"
    refused = f", {count(found.refused)} refused" if found.refused else ""
    other = "" if found.same_model else f" of {found.model}, which did not answer them first"
    return (
        f"{percent(found.agreement)} of {count(found.n)} calls asked again{other} ({between(found.interval)}{refused})"
    )


def ceiling_briefly(task: TaskReport) -> str:
    return "" if task.ceiling is None else f"({percent(task.ceiling.agreement)})"


def certified_coverage(task: TaskReport) -> str:
    return percent(task.certified.coverage if task.certified else None)


def hindsight_coverage(task: TaskReport) -> str:
    return percent(task.certified.hindsight if task.certified else None)


def coverage(task: TaskReport) -> str:
    """Certified, and in hindsight in brackets."""
    found = task.certified
    return UNKNOWN if found is None else f"{percent(found.coverage)}\n({percent(found.hindsight)})"


def latencies(task: TaskReport) -> str:
    return change(latency(task.teacher_latency_ms), latency(task.specialist_latency_ms))


def costs(task: TaskReport) -> str:
    return change(money(task.cost_before_usd), money(task.cost_after_usd))


def tokens(task: TaskReport) -> str:
    return change(count(task.tokens_before), count(task.tokens_after))


def calibration(task: TaskReport) -> str:
    found = task.certified
    if found is None:
        return UNKNOWN
    if found.threshold is None:
        return f"no threshold holds on {found.n:,} calibration calls"
    return f"{found.kept:,} of {found.n:,} calibration calls kept, {found.errors:,} of them wrong"


def guarantee(task: TaskReport) -> str:
    found = task.certified
    if found is None or found.threshold is None:
        return "none"
    most = percent(found.epsilon, 0 if found.epsilon >= 0.01 else 1)
    return f"with {percent(1 - found.delta, 0)} confidence, at most {most} of the kept answers disagree"


def realised(task: TaskReport) -> str:
    found = task.realised
    if found is None:
        return UNKNOWN
    kept = f"{found.kept:,} of {found.calls:,} calls kept"
    if found.disagreements is None or not found.compared:
        return kept
    share = percent(found.disagreements / found.compared)
    return f"{kept}, {found.disagreements:,} of {found.compared:,} compared disagree ({share})"


def realised_briefly(task: TaskReport) -> str:
    found = task.realised
    if found is None or not found.calls:
        return UNKNOWN
    kept = f"{percent(found.kept / found.calls)} kept"
    if found.disagreements is None or not found.compared:
        return kept
    return f"{kept}\n{percent(found.disagreements / found.compared)} wrong"


def saving(worth: Worth) -> str:
    """Expected, to two digits: more would say what is not known. A month, or in 1,000 calls where times do not tell."""
    usd, tokens = worth.saving_usd_a_month, worth.saving_tokens_a_month
    span = "a month"
    if worth.calls_a_month is None:
        usd = None if worth.saving_usd is None else worth.saving_usd * 1000
        tokens, span = worth.saving_tokens * 1000, "in 1,000 calls"
    if not worth.saving_tokens:
        return "–"
    said = f"{count(_two_digits(tokens or 0.0))} tokens" if usd is None else about(usd)
    return f"{said} {span}"


def about(usd: float) -> str:
    usd = _two_digits(usd)
    return f"${usd:,.0f}" if usd >= 10 else money(usd)


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")


def when(time: float, unit: Unit = "hour") -> str:
    """A day, or a day and time, UTC."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d" if unit == "day" else "%Y-%m-%d %H:%M")


def between(bounds: tuple[float, float] | None) -> str:
    """An interval of a share; nothing where there is none."""
    return "" if bounds is None else f"{100 * bounds[0]:.1f}–{100 * bounds[1]:.1f}%"


def periods(found: OverTime) -> list[tuple[str, ...]]:
    """Start, calls asked, calls kept, coverage, audited agreement and savings of each, the latest first."""
    return [
        (
            when(p.start, found.unit),
            count(p.asked),
            count(p.kept),
            percent(p.coverage),
            audited(p),
            money(p.saved_usd),
        )
        for p in reversed(found.periods)
    ]


def audited(period: Period) -> str:
    """The agreement that audits found, with its interval."""
    if period.agreement is None:
        return UNKNOWN
    return f"{percent(period.agreement)} of {period.compared:,} ({between(period.interval)})"


def incident(found: Incident) -> str:
    who = found.specialist or found.task
    return f"{when(found.time)} {who}: {found.what}. {found.why}"


def confidence_figures(task: TaskReport) -> str:
    """How well confidence tells right from wrong, and how near it is to what comes true."""
    known = {"AUROC": task.auroc, "area under risk–coverage": task.aurc}
    if task.reliability:
        known |= {"ECE": task.reliability.ece, "Brier": task.reliability.brier}
    return ", ".join(f"{name} {number(value, 3)}" for name, value in known.items() if value is not None) or UNKNOWN


def runs(found: Runs) -> str:
    """How many runs reached their goal, what such a run costs, and what else is known of them."""
    said = [
        f"{found.succeeded:,} of {found.runs:,} runs succeed: {percent(found.success)} ({between(found.interval)})",
        f"cost a success {money(found.usd_a_success)}",
    ]
    if found.latency_ms is not None:
        said.append(f"a run takes {latency(found.latency_ms)} (median)")
    if found.calls is not None and found.kept is not None:
        said.append(f"specialists answer {found.kept:,} of {found.calls:,} calls")
    if found.errors:
        said.append(f"runs that raised: {', '.join(f'{count:,} {name}' for name, count in found.errors.items())}")
    return "; ".join(said)


def end_to_end(found: EndToEnd) -> str:
    """The difference that specialists make."""
    low, high = (f"{100 * bound:+.1f}" for bound in found.interval)
    said = f"{100 * found.difference:+.1f} points of success with specialists (95% interval {low} to {high})"
    if (pairs := found.paired) is None:
        return said
    apart = f"of the same cases {pairs.only_with:,} succeed only with them and {pairs.only_without:,} only without"
    return f"{said}; {apart} (McNemar's exact p = {number(pairs.p_value, 3)})"
