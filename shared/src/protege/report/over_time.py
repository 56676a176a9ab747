"""What specialists did with live calls over time: the share they kept, how often audits agreed, what that saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..stats.intervals import clopper_pearson

if TYPE_CHECKING:
    from ..store.records import AttemptCount

Unit: TypeAlias = Literal["hour", "day"]
HOUR_S = 3600
SECONDS: Mapping[Unit, int] = {"hour": HOUR_S, "day": 86_400}
FEW_DAYS = 2
"""If all calls came within this many days, they are shown by the hour."""


@dataclass(frozen=True, slots=True)
class Period:
    """An hour or a day (UTC) of live calls."""

    start: float
    """Seconds since 1970."""
    asked: int
    """Calls that specialists were asked."""
    kept: int
    """Calls that got the specialist's answer."""
    coverage: float
    """The share of `asked` that was kept, or would have been kept without an audit."""
    compared: int
    """Audited answers that would have been kept and were compared with the teacher's."""
    disagreed: int
    """Those of them that disagree."""
    agreement: float | None
    """The share of `compared` that agrees; None if none was compared."""
    interval: tuple[float, float]
    """The exact 95% interval of `agreement`."""
    saved_usd: float | None
    """US dollars saved; None if no cost is known."""


@dataclass(frozen=True, slots=True)
class OverTime:
    """Periods in order, without those that have no call. whole: all of them together; None if there are none."""

    unit: Unit = "day"
    periods: tuple[Period, ...] = ()
    whole: Period | None = None


@dataclass(slots=True)
class _Tally:
    asked: int = 0
    kept: int = 0
    would_keep: int = 0
    compared: int = 0
    disagreed: int = 0
    saved_usd: float | None = None

    def add(self, other: _Tally) -> None:
        for name in ("asked", "kept", "would_keep", "compared", "disagreed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.saved_usd is not None:
            self.saved_usd = (self.saved_usd or 0.0) + other.saved_usd

    def period(self, start: float) -> Period:
        n, wrong = self.compared, self.disagreed
        return Period(
            start=start,
            asked=self.asked,
            kept=self.kept,
            coverage=(self.kept + self.would_keep) / self.asked if self.asked else 0.0,
            compared=n,
            disagreed=wrong,
            agreement=1 - wrong / n if n else None,
            interval=clopper_pearson(n - wrong, n),
            saved_usd=self.saved_usd,
        )


@dataclass
class HourlyCounts:
    """Counts attempts by task and hour."""

    saved_usd: Mapping[str, float | None]
    """What one kept call of a task saves, by task id."""
    after: Collection[str] = ()
    """The ids of specialists that are asked only what another handed back, so that no call is counted twice."""
    _hours: dict[str, dict[int, _Tally]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, counted: Iterable[AttemptCount]) -> HourlyCounts:
        """Add what `Workspace.count_attempts(HOUR_S)` counts, except calls of unknown time and those asked only in the
        shadow. Returns itself."""
        for count in counted:
            if count.start is not None and count.outcome != "shadowed":
                hour = int(count.start // HOUR_S)
                self._add(self._hours[count.task_id].setdefault(hour, _Tally()), count)
        return self

    def _add(self, tally: _Tally, count: AttemptCount) -> None:
        tally.asked += count.n * (count.specialist_id not in self.after)
        if count.outcome == "kept":
            tally.kept += count.n
            if (saved := self.saved_usd.get(count.task_id)) is not None:
                tally.saved_usd = (tally.saved_usd or 0.0) + count.n * saved
        elif count.outcome == "audited" and count.reason == "kept":
            tally.would_keep += count.n
            if count.agreed is not None:
                tally.compared += count.n
                tally.disagreed += count.n * (not count.agreed)

    def over_time(self, *task_ids: str) -> OverTime:
        """The periods of these tasks, or of all if none is named; by the hour if all that was counted lies within two
        days."""
        every = [hour for hours in self._hours.values() for hour in hours]
        if not every:
            return OverTime()
        few = (max(every) - min(every)) * HOUR_S < FEW_DAYS * SECONDS["day"]
        unit: Unit = "hour" if few else "day"
        periods: defaultdict[int, _Tally] = defaultdict(_Tally)
        whole = _Tally()
        for task_id in task_ids or tuple(self._hours):
            for hour, tally in self._hours.get(task_id, {}).items():
                periods[hour * HOUR_S // SECONDS[unit]].add(tally)
                whole.add(tally)
        if not periods:
            return OverTime(unit)
        in_order = sorted(periods.items())
        first = float(in_order[0][0] * SECONDS[unit])
        return OverTime(unit, tuple(t.period(float(i * SECONDS[unit])) for i, t in in_order), whole.period(first))
