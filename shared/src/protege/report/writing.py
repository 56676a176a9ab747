"""Writes reports and maps to files: HTML, JSON or Markdown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson

from .. import report
from ..common.files import write_private
from ..errors import BadInput, MissingDependency, WorkspaceError
from .data import ReportData
from .map import TaskMap
from .markdown import markdown


def write_report(path: Path, data: ReportData) -> Path:
    """Write the report, readable by its owner only since it shows what was asked and answered. Returns its path.

    path: its suffix is the format: .html, .json or .md. Raises BadInput for another suffix, MissingDependency for a
    page without plotly, WorkspaceError if the file cannot be written.
    """
    path = Path(path)
    formats: dict[str, Callable[[], str]] = {
        ".html": lambda: _page(lambda: report.report_page(data)),
        ".json": lambda: orjson.dumps(data.to_record(), option=orjson.OPT_INDENT_2).decode(),
        ".md": lambda: markdown(data),
    }
    form = formats.get(path.suffix.lower())
    if form is None:
        raise BadInput(f"A report cannot be written as {path.name}.", f"Name a file that ends in {', '.join(formats)}.")
    return _write(path, form(), "--output")


def write_map(path: Path, data: TaskMap) -> Path:
    """Write the map as a page, readable by its owner only. Returns its path.

    Raises MissingDependency without plotly, WorkspaceError if the file cannot be written.
    """
    return _write(path, _page(lambda: report.map_page(data)), "--html")


def _page(render: Callable[[], str]) -> str:
    """A page; its module, with plotly, is only loaded here, since the other formats do without plotly."""
    try:
        return render()
    except ImportError:
        raise MissingDependency("plotly", "report") from None


def _write(path: Path, text: str, option: str) -> Path:
    """Write a file, readable by its owner only. Returns its path.

    option: with which a user names another place. Raises WorkspaceError if the file cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, text.encode(errors="replace"))
    except OSError as error:
        raise WorkspaceError(
            f"The page {path} cannot be written: {error.strerror}.", f"Choose another place with {option}."
        ) from error
    return path
