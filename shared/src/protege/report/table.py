"""The report's table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import wording
from .data import ReportData

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (
    "calls",
    "agreement\n95% interval",
    "coverage\n(hindsight)",
    "median latency\nteacher → specialist",
    "cost of 1,000\nbefore → after",
    "tokens in\nbefore → after",
    "run again",
)


def table(data: ReportData) -> Table:
    """One row a task. Names come from calls, so they are shown as they are: no markup, no control characters."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    saved = wording.money(data.saved_usd)
    shown = Table(
        title=f"{data.calls:,} calls watched; specialists answer {wording.percent(data.share_kept)}; "
        f"saved in 1,000 calls: {saved}",
        caption=data.prices or None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
    )
    shown.add_column("task", overflow="fold", min_width=12)
    shown.add_column("state", min_width=8)
    for heading in (
        "calls",
        "agreement\n95% interval",
        "coverage\n(hindsight)",
        "median latency\nteacher → specialist",
    ):
        shown.add_column(heading, justify="right")
    for heading in ("cost of 1,000\nbefore → after", "tokens in\nbefore → after", "run again"):
        shown.add_column(heading, justify="right")
    for task in data.tasks:
        cells = (
            task.name,
            wording.state(task),
            f"{task.calls:,}",
            f"{wording.agreement(task)}\n{wording.interval(task)}\n{wording.sample(task)}".strip(),
            wording.coverage(task),
            wording.latencies(task),
            wording.costs(task),
            wording.tokens(task),
            wording.realised_briefly(task),
        )
        shown.add_row(*(Text("–" if cell == wording.UNKNOWN else _printable(cell)) for cell in cells))
    return shown


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() or character == "\n")
