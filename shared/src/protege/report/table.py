"""The report's table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import wording
from .data import ReportData

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = (
    "agreement\n95% CI",
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
    from rich import box
    from rich.table import Table
    from rich.text import Text

    saved = wording.money(data.saved_usd)
    shown = Table(
        title=f"{data.calls:,} calls watched; specialists answer {wording.percent(data.share_kept)}; "
        f"saved in 1,000 calls: {saved}",
        caption=data.prices or None,
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
        caption_justify="left",
    )
    shown.add_column("task\nwho answers", overflow="fold", min_width=11)
    for heading in HEADINGS:
        shown.add_column(heading, justify="right", min_width=max(map(len, heading.split("\n"))))
    for task in data.tasks:
        name = f"{_printable(task.name)}\n{task.calls:,} calls\n{'specialist' if task.is_live else 'teacher'}"
        figures = (
            f"{wording.agreement(task)}\n{wording.interval(task)}\n{wording.sample(task)}".strip(),
            wording.coverage(task),
            wording.latencies(task),
            wording.costs(task),
            wording.tokens(task),
            wording.realised_briefly(task),
        )
        shown.add_row(Text(name), *(Text(_stacked(figure)) for figure in figures))
    return shown


def _stacked(cell: str) -> str:
    return cell.replace(wording.UNKNOWN, "–").replace(" → ", "\n→ ")


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() or character == "\n")
