"""The report's plots, as plotly figures in JSON form; the page draws them in its own colours."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import plotly.graph_objects as go

from .data import ReportData, TaskReport
from .over_time import OverTime

BLUE, ORANGE, GREY = "#3d7ea6", "#d9822b", "#8a94a0"
"""Distinct on white, on black and for the colour-blind."""
MOST_INCIDENTS = 20
"""The most incidents drawn as lines in a plot."""


def plots(data: ReportData) -> dict[str, Any]:
    """Figures by the id of the element that shows them: `overview`, `over-time`, and `risk-N`, `confidence-N`,
    `reliability-N`, `training-N`, `slices-N`, `over-time-N`."""
    incidents = [incident.time for incident in data.incidents]
    figures: dict[str, go.Figure | None] = {
        "overview": overview(data),
        "over-time": over_time(data.over_time, incidents),
    }
    for i, task in enumerate(data.tasks):
        figures[f"risk-{i}"] = risk_coverage(task)
        figures[f"confidence-{i}"] = confidences(task)
        figures[f"reliability-{i}"] = reliability(task)
        figures[f"training-{i}"] = training(task)
        figures[f"slices-{i}"] = slices(task)
        theirs = [incident.time for incident in data.incidents if incident.task == task.name]
        figures[f"over-time-{i}"] = over_time(task.over_time, theirs)
    return {name: as_plotly_json(figure) for name, figure in figures.items() if figure is not None}


def overview(data: ReportData) -> go.Figure | None:
    """Agreement with its interval, and coverage, one line a task."""
    tasks = [task for task in reversed(data.tasks) if task.agreement]
    if not tasks:
        return None
    names = [label(task.name) for task in tasks]
    measured = [task.agreement for task in tasks if task.agreement]
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=[task.certified.coverage if task.certified else 0 for task in tasks],
        orientation="h",
        name="certified coverage",
        marker_color=BLUE,
        opacity=0.35,
        hovertemplate="certified coverage %{x:.1%}<extra></extra>",
    )
    figure.add_scatter(
        y=names,
        x=[task.certified.hindsight if task.certified else None for task in tasks],
        mode="markers",
        name="coverage in hindsight",
        marker={"color": BLUE, "symbol": "line-ns-open", "size": 16, "line": {"width": 2}},
        hovertemplate="coverage in hindsight %{x:.1%}<extra></extra>",
    )
    figure.add_scatter(
        y=names,
        x=[a.rate for a in measured],
        error_x=_bars([a.rate for a in measured], [(a.low, a.high) for a in measured]),
        mode="markers",
        name="agreement, 95% interval",
        marker={"color": ORANGE, "size": 9},
        hovertemplate="agreement %{x:.1%}<extra></extra>",
    )
    figure.update_layout(
        height=90 + 44 * len(tasks),
        bargap=0.45,
        margin={"l": 10, "r": 16, "t": 36, "b": 32},
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(automargin=True)
    return figure


def risk_coverage(task: TaskReport) -> go.Figure | None:
    """Disagreement among the kept calls as the threshold falls and coverage grows, on held-out calls."""
    curve = risk_curve(task.judged)
    if not curve:
        return None
    figure = go.Figure()
    figure.add_scatter(
        x=[coverage for coverage, _ in curve],
        y=[risk for _, risk in curve],
        mode="lines",
        showlegend=False,
        line={"color": BLUE, "width": 2},
        hovertemplate="%{x:.1%} kept, %{y:.1%} of them wrong<extra></extra>",
    )
    if task.certified:
        epsilon = task.certified.epsilon
        figure.add_hline(y=epsilon, line={"color": GREY, "width": 1, "dash": "dash"})
        figure.add_annotation(
            x=0, y=epsilon, text=f"ε = {epsilon:g}", showarrow=False, xanchor="left", yanchor="bottom", font_size=11
        )
        if task.certified.threshold is not None:
            kept = [agreed for confidence, agreed in task.judged if confidence >= task.certified.threshold]
            figure.add_scatter(
                x=[len(kept) / len(task.judged)],
                y=[1 - sum(kept) / len(kept) if kept else 0],
                mode="markers",
                name="at the threshold",
                showlegend=True,
                marker={"color": ORANGE, "size": 10},
                hovertemplate="at the threshold: %{x:.1%} kept, %{y:.1%} wrong<extra></extra>",
            )
    figure.update_xaxes(range=[0, 1.02], dtick=0.25, tickformat=".0%", title_text="kept")
    figure.update_yaxes(rangemode="tozero", tickformat=".0%", title_text="wrong among the kept")
    return _small(figure)


def risk_curve(judged: tuple[tuple[float, bool], ...]) -> list[tuple[float, float]]:
    """Coverage, and disagreement among the kept calls, at each confidence that occurs, strictest first."""
    ranked = sorted(judged, key=lambda pair: -pair[0])
    curve: list[tuple[float, float]] = []
    wrong = 0
    for i, (confidence, agreed) in enumerate(ranked):
        wrong += not agreed
        if i + 1 == len(ranked) or ranked[i + 1][0] < confidence:
            curve.append(((i + 1) / len(ranked), wrong / (i + 1)))
    return curve


def confidences(task: TaskReport) -> go.Figure | None:
    """How confident the specialist was in right and in wrong answers."""
    if not task.judged:
        return None
    figure = go.Figure()
    for agreed, name, colour in ((True, "right", BLUE), (False, "wrong", ORANGE)):
        figure.add_histogram(
            x=[confidence for confidence, was in task.judged if was is agreed],
            xbins={"start": 0, "end": 1.0001, "size": 0.05},
            name=name,
            marker_color=colour,
            hovertemplate="%{y} " + name + "<extra></extra>",
        )
    if task.certified and task.certified.threshold is not None:
        figure.add_vline(x=task.certified.threshold, line={"color": GREY, "width": 1, "dash": "dash"})
    figure.update_layout(barmode="stack", bargap=0.08)
    figure.update_xaxes(range=[0, 1.0001], title_text="confidence")
    figure.update_yaxes(title_text="calls")
    return _small(figure)


def reliability(task: TaskReport) -> go.Figure | None:
    """Agreement by confidence, with the diagonal on which they are equal."""
    if task.reliability is None:
        return None
    bins = task.reliability.bins
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        showlegend=False,
        hoverinfo="skip",
        line={"color": GREY, "dash": "dash", "width": 1},
    )
    figure.add_scatter(
        x=[b.confidence for b in bins],
        y=[b.agreement for b in bins],
        error_y=_bars([b.agreement for b in bins], [b.interval for b in bins]),
        customdata=[b.n for b in bins],
        mode="markers",
        showlegend=False,
        marker={"color": BLUE, "size": 8},
        hovertemplate="confidence %{x:.3f}, agreement %{y:.1%} of %{customdata}<extra></extra>",
    )
    figure.update_xaxes(range=[0, 1.02], title_text="confidence")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%", title_text="agreement")
    return _small(figure)


def slices(task: TaskReport) -> go.Figure | None:
    """Agreement by kind of call with its interval, and the agreement of all calls as a line."""
    if not task.slices:
        return None
    shown = task.slices[::-1]
    figure = go.Figure()
    if task.agreement:
        figure.add_vline(x=task.agreement.rate, line={"color": GREY, "width": 1, "dash": "dash"})
    figure.add_scatter(
        y=[label(f"{s.by}: {s.value}") for s in shown],
        x=[s.agreement for s in shown],
        error_x=_bars([s.agreement for s in shown], [s.interval for s in shown]),
        customdata=[s.n for s in shown],
        mode="markers",
        showlegend=False,
        marker={"color": ORANGE, "size": 8},
        hovertemplate="%{x:.1%} of %{customdata}<extra></extra>",
    )
    figure.update_layout(height=70 + 24 * len(shown), margin={"l": 10, "r": 16, "t": 12, "b": 32})
    figure.update_xaxes(range=[0, 1.02], tickformat=".0%")
    figure.update_yaxes(automargin=True)
    return figure


def over_time(history: OverTime, incidents: Sequence[float] = ()) -> go.Figure | None:
    """Coverage, and audited agreement with its interval; incidents (seconds since 1970) as lines."""
    if not history.periods:
        return None
    compared = [(p, p.agreement) for p in history.periods if p.agreement is not None]
    figure = go.Figure()
    figure.add_scatter(
        x=[_when(p.start) for p in history.periods],
        y=[p.coverage for p in history.periods],
        customdata=[p.asked for p in history.periods],
        mode="lines+markers",
        name="coverage",
        line={"color": BLUE, "width": 2},
        hovertemplate="%{x}: %{y:.1%} of %{customdata} kept<extra></extra>",
    )
    figure.add_scatter(
        x=[_when(p.start) for p, _ in compared],
        y=[agreement for _, agreement in compared],
        error_y=_bars([agreement for _, agreement in compared], [p.interval for p, _ in compared]),
        customdata=[p.compared for p, _ in compared],
        mode="markers",
        name="audited agreement, 95% interval",
        marker={"color": ORANGE, "size": 8},
        hovertemplate="%{x}: %{y:.1%} of %{customdata} audited agree<extra></extra>",
    )
    for time in incidents[:MOST_INCIDENTS]:
        figure.add_vline(x=_when(time), line={"color": GREY, "width": 1, "dash": "dot"})
    figure.update_xaxes(type="date")
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return _small(figure)


def _when(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M")


def _bars(rates: Sequence[float], intervals: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Error bars: the interval around each rate."""
    return {
        "array": [high - rate for rate, (_, high) in zip(rates, intervals, strict=True)],
        "arrayminus": [rate - low for rate, (low, _) in zip(rates, intervals, strict=True)],
        "thickness": 1.5,
        "width": 4,
    }


