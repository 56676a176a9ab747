"""Reports and maps as files: one HTML page that needs no network, JSON, or Markdown."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ..common.files import write_private
from ..errors import BadInput, MissingDependency, WorkspaceError
from . import phrases as wording
from .data import ReportData
from .markdown import markdown
from .plots import plots


def write_report(path: Path, data: ReportData) -> Path:
    """Write the report, readable by its owner only: it shows what was asked and answered, redacted. Returns its path.

    path: its suffix is the form, .html, .json or .md. Raises BadInput for another, MissingDependency for a page without
    plotly, WorkspaceError where the file cannot be written.
    """
    path = Path(path)
    forms: dict[str, Callable[[], str]] = {
        ".html": lambda: render("page.html", data, plots),
        ".json": lambda: orjson.dumps(data.to_record(), option=orjson.OPT_INDENT_2).decode(),
        ".md": lambda: markdown(data),
    }
    form = forms.get(path.suffix.lower())
    if form is None:
        raise BadInput(f"A report cannot be written as {path.name}.", f"Name a file that ends in {', '.join(forms)}.")
    return write_page(path, form(), "--output")


def write_page(path: Path, page: str, option: str) -> Path:
    """Write a page, readable by its owner only. Returns its path.

    Raises WorkspaceError where the file cannot be written; `option` is where a user says another place.
    """
    path = Path(path)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, page.encode(errors="replace"))
    except OSError as error:
        raise WorkspaceError(
            f"The page {path} cannot be written: {error.strerror}.", f"Choose another place with {option}."
        ) from error
    return path


def render(template: str, data: Any, plots: Callable[[Any], dict[str, Any]]) -> str:
    """A page. Everything that comes from calls is escaped; the browser is told to run and load nothing else.

    data: with `created`, seconds since 1970. plots: its figures by the id of the element that shows them.
    Raises MissingDependency without plotly.
    """
    import jinja2
    from markupsafe import Markup

    try:
        from plotly.offline import get_plotlyjs

        figures = plots(data)
    except ImportError:
        raise MissingDependency("plotly", "report") from None
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("protege.report", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(
        data=data,
        w=wording,
        created=datetime.fromtimestamp(data.created, UTC).strftime("%-d %B %Y, %H:%M UTC"),
        nonce=secrets.token_urlsafe(16),
        figures=Markup(_script_json(figures)),
        shown=frozenset(figures),
        plotlyjs=Markup(get_plotlyjs() if figures else ""),
    )


def _script_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    return orjson.dumps(value).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
