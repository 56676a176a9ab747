"""Agreement by kind of call: shows where a specialist is weak although it is good on the whole."""

from __future__ import annotations

import statistics
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..call import Call, text_of
from ..stats.intervals import clopper_pearson
from ..task import Example
from .differences import repeated_answers, tools_called
from .judging import Judged

MOST = 12
"""The most slices of one kind; the smaller ones together are "others"."""
OTHERS = "others"
_DAYS = 14
"""Calls that span fewer days are sliced by day, others by week."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Calls of one kind, and how often the specialist agrees with the teacher on them."""

    by: str
    """What the calls have in common: "answer", "length", "node", "agent", "framework" or "time"."""
    value: str
    """The value that they share."""
    n: int
    agreed: int
    agreement: float
    """`agreed / n`."""
    interval: tuple[float, float]
    """The exact 95% interval of the agreement, for each slice by itself: of twenty slices, one misses on average."""


def slices(judged: Sequence[Judged], examples: Iterable[Example] = ()) -> tuple[Slice, ...]:
    """Agreement by answer, and as far as `examples` tell by length of the input, node, agent, framework and time.

    examples: those that were judged. "answer" is the teacher's label, or the tools that it called; left out if answers
    do not repeat. "length" is by quartiles of the messages' characters. "time" is by UTC days, or weeks named by their
    Mondays. A kind with only one value is left out.
    """
    asked = {example.id: example.call for example in examples}
    sliced = _sliced("answer", judged, _answers(judged), ordered=False)
    known = [j for j in judged if j.call_id in asked]
    calls = {j.call_id: asked[j.call_id] for j in known}
    named: dict[str, Callable[[Call], str]] = {
        "node": lambda call: "/".join(call.node),
        "agent": lambda call: call.agent or "",
        "framework": lambda call: call.framework or "",
    }
    sliced += _sliced("length", known, _lengths(calls), ordered=True)
    for by, name in named.items():
        sliced += _sliced(by, known, {call_id: name(call) for call_id, call in calls.items()}, ordered=False)
    return tuple(sliced + _sliced("time", known, _times(calls), ordered=True))


def _sliced(by: str, judged: Sequence[Judged], values: Mapping[str, str], *, ordered: bool) -> list[Slice]:
    """One slice for each value: in the order of their names, or the largest first with the small ones together."""
    groups: defaultdict[str, list[bool]] = defaultdict(list)
    for j in judged:
        if value := values.get(j.call_id):
            groups[value].append(j.agreed)
    if len(groups) < 2:
        return []
    if ordered:
        names = sorted(groups)
    else:
        names = sorted(groups, key=lambda value: (-len(groups[value]), value))
        for small in names[MOST:]:
            groups[OTHERS] = groups[OTHERS] + groups[small]
        names = [*names[:MOST], *([OTHERS] if len(names) > MOST else [])]
    return [_slice(by, name, groups[name]) for name in names]


def _slice(by: str, value: str, agreed: Sequence[bool]) -> Slice:
    n, right = len(agreed), sum(agreed)
    return Slice(by, value, n, right, right / n, clopper_pearson(right, n))


def _answers(judged: Sequence[Judged]) -> dict[str, str]:
    """The teacher's answer by call if answers repeat; for tool calls, the names of the tools."""
    tools = {j.call_id: " + ".join(names) for j in judged if (names := tools_called(j.teacher))}
    if tools:
        return {j.call_id: tools.get(j.call_id, "no tool") for j in judged}
    return {j.call_id: j.teacher.strip() for j in judged} if repeated_answers(judged) else {}


def _lengths(calls: Mapping[str, Call]) -> dict[str, str]:
    """The quartile of each call's characters, named by its bounds."""
    lengths = {call_id: sum(len(text_of(m)) for m in call.request.messages) for call_id, call in calls.items()}
    if len(set(lengths.values())) < 4:
        return {}
    cuts = statistics.quantiles(lengths.values(), n=4, method="inclusive")
    ends = [min(lengths.values()), *cuts, max(lengths.values())]
    names = [f"{i + 1}: {ends[i]:,.0f}–{ends[i + 1]:,.0f} characters" for i in range(4)]
    return {call_id: names[bisect_left(cuts, length)] for call_id, length in lengths.items()}


def _times(calls: Mapping[str, Call]) -> dict[str, str]:
    when = {i: datetime.fromtimestamp(call.time, UTC).date() for i, call in calls.items() if call.time is not None}
    if not when:
        return {}
    if (max(when.values()) - min(when.values())).days < _DAYS:
        return {call_id: day.isoformat() for call_id, day in when.items()}
    return {call_id: f"week of {day - timedelta(days=day.weekday())}" for call_id, day in when.items()}
