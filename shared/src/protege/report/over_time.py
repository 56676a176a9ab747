"""What specialists did with live calls, by day: the share they kept, how often audits agreed, what it saved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..stats.intervals import clopper_pearson

if TYPE_CHECKING:
    from ..store.history import AttemptCount

Unit: TypeAlias = Literal["hour", "day"]
HOUR_S = 3600
SECONDS: Mapping[Unit, int] = {"hour": HOUR_S, "day": 86_400}
FEW_DAYS = 2
"""Calls that all came within so many days are shown by the hour."""


@dataclass(frozen=True, slots=True)
class Period:
    """An hour or a day (UTC) of live calls.

    start: seconds since 1970. asked: calls that specialists were asked. kept: those that got the specialist's answer.
    coverage: the share of `asked` that is kept, or would have been had it not been audited. compared: answers that
    would have been kept, audited, and compared with the teacher's; of these `disagreed`. agreement, interval: their
    share that agrees, exact at 95%; agreement is None where none was compared. saved_usd: None where no cost is known.
    """

    start: float
    asked: int
    kept: int
    coverage: float
    compared: int
    disagreed: int
    agreement: float | None
    interval: tuple[float, float]
    saved_usd: float | None


@dataclass(frozen=True, slots=True)
class OverTime:
    """Periods in their order, those without a call left out. whole: all of them together; None where there is none."""

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
class Ledger:
    """Attempts by task and hour. saved_usd: what one kept call of a task saves, by task id. after: the ids of those
    that are asked only what another handed back: the same call is not counted twice."""

    saved_usd: Mapping[str, float | None]
    after: Collection[str] = ()
    _hours: dict[str, dict[int, _Tally]] = field(default_factory=lambda: defaultdict(dict))

    def take(self, counted: Iterable[AttemptCount]) -> Ledger:
        """Add what `Workspace.count_attempts(HOUR_S)` counts. Calls of unknown time, and those that were only asked
        afterwards, are left out."""
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
        """Of these tasks; of all where none is named. By the hour where all that was counted lies within two days."""
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
        found = sorted(periods.items())
        first = float(found[0][0] * SECONDS[unit])
        return OverTime(unit, tuple(t.period(float(i * SECONDS[unit])) for i, t in found), whole.period(first))
