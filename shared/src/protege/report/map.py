"""The map of the tasks: where a small model would help most, as a plot to look at. Samples are shown redacted only."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..call import Call, Message, text_of
from ..chat.answer import answer_text
from ..chat.prompt import fitting_template
from ..cluster.worth import HOW, Worth
from ..common.progress import Progress, Silent
from ..errors import InvalidAnswer, ProtegeError
from ..masking.masking import mask_text
from ..task import KINDS, Task
from ..workspace import Workspace
from .page import render, write_page
from .plots import as_plotly_json, label

SAMPLES = 3
_LOOKED_AT = 200
"""Calls of a task from which samples are taken."""
_REDACTED_CHARS, _SHOWN_CHARS = 640, 320
"""More is redacted than is shown, so that no name that is cut in two stands at the end."""
COLOURS = dict(zip(KINDS, ("#3d7ea6", "#d9822b", "#8d6cab", "#4c9a6a", "#c2566b", "#8a94a0"), strict=True))
_WIDTH, _HEIGHT = 690.0, 470.0
"""Of the plot's inside in pixels, on a wide window: names are placed by it."""
_LARGEST, _SMALLEST = 44.0, 9.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A call as it may be shown: redacted, and cut."""

    asked: str
    answered: str


@dataclass(frozen=True, slots=True)
class Dot:
    """A task on the map."""

    task: Task
    worth: Worth
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskMap:
    """dots: the most worth first. created: seconds since 1970, UTC. note: why there are no samples; else empty."""

    dots: tuple[Dot, ...]
    created: float
    note: str = ""

    @property
    def calls(self) -> int:
        return sum(dot.task.calls for dot in self.dots)

    @property
    def saving_usd_a_month(self) -> float | None:
        """Of all tasks whose saving is known; None where none is."""
        known = [usd for dot in self.dots if (usd := dot.worth.saving_usd_a_month) is not None]
        return sum(known) if known else None

    @property
    def how(self) -> dict[str, str]:
        return dict(HOW)


def draw_map(
    workspace: Workspace, tasks: Sequence[Task], worths: Sequence[Worth], progress: Progress | None = None
) -> TaskMap:
    """The map of tasks, in the order of their worths; without samples where they cannot be redacted."""
    by_id = {task.id: task for task in tasks}
    bare = tuple(Dot(by_id[worth.task_id], worth) for worth in worths)
    try:
        redact = _redactor(workspace)
        dots: list[Dot] = []
        with (progress or Silent()).step("Redacting samples", len(bare)) as bar:
            for dot in bare:
                dots.append(replace(dot, samples=_samples(workspace, dot.task, redact)))
                bar.advance()
    except ImportError:
        return TaskMap(bare, time.time(), "No samples are shown: what redacts them is not installed.")
    except ProtegeError as error:
        return TaskMap(bare, time.time(), f"No samples are shown, since they cannot be redacted. {error}")
    return TaskMap(tuple(dots), time.time())


def write_map(path: Path, data: TaskMap) -> Path:
    """Write the page, readable by its owner only. Returns its path.

    Raises MissingDependency without plotly, WorkspaceError where the file cannot be written.
    """
    return write_page(path, render("map.html", data, map_plots), "--html")


# Samples


def _redactor(workspace: Workspace) -> Callable[[str], str]:
    """What replaces personal data in a text, by the workspace's policy; what it spares in one task's training it does
    not spare here."""
    from ..redact import redacted_text
    from ..redact.policy import load_policy

    policy = load_policy(workspace.home, key=workspace.key)
    return lambda text: redacted_text(text, policy)


def _samples(workspace: Workspace, task: Task, redact: Callable[[str], str]) -> tuple[Sample, ...]:
    """Calls that differ, from the beginning, the middle and the end of those that are looked at."""
    looked_at = itertools.islice(workspace.calls(task_id=task.id, teacher_only=True), _LOOKED_AT)
    found = list(dict.fromkeys(_said(task, call) for call in looked_at if call.response and not call.error))
    places = {round(i * (len(found) - 1) / (SAMPLES - 1)) for i in range(SAMPLES)} if found else set[int]()
    return tuple(_shown(*found[place], redact) for place in sorted(places))


def _said(task: Task, call: Call) -> tuple[str, str]:
    """What was asked, without the constant text, and what the teacher answered; without secrets."""
    fitting = fitting_template(task, call.request)
    turns = [_text(message) for message in (fitting[1] if fitting else call.request.messages)]
    return mask_text("\n".join(filter(None, turns))), mask_text(_text(call.response or {}))


def _text(message: Message) -> str:
    try:
        return answer_text(message)
    except InvalidAnswer:
        return text_of(message)


def _shown(asked: str, answered: str, redact: Callable[[str], str]) -> Sample:
    # As one text: whoever is named in both is the same other person in both.
    both = redact(f"{asked[:_REDACTED_CHARS]}{_BETWEEN}{answered[:_REDACTED_CHARS]}")
    question, _, answer = both.partition(_BETWEEN)
    return Sample(_cut(question), _cut(answer))


_BETWEEN = "\n\u2192\n"


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS].rstrip()} …"


# The plot


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a dot and its name stand, in pixels from the lower left. side: of the name, as plotly says it, or none."""

    x: float
    y: float
    radius: float
    side: str | None = None


def map_plots(data: TaskMap) -> dict[str, Any]:
    """The figure by its element's id: expected fit to the right, what the teacher costs upwards, areas by volume."""
    import plotly.graph_objects as go

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
            hoverinfo="none",  # the panel beside the plot tells it
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
    """What each task costs now: dollars a month, dollars for the calls watched, or tokens: what is known of all."""
    months = [dot.worth.cost_usd_a_month for dot in dots]
    if all(months):
        return [usd or 0.0 for usd in months], "teacher's cost a month, US dollars"
    watched = [(dot.worth.cost_usd or 0.0) * dot.task.calls for dot in dots]
    if all(watched):
        return watched, "teacher's cost of the calls watched, US dollars"
    tokens = [((d.task.input_tokens or 0.0) + (d.task.output_tokens or 0.0)) * d.task.calls for d in dots]
    return [max(1.0, value) for value in tokens], "tokens of the calls watched"


def _radii(dots: Sequence[Dot]) -> list[float]:
    """Areas by volume; half of the pixels across."""
    most = max(dot.task.calls for dot in dots) or 1
    return [max(_SMALLEST, _LARGEST * math.sqrt(dot.task.calls / most)) / 2 for dot in dots]


def arrange(points: Sequence[tuple[float, float]], radii: Sequence[float], lengths: Sequence[int]) -> list[Placed]:
    """Dots that would hide each other moved aside, and names where there is room, the first dots first.

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
"""Left, bottom, right, top."""


def _distance(one: Placed, other: Placed) -> float:
    """Pixels between two dots, negative where one hides much of the other."""
    return math.hypot(one.x - other.x, one.y - other.y) - 0.8 * (one.radius + other.radius)


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
