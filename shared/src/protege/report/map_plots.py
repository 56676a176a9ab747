"""The plot of the map of tasks: the expected fit to the right, what the teacher costs upwards, areas by volume."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from ..task import KINDS
from .map import Dot, TaskMap
from .plots import as_plotly_json, label

COLOURS = dict(zip(KINDS, ("#3d7ea6", "#d9822b", "#8d6cab", "#4c9a6a", "#c2566b", "#8a94a0"), strict=True))
_WIDTH, _HEIGHT = 690.0, 470.0
"""The size of the plot's inside in pixels in a wide window; names are placed by it."""
_LARGEST, _SMALLEST = 44.0, 9.0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a dot and its name stand, in pixels from the lower left. side: the name's, in plotly's words; None without
    a name."""

    x: float
    y: float
    radius: float
    side: str | None = None


def map_plots(data: TaskMap) -> dict[str, Any]:
    """The figure, by the id of its element."""
    if not data.dots:
        return {}
    heights, title = _heights(data.dots)
    logs = [math.log10(height) for height in heights]
    low, high = min(logs) - 0.3, max(logs) + 0.3
    names = [_short(dot.task.name) for dot in data.dots]
    placed = arrange(
        [
            (_across(dot.worth.fit), (log - low) / (high - low) * _HEIGHT)
            for dot, log in zip(data.dots, logs, strict=True)
        ],
        _radii(data.dots),
        [len(name) for name in names],
    )
    figure = go.Figure()
    for kind in KINDS:
        members = [i for i, dot in enumerate(data.dots) if dot.task.kind == kind]
        if not members:
            continue
        figure.add_scatter(
            x=[_fit_at(placed[i].x) for i in members],
            y=[heights[i] for i in members],
            mode="markers+text",
            name=kind.replace("_", " "),
            text=[label(names[i]) if placed[i].side else "" for i in members],
            textposition=[placed[i].side or "middle right" for i in members],
            customdata=members,
            marker={
                "size": [2 * placed[i].radius for i in members],
                "color": COLOURS[kind],
                "opacity": 0.75,
                "line": {"width": 0},
            },
            cliponaxis=False,
            hoverinfo="none",  # the panel beside the plot shows it
        )
    figure.update_layout(
        height=_HEIGHT + 110,
        margin={"l": 10, "r": 10, "t": 40, "b": 56},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        hovermode="closest",
        hoverdistance=24,
    )
    figure.update_xaxes(range=_FITS, dtick=0.2, tick0=0, title_text="expected fit for a small model", zeroline=False)
    figure.update_yaxes(type="log", range=[low, high], title_text=title, dtick=1, automargin=True)
    return {"map": as_plotly_json(figure)}


_FITS = [-0.08, 1.08]


def _across(fit: float) -> float:
    return (fit - _FITS[0]) / (_FITS[1] - _FITS[0]) * _WIDTH


def _fit_at(x: float) -> float:
    return x / _WIDTH * (_FITS[1] - _FITS[0]) + _FITS[0]


def _heights(dots: Sequence[Dot]) -> tuple[list[float], str]:
    """What each task costs now, in the first unit known for all: dollars a month, dollars for the calls watched,
    tokens."""
    months = [dot.worth.cost_usd_a_month for dot in dots]
    if all(months):
        return [usd or 0.0 for usd in months], "teacher's cost a month, US dollars"
    watched = [(dot.worth.cost_usd or 0.0) * dot.task.calls for dot in dots]
    if all(watched):
        return watched, "teacher's cost of the calls watched, US dollars"
    tokens = [((d.task.input_tokens or 0.0) + (d.task.output_tokens or 0.0)) * d.task.calls for d in dots]
    return [max(1.0, value) for value in tokens], "tokens of the calls watched"


def _radii(dots: Sequence[Dot]) -> list[float]:
    """The radius of each dot in pixels; its area grows with the calls."""
    most = max(dot.task.calls for dot in dots) or 1
    return [max(_SMALLEST, _LARGEST * math.sqrt(dot.task.calls / most)) / 2 for dot in dots]


def arrange(points: Sequence[tuple[float, float]], radii: Sequence[float], lengths: Sequence[int]) -> list[Placed]:
    """Move dots that would hide each other aside, and place names where there is room, the first dots first.

    lengths: of the names, in characters. A name that would lie over another name or a dot is left out.
    """
    placed: list[Placed] = []
    for (x, y), radius in zip(points, radii, strict=True):
        tries = [Placed(x + shift, y, radius) for step in range(9) for shift in (6.0 * step, -6.0 * step)]
        free = (p for p in tries if all(_distance(p, other) >= 0 for other in placed))
        placed.append(next(free, None) or max(tries, key=lambda p: min(_distance(p, other) for other in placed)))
    taken = [_box(p) for p in placed]
    named: list[Placed] = []
    for p, length in zip(placed, lengths, strict=True):
        side, box = next(((s, b) for s in _SIDES if _is_free(b := _name_box(p, s, length), taken)), (None, None))
        if box:
            taken.append(box)
        named.append(Placed(p.x, p.y, p.radius, side))
    return named


_SIDES = ("middle right", "middle left", "top center", "bottom center")
_Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in pixels."""


def _distance(first: Placed, second: Placed) -> float:
    """Pixels between two dots, negative if one hides much of the other."""
    return math.hypot(first.x - second.x, first.y - second.y) - 0.8 * (first.radius + second.radius)


def _box(p: Placed) -> _Box:
    r = 0.8 * p.radius  # the corners of a dot's square are empty
    return p.x - r, p.y - r, p.x + r, p.y + r


def _name_box(p: Placed, side: str, length: int) -> _Box:
    width, height, gap = 7.0 * length, 14.0, p.radius + 3
    if side == "middle right":
        return p.x + gap, p.y - height / 2, p.x + gap + width, p.y + height / 2
    if side == "middle left":
        return p.x - gap - width, p.y - height / 2, p.x - gap, p.y + height / 2
    bottom = p.y + gap if side == "top center" else p.y - gap - height
    return p.x - width / 2, bottom, p.x + width / 2, bottom + height


def _is_free(box: _Box, taken: Sequence[_Box]) -> bool:
    left, bottom, right, top = box
    if left < 0 or right > _WIDTH or bottom < 0 or top > _HEIGHT:
        return False
    return all(right <= b[0] or left >= b[2] or top <= b[1] or bottom >= b[3] for b in taken)


def _short(name: str) -> str:
    return name if len(name) <= 28 else f"{name[:27]}…"
