"""The report and the map as HTML pages that need no network."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any

import jinja2
import orjson
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from . import formatting
from .data import ReportData
from .map import TaskMap
from .map_plots import map_plots
from .plots import plots


def report_page(data: ReportData) -> str:
    """The report as a page."""
    return _render("page.html", data, plots(data))


def map_page(data: TaskMap) -> str:
    """The map of the tasks as a page."""
    return _render("map.html", data, map_plots(data))


def _render(template: str, data: ReportData | TaskMap, figures: dict[str, Any]) -> str:
    """A page. Text from calls is escaped, and the browser is told to run and load nothing but the page's own.

    figures: by the id of the element that shows them.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("protege.report", "assets"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(
        data=data,
        w=formatting,
        created=datetime.fromtimestamp(data.created, UTC).strftime("%-d %B %Y, %H:%M UTC"),
        nonce=secrets.token_urlsafe(16),
        figures=Markup(_script_json(figures)),
        shown=frozenset(figures),
        plotlyjs=Markup(get_plotlyjs() if figures else ""),
    )


def _script_json(value: object) -> str:
    """JSON that cannot end the script element that it stands in."""
    return orjson.dumps(value).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
