"""Tables for a terminal: the report, what the tasks are worth, and how it went over time."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from ..cluster.worth import Worth
from ..common.terminal import printable
from ..task import Task
from . import formatting
from .data import Incident, ReportData
from .over_time import OverTime

HEADINGS = (
    "agreement\n95% CI\n(ceiling)",
    "certified\n(hindsight)",
    "median\nlatency",
    "cost of\n1,000",
    "tokens\nin",
    "run again",
)


def table(data: ReportData) -> Table:
    """The report as a table, 80 columns wide, about three lines a task. What was before stands above what came after.

    Names come from calls, so they are printed as they are: no markup, no control characters.
    """
    saved = formatting.money(data.saved_usd)
    title = f"{data.calls:,} calls watched; specialists answer {formatting.percent(data.share_kept)}; "
    shown = _empty("task\nwho answers", HEADINGS, f"{title}saved in 1,000 calls: {saved}", data.prices)
    for task in data.tasks:
        name = f"{printable(task.name)}\n{task.calls:,} calls\n{'specialist' if task.is_live else 'teacher'}"
        figures = (
            _lines(
                formatting.agreement(task),
                formatting.interval(task),
                formatting.sample(task),
                formatting.ceiling_briefly(task),
            ),
            formatting.coverage(task),
            formatting.latencies(task),
            formatting.costs(task),
            formatting.tokens(task),
            formatting.realised_briefly(task),
        )
        shown.add_row(Text(name), *(Text(_stacked(figure)) for figure in figures))
    return shown


WORTH_HEADINGS = (
    "calls,\na month",
    "tokens\nin, out",
    "cost of\n1,000,\nlatency",
    "came\nbefore",
    "fit",
    "expected\nsaving",
)


def worth_table(rows: Sequence[tuple[Task, Worth]]) -> Table:
    """What the tasks are worth, 80 columns wide, two or more lines a task."""
    caption = "In the order of what the calls watched would have saved. Came before: requests, answers.\n"
    caption += "Fit and saving are estimates: --json says how they were made."
    shown = _empty("task\nanswers", WORTH_HEADINGS, caption=caption)
    for task, worth in rows:
        why = "; ".join(reason.partition(":")[0] for reason in worth.why)
        cost = None if worth.cost_usd is None else worth.cost_usd * 1000
        saving = formatting.saving(worth).replace(" a month", "\na month").replace(" in ", "\nin ")
        figures = (
            f"{task.calls:,}\n{formatting.count(worth.calls_a_month)}",
            f"{formatting.count(task.input_tokens)}\n{formatting.count(task.output_tokens)}",
            f"{formatting.money(cost)}\n{formatting.latency(task.latency_ms)}",
            f"{formatting.percent(worth.requests_seen_before, 0)}\n{formatting.percent(worth.answers_seen_before, 0)}",
            formatting.number(worth.fit, 2),
            saving,
        )
        name = f"{printable(task.name)}\n{task.kind.replace('_', ' ')}: {printable(why)}"
        shown.add_row(Text(name), *(Text(_stacked(figure)) for figure in figures))
    return shown


TIME_HEADINGS = ("asked", "coverage", "audited", "agreement\n95% CI", "saved")


def time_table(over_time: OverTime, incidents: Sequence[Incident] = (), most: int = 14) -> Table:
    """What specialists did in the last `most` days or hours, with the latest `most` incidents beneath."""
    caption = "\n".join(printable(formatting.incident(incident)) for incident in incidents[:most])
    shown = _empty(f"{over_time.unit}\n(UTC)", TIME_HEADINGS, caption=caption)
    for period in over_time.periods[-most:]:
        agreement = (
            "–"
            if period.agreement is None
            else f"{formatting.percent(period.agreement)}\n{formatting.between(period.interval)}"
        )
        figures = (
            f"{period.asked:,}",
            formatting.percent(period.coverage),
            f"{period.compared:,}",
            agreement,
            formatting.money(period.saved_usd),
        )
        shown.add_row(
            Text(formatting.when(period.start, over_time.unit)), *(Text(_stacked(figure)) for figure in figures)
        )
    return shown


def _empty(first: str, headings: Sequence[str], title: str = "", caption: str = "") -> Table:
    """A table without rows: names to the left, folded if the terminal is narrow, and figures to the right."""
    shown = Table(
        title=title or None,
        caption=Text(caption) if caption else None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    shown.add_column(first, overflow="fold", min_width=11)
    for heading in headings:
        shown.add_column(heading, justify="right", min_width=max(map(len, heading.split("\n"))))
    return shown


def _lines(*lines: str) -> str:
    return "\n".join(filter(None, lines))


def _stacked(cell: str) -> str:
    return cell.replace(formatting.UNKNOWN, "–").replace(" → ", "\n→ ")
