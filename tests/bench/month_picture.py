"""The picture of a simulated month: by task and day, what was kept, how much of it was wrong, and what happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, LEFT, ROW, TOP = 900, 90, 96, 40
HEIGHT = 62
MOST_WRONG = 0.25
MARKED = {
    "live": "#2a7f3f",
    "canary": "#7fb069",
    "rolled back": "#c0392b",
    "prompt changed": "#8e44ad",
    "drift": "#8e44ad",
    "teacher changed": "#8e44ad",
}


def draw(found: Mapping[str, Any]) -> str:
    """An SVG document of what `month` found."""
    tasks = list(found["days"])
    parts = [_legend()]
    for place, task in enumerate(tasks):
        parts += _row(TOP + place * ROW, task, found["days"][task], [e for e in found["events"] if e["task"] == task])
    height = TOP + len(tasks) * ROW + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        f'font-size="11"><rect width="{WIDTH}" height="{height}" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _row(top: float, task: str, days: Sequence[Mapping[str, int]], events: Sequence[Mapping[str, Any]]) -> list[str]:
    step = (WIDTH - LEFT - 20) / len(days)
    bottom = top + HEIGHT
    parts = [f'<text x="10" y="{top + 14}" font-weight="bold">{escape(task)}</text>']
    parts.append(f'<line x1="{LEFT}" y1="{bottom}" x2="{WIDTH - 20}" y2="{bottom}" stroke="#999"/>')
    wrong: list[str] = []
    for number, day in enumerate(days):
        x, share = LEFT + number * step, day["kept"] / max(1, day["calls"])
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{bottom - share * HEIGHT:.1f}" width="{step - 2:.1f}" '
            f'height="{share * HEIGHT:.1f}" fill="#cfe3f5"/>'
        )
        if day["kept"]:
            rate = min(MOST_WRONG, day["wrong"] / day["kept"]) / MOST_WRONG
            wrong.append(f"{x + step / 2:.1f},{bottom - rate * HEIGHT:.1f}")
    allowed = bottom - 0.05 / MOST_WRONG * HEIGHT
    parts.append(
        f'<line x1="{LEFT}" y1="{allowed:.1f}" x2="{WIDTH - 20}" y2="{allowed:.1f}" stroke="#c0392b" '
        'stroke-dasharray="3 3"/>'
    )
    parts.append(f'<polyline points="{" ".join(wrong)}" fill="none" stroke="#c0392b" stroke-width="1.5"/>')
    for event in events:
        if colour := MARKED.get(event["what"]):
            x = LEFT + event["day"] * step
            parts.append(f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="{colour}"/>')
            parts.append(
                f'<circle cx="{x:.1f}" cy="{top}" r="3.5" fill="{colour}"><title>{_said(event)}</title></circle>'
            )
    parts += [
        f'<text x="{LEFT + day * step:.1f}" y="{bottom + 12}" fill="#666">{day}</text>'
        for day in range(0, len(days), 5)
    ]
    return parts


def _said(event: Mapping[str, Any]) -> str:
    return escape(f"day {event['day']:.1f}: {event['what']}. {event['why']}")


def _legend() -> str:
    shown = [
        ("#cfe3f5", "share of calls kept"),
        ("#c0392b", "of those, wrong (top: 25%; dashed: the 5% allowed); dot: rolled back"),
        ("#8e44ad", "a change was noticed"),
        ("#7fb069", "canary"),
        ("#2a7f3f", "live"),
    ]
    x, parts = 10.0, list[str]()
    for colour, text in shown:
        parts.append(f'<rect x="{x}" y="8" width="10" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{x + 14}" y="17">{escape(text)}</text>')
        x += 24 + 6.1 * len(text)
    return "".join(parts)
