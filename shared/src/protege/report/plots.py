"""The plots, as plotly figures in JSON form; the page draws them in its own colours."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import orjson

from .data import ReportData, TaskReport

if TYPE_CHECKING:
    import plotly.graph_objects as go

BLUE, ORANGE, GREY = "#3d7ea6", "#d9822b", "#8a94a0"
"""Told apart on white, on black and by the colour-blind."""


def plots(data: ReportData) -> dict[str, Any]:
    """Figures by the id of the element that shows them: `overview`, and `risk-N`, `confidence-N`, `training-N`."""
    found: dict[str, go.Figure | None] = {"overview": overview(data)}
    for i, task in enumerate(data.tasks):
        found[f"risk-{i}"] = risk_coverage(task)
        found[f"confidence-{i}"] = confidences(task)
        found[f"training-{i}"] = training(task)
    return {name: as_plotly_json(figure) for name, figure in found.items() if figure is not None}


def overview(data: ReportData) -> go.Figure | None:
    """Agreement with its interval and coverage, a line a task."""
    import plotly.graph_objects as go

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
        error_x={
            "array": [a.high - a.rate for a in measured],
            "arrayminus": [a.rate - a.low for a in measured],
            "thickness": 1.5,
            "width": 4,
        },
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
    """Disagreement among the kept as the threshold falls and coverage grows, on the held-out test calls."""
    import plotly.graph_objects as go

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
    """Coverage and disagreement among the kept at each confidence that occurs, strictest first."""
    ranked = sorted(judged, key=lambda pair: -pair[0])
    curve: list[tuple[float, float]] = []
    wrong = 0
    for i, (confidence, agreed) in enumerate(ranked):
        wrong += not agreed
        if i + 1 == len(ranked) or ranked[i + 1][0] < confidence:
            curve.append(((i + 1) / len(ranked), wrong / (i + 1)))
    return curve


def confidences(task: TaskReport) -> go.Figure | None:
    """How sure the specialist was where it was right, and where it was wrong."""
    import plotly.graph_objects as go

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


def training(task: TaskReport) -> go.Figure | None:
    """The losses of tuning, step by step."""
    import plotly.graph_objects as go

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
    """The figure without plotly's own colours, 7 KB a figure."""
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
    """Plotly reads tags and links in labels: a name from outside must be neither."""
    return html.escape(name if len(name) <= 40 else f"{name[:39]}…")
