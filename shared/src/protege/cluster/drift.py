"""What has changed in the traffic: new kinds of call, new wordings, and kinds that come more or less often.

One pass over the calls, keeping a few numbers per task and day. Calls without a time are left out.
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
"""A kind with a smaller share of the traffic is not reported."""
FEWEST = 20
"""A change must show in at least this many calls."""
TIMES = 2.0
"""A kind has changed when it comes at least this many times more often, or more rarely, than before."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change in the traffic."""

    what: What
    """A "new" kind of call, a "reworded" prompt, "more", "less", "gone", or "unknown": calls without a task."""
    task: str
    """The task's id; empty for calls without a task."""
    name: str
    """The task's name; empty for calls without a task."""
    since: float
    """Start of the day of the change, in seconds since 1970 (UTC)."""
    share: float
    """Share of the traffic since then, 0 to 1; for a new wording, of its task's calls."""
    before: float
    """Share until then."""
    calls: int
    """Calls since then."""


Days: TypeAlias = Counter[int]
"""Number of calls by day."""


def changes(calls: Iterable[Call], tasks: Sequence[Task], assignment: Mapping[str, str | None]) -> list[Change]:
    """The changes, latest first. What occurs on the first day is the starting point and no change.

    assignment: task id by call id, as in `Discovery`.
    """
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
        if task and (match := assigner.fit(call.request)):
            of_wording[task, match[1].signature][day] += 1
    names = {task.id: task.name for task in tasks}
    seen = [c for task, days in of_task.items() if (c := _of_task(task, names.get(task, ""), days, total))]
    new = {change.task for change in seen if change.what == "new"}
    for (task, _), days in of_wording.items():
        if task not in new and (change := _appeared("reworded", task, names.get(task, ""), days, of_task[task])):
            seen.append(change)
    return sorted(seen, key=lambda change: (-change.since, -change.share, change.task))


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
    """The change if the first of these calls came after the first day of all calls."""
    since, calls = min(days), days.total()
    share = _share(days, total, since)
    if since <= min(total) or share < SHARE or calls < FEWEST:
        return None
    return Change(what, task, name, since * DAY_S, share, 0.0, calls)


def _more_or_less(task: str, name: str, days: Days, total: Days) -> Change | None:
    """The day since which the share has changed most, if by at least `TIMES` and by more than chance explains."""
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
