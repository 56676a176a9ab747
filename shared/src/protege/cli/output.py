"""How commands print: JSON or tables on stdout, progress and errors on stderr.

Much of what is printed comes from calls, files and servers. No text is read as markup, and both consoles write out the
characters that act on a terminal (`common.terminal`), whatever is printed through them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ..common.progress import Bar
from ..common.terminal import printable, printable_json, printable_line


class SafeConsole(Console):
    """A console to which text is text: no markup, no emoji codes, no control characters."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is drawn of something to print; rich's own control codes stand in segments apart."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


console = SafeConsole()
errors = SafeConsole(stderr=True)

NO_CALLS = "No calls yet. Record an agent, or import calls: protege collect FILE"


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    sys.stdout.write(printable_json(orjson.dumps(document, option=options).decode()) + "\n")


def print_text(text: str) -> None:
    """Print a text as it is, but for characters that act on a terminal."""
    sys.stdout.write(printable(text))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print a table: figures to the right, unknown values as an en dash, empty columns left out.

    The first column and figures stay whole; other columns are folded if the terminal is narrow.
    """
    filled = [i for i in range(len(columns)) if not rows or any(row[i] not in (None, "") for row in rows)]
    columns, rows = [columns[i] for i in filled], [[row[i] for i in filled] for row in rows]
    table = Table(title=printable_line(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        figures = bool(rows) and all(isinstance(row[index], int | float | None) for row in rows)
        table.add_column(column, justify="right" if figures else "left", overflow="fold", no_wrap=figures or index == 0)
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def print_block(title: str, lines: Sequence[str]) -> None:
    """Print a heading with indented lines under it."""
    console.print(Text(printable_line(title), "bold"), highlight=False)
    for line in lines:
        console.print(Padding(Text(printable_line(line)), (0, 0, 0, 2)), highlight=False)


def print_note(line: str) -> None:
    """Print a line on stderr, beside the result."""
    errors.print(printable_line(line), highlight=False)


def fail(fact: str, remedy: str, *, as_json: bool) -> None:
    """Print an error: the fact and the remedy."""
    if as_json:
        print_json({"error": {"fact": fact, "remedy": remedy}})
    errors.print(Text.assemble(("error:", "bold red"), f" {printable(fact)}"), highlight=False)
    if remedy:
        errors.print(f"       {printable(remedy)}", highlight=False)


class Bars:
    """Shows progress on stderr: bars with the time left, and a line for each step done; only lines if stderr is not a
    terminal."""

    @contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Bar]:
        began = time.monotonic()
        with self._bar(name, total) as bar:
            yield bar
        errors.print(f"{printable_line(name)}: done in {_duration(time.monotonic() - began)}", highlight=False)

    @contextmanager
    def _bar(self, name: str, total: float | None) -> Iterator[Bar]:
        if not errors.is_terminal:
            errors.print(f"{printable_line(name)} …", highlight=False)
            yield _Quiet()
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
        )
        with Progress(*columns, console=errors, transient=True) as progress:
            yield _Moving(progress, progress.add_task(printable_line(name), total=total, note=""))


class _Moving:
    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: float = 1, note: str = "") -> None:
        self._progress.update(self._task, advance=amount, note=printable_line(note))


class _Quiet:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else printable_line(str(value))
