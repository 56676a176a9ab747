"""What has changed in the traffic: new kinds of call, new wordings, and kinds that come more or less often.

One pass over the calls, a few numbers a task and day. Calls whose time is not known are left out.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..call import Call
from ..task import Task
from .assign import Assigner

What: TypeAlias = Literal["new", "reworded", "more", "less", "gone", "unknown"]
DAY_S = 86_400
SHARE = 0.01
"""Of the traffic: what is less is no news."""
FEWEST = 20
"""Calls that a change shows itself in."""
TIMES = 2.0
"""A kind that comes so many times as often as before, or as seldom, has changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """what: "new" kind of call, "reworded" prompt, "more", "less", "gone", or "unknown": calls without a task.

    task: its id and name; empty for calls without one. since: start of the day (seconds since 1970, UTC).
    share, before: of the traffic since then, and until then; for a new wording, of its task's calls.
    """

    what: What
    task: str
    name: str
    since: float
    share: float
    before: float
    calls: int


Days: TypeAlias = Counter[int]
"""Calls by day."""


def changes(calls: Iterable[Call], tasks: Sequence[Task], assignment: Mapping[str, str | None]) -> list[Change]:
    """The changes, the latest first. What is seen on the first day is where all begins, and no news."""
    assigner = Assigner(tasks)
    total: Days = Counter()
    of_task: dict[str, Days] = defaultdict(Counter)
    of_wording: dict[tuple[str, str], Days] = defaultdict(Counter)
    for call in calls:
        if call.time is None:
            continue
        day = int(call.time // DAY_S)
        task = assignment.get(call.id) or ""
        total[day] += 1
        of_task[task][day] += 1
        if task and (found := assigner.fit(call.request)):
            of_wording[task, found[1].signature][day] += 1
    names = {task.id: task.name for task in tasks}
    found = [c for task, days in of_task.items() if (c := _of_task(task, names.get(task, ""), days, total))]
    new = {change.task for change in found if change.what == "new"}
    for (task, _), days in of_wording.items():
        if task not in new and (change := _appeared("reworded", task, names.get(task, ""), days, of_task[task])):
            found.append(change)
    return sorted(found, key=lambda change: (-change.since, -change.share, change.task))


def _of_task(task: str, name: str, days: Days, total: Days) -> Change | None:
    if change := _appeared("new" if task else "unknown", task, name, days, total):
        return change
    if task and max(days) < max(total):
        since = max(days) + 1
        before = _share(days, total, min(total), since)
        expected = before * sum(n for day, n in total.items() if day >= since)
        if before >= SHARE and expected >= FEWEST:
            return Change("gone", task, name, since * DAY_S, 0.0, before, 0)
    return _more_or_less(task, name, days, total)


def _appeared(what: What, task: str, name: str, days: Days, total: Days) -> Change | None:
    """The change where the first of these calls came after the first of all."""
    since, calls = min(days), days.total()
    share = _share(days, total, since)
    if since <= min(total) or share < SHARE or calls < FEWEST:
        return None
    return Change(what, task, name, since * DAY_S, share, 0.0, calls)


def _more_or_less(task: str, name: str, days: Days, total: Days) -> Change | None:
    """The day since which the share has changed most, if by `TIMES`, and surely so."""
    best: Change | None = None
    best_z = 4.0  # standard errors
    for since in sorted(total)[1:]:
        before, share = _share(days, total, min(total), since), _share(days, total, since)
        n_before, n = (sum(k for d, k in total.items() if (d >= since) == later) for later in (False, True))
        low, high = sorted((before, share))
        pooled = days.total() / total.total()
        z = (high - low) / math.sqrt(max(pooled * (1 - pooled), 1e-9) * (1 / n_before + 1 / n))
        if high >= SHARE and high >= TIMES * low and z > best_z:
            what: What = "unknown" if not task else "more" if share > before else "less"
            calls = sum(k for d, k in days.items() if d >= since)
            best, best_z = Change(what, task, name, since * DAY_S, share, before, calls), z
    return best


def _share(days: Days, total: Days, since: int, until: float = math.inf) -> float:
    of_all = sum(n for day, n in total.items() if since <= day < until)
    return sum(n for day, n in days.items() if since <= day < until) / of_all if of_all else 0.0