def training(task: TaskReport) -> go.Figure | None:
    """The losses of tuning, step by step."""
    if not task.losses:
        return None
    figure = go.Figure()
    for name, colour, mode in (("train", GREY, "lines"), ("validation", BLUE, "lines+markers")):
        points = [(loss.step, getattr(loss, name)) for loss in task.losses if getattr(loss, name) is not None]
        figure.add_scatter(
            x=[step for step, _ in points],
            y=[value for _, value in points],
            mode=mode,
            name=name,
            line={"color": colour, "width": 2},
            hovertemplate=f"step %{{x}}, {name} loss %{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(title_text="step")
    figure.update_yaxes(rangemode="tozero", title_text="loss")
    return _small(figure)


def as_plotly_json(figure: go.Figure) -> dict[str, Any]:
    """The figure without plotly's colour template, which takes 7 KB a figure."""
    plain: dict[str, Any] = orjson.loads(figure.to_json() or "{}")
    plain["layout"].pop("template", None)
    return plain


def _small(figure: go.Figure) -> go.Figure:
    figure.update_layout(
        height=260,
        margin={"l": 44, "r": 8, "t": 28, "b": 40},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
    )
    figure.update_xaxes(title_standoff=8, title_font_size=12)
    figure.update_yaxes(title_standoff=8, title_font_size=12, automargin=True)
    return figure


def label(name: str) -> str:
    """A name as a label: cut, and escaped because plotly reads tags and links in labels."""
    return html.escape(name if len(name) <= 40 else f"{name[:39]}…")
