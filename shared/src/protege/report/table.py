"""Tables for a terminal: the report's, and what the tasks are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..cluster.worth import Worth
from ..task import Task
from . import phrases as wording
from .data import Incident, ReportData
from .over_time import OverTime

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = (
    "agreement\n95% CI\n(ceiling)",
    "certified\n(hindsight)",
    "median\nlatency",
    "cost of\n1,000",
    "tokens\nin",
    "run again",
)


def table(data: ReportData) -> Table:
    """Three lines a task, 80 columns wide. What changed stands above what it changed to.

    Names come from calls, so they are shown as they are: no markup, no control characters.
    """
    from rich.text import Text

    saved = wording.money(data.saved_usd)
    title = f"{data.calls:,} calls watched; specialists answer {wording.percent(data.share_kept)}; "
    shown = _empty("task\nwho answers", HEADINGS, f"{title}saved in 1,000 calls: {saved}", data.prices)
    for task in data.tasks:
        name = f"{_printable(task.name)}\n{task.calls:,} calls\n{'specialist' if task.is_live else 'teacher'}"
        figures = (
            _lines(
                wording.agreement(task), wording.interval(task), wording.sample(task), wording.ceiling_briefly(task)
            ),
            wording.coverage(task),
            wording.latencies(task),
            wording.costs(task),
            wording.tokens(task),
            wording.realised_briefly(task),
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
    """What the tasks are worth, two lines and more a task, 80 columns wide."""
    from rich.text import Text

    caption = "In the order of what the calls watched would have saved. Came before: requests, answers.\n"
    caption += "Fit and saving are estimates: --json says how they were made."
    shown = _empty("task\nanswers", WORTH_HEADINGS, caption=caption)
    for task, worth in rows:
        why = "; ".join(reason.partition(":")[0] for reason in worth.why)
        cost = None if worth.cost_usd is None else worth.cost_usd * 1000
        saving = wording.saving(worth).replace(" a month", "\na month").replace(" in ", "\nin ")
        figures = (
            f"{task.calls:,}\n{wording.count(worth.calls_a_month)}",
            f"{wording.count(task.input_tokens)}\n{wording.count(task.output_tokens)}",
            f"{wording.money(cost)}\n{wording.latency(task.latency_ms)}",
            f"{wording.percent(worth.requests_seen_before, 0)}\n{wording.percent(worth.answers_seen_before, 0)}",
            wording.number(worth.fit, 2),
            saving,
        )
        name = f"{_printable(task.name)}\n{task.kind.replace('_', ' ')}: {_printable(why)}"
        shown.add_row(Text(name), *(Text(_stacked(figure)) for figure in figures))
    return shown


TIME_HEADINGS = ("asked", "coverage", "audited", "agreement\n95% CI", "saved")


def time_table(over_time: OverTime, incidents: Sequence[Incident] = (), most: int = 14) -> Table:
    """What specialists did by day or hour, the last `most` of them, and the last incidents beneath."""
    from rich.text import Text

    caption = "\n".join(_printable(wording.incident(incident)) for incident in incidents[:most])
    shown = _empty(f"{over_time.unit}\n(UTC)", TIME_HEADINGS, caption=caption)
    for period in over_time.periods[-most:]:
        agreement = (
            "–"
            if period.agreement is None
            else f"{wording.percent(period.agreement)}\n{wording.between(period.interval)}"
        )
        figures = (
            f"{period.asked:,}",
            wording.percent(period.coverage),
            f"{period.compared:,}",
            agreement,
            wording.money(period.saved_usd),
        )
        shown.add_row(Text(wording.when(period.start, over_time.unit)), *(Text(_stacked(figure)) for figure in figures))
    return shown


def _empty(first: str, headings: Sequence[str], title: str = "", caption: str = "") -> Table:
    """A table of headings: names to the left, folded where the terminal is narrow, figures to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

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
    return cell.replace(wording.UNKNOWN, "–").replace(" → ", "\n→ ")


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() or character == "\n")
