"""The whole agent with specialists and without, on the same cases: whether it still reaches its goals, and what that
costs. Tasks may agree and the agent fail, or the other way round."""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ..call import Call
from ..cluster.worth import MACHINE_USD_PER_HOUR
from ..collect import drain
from ..common.prices import cost_usd
from ..common.progress import Progress, Silent
from ..errors import BadInput
from ..evaluate.comparing import mcnemar
from ..route.router import OFF
from ..stats.intervals import clopper_pearson, difference, paired_difference
from ..workspace import Workspace

Case = TypeVar("Case")


@dataclass(frozen=True, slots=True)
class _Ran:
    """A run of the agent. began, ended: seconds since 1970. error: the type of what it raised, empty where nothing."""

    specialists: bool
    succeeded: bool
    began: float
    ended: float
    took_ms: float
    error: str


def compare_agents(
    workspace: Workspace,
    run: Callable[[Case], bool],
    cases: Sequence[Case],
    *,
    progress: Progress | None = None,
) -> EndToEnd:
    """Run the agent on each case with specialists and without, and compare; kept in the workspace for reports.

    run: runs the agent on a case, in this process or one that it starts, and says whether it reached its goal; a run
    that raises did not. The agent records into this workspace and routes by it, and has its specialists served (as by
    `protege serve`); nothing else records there meanwhile. It keeps nothing from one run to the next: a cache would
    give the second what the first has paid for. cases: none that specialists may have learnt from. Which of a case's
    two runs comes first alternates, so that what drifts meanwhile weighs on both alike.

    A run's cost is that of the calls recorded while it ran: the teacher's as recorded, or its tokens at a list price;
    this machine's time for every answer of a specialist, those that were handed back among them. It is None where the
    price of one call is unknown, or no call was recorded.

    Success is compared by McNemar's exact test (Psychometrika 12, 1947). Raises BadInput without a case, and where no
    specialist is live.
    """
    if not cases:
        raise BadInput("There is no case to run the agent on.", "Give some that the specialists have not learnt from.")
    if not any(specialist.answers for specialist in workspace.specialists()):
        raise BadInput("No specialist is live: the two would be the same.", "`protege improve` makes one.")
    last = workspace.last_call()
    ran: list[_Ran] = []
    with (progress or Silent()).step("The agent with specialists and without", 2 * len(cases)) as bar:
        for number, case in enumerate(cases):
            for specialists in (True, False) if number % 2 == 0 else (False, True):
                with _routing(specialists):
                    ran.append(_run(run, case, specialists))
                bar.advance()
    drain(workspace)
    recorded = sorted(workspace.calls(after=last), key=lambda call: call.time or 0.0)
    price_as: str | None = (workspace.result("teacher") or {}).get("price_as")
    with_, without = ([one for one in ran if one.specialists is arm] for arm in (True, False))
    found = EndToEnd(_runs(without, recorded, price_as), _runs(with_, recorded, price_as), _paired(with_, without))
    workspace.save_result("end-to-end", {**found.to_record(), "time": time.time()})
    return found


@contextmanager
def _routing(on: bool) -> Iterator[None]:
    """Routes on or off, as the environment tells them at every call; then as it was."""
    before = os.environ.pop(OFF, None)
    if not on:
        os.environ[OFF] = "off"
    try:
        yield
    finally:
        os.environ.pop(OFF, None)
        if before is not None:
            os.environ[OFF] = before


def _run(run: Callable[[Case], bool], case: Case, specialists: bool) -> _Ran:
    began, began_s = time.time(), time.perf_counter()
    try:
        succeeded, error = bool(run(case)), ""
    except Exception as raised:  # noqa: BLE001 - the agent is the user's: whatever it raises, this run has failed
        succeeded, error = False, type(raised).__name__
    return _Ran(specialists, succeeded, began, time.time(), (time.perf_counter() - began_s) * 1000, error)


def _runs(ran: Sequence[_Ran], recorded: Sequence[Call], price_as: str | None) -> Runs:
    calls = list(_during(ran, recorded))
    errors = Counter(one.error for one in ran if one.error)
    return Runs(
        runs=len(ran),
        succeeded=sum(one.succeeded for one in ran),
        cost_usd=_cost(calls, price_as) if calls else None,
        latency_ms=statistics.median(one.took_ms for one in ran),
        calls=len(calls),
        kept=sum(not call.from_teacher for call in calls),
        errors=dict(errors.most_common()),
    )


def _paired(with_: Sequence[_Ran], without: Sequence[_Ran]) -> Paired:
    """Both in the order of their cases."""
    pairs = Counter((one.succeeded, other.succeeded) for one, other in zip(with_, without, strict=True))
    return Paired(pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False])


def _during(ran: Sequence[_Ran], recorded: Sequence[Call]) -> Iterator[Call]:
    """The calls that began in one of the runs; both in the order of time."""
    runs = iter(ran)
    one = next(runs, None)
    for call in recorded:
        while one is not None and call.time is not None and call.time > one.ended:
            one = next(runs, None)
        if one is not None and call.time is not None and call.time >= one.began:
            yield call


def _cost(calls: Iterable[Call], price_as: str | None) -> float | None:
    """US dollars; None where a call's price is unknown."""
    total = 0.0
    for call in calls:
        teacher = _teacher_usd(call, price_as) if call.from_teacher else 0.0
        if teacher is None:
            return None
        total += teacher + sum(attempt.latency_ms or 0.0 for attempt in call.attempts) * MACHINE_USD_PER_HOUR / 3.6e6
    return total


def _teacher_usd(call: Call, price_as: str | None) -> float | None:
    """As recorded, else its tokens at the list price of `price_as`; nothing for a call that came to no answer."""
    if call.cost_usd is not None:
        return call.cost_usd
    if call.error is not None and call.response is None:
        return 0.0
    if price_as is None or call.input_tokens is None or call.output_tokens is None:
        return None
    return cost_usd(price_as, call.input_tokens, call.output_tokens)


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of a whole agent, of which some reached their goal.

    cost_usd: of all of them, None where unknown. latency_ms: of a run, the median. calls: to models in all of them, of
    which specialists answered `kept`. errors: how many runs raised what, by the exception's type.
    """

    runs: int
    succeeded: int
    cost_usd: float | None = None
    latency_ms: float | None = None
    calls: int | None = None
    kept: int | None = None
    errors: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def success(self) -> float:
        return self.succeeded / self.runs if self.runs else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Of the success, exact, at 95%."""
        return clopper_pearson(self.succeeded, self.runs)

    @property
    def usd_a_success(self) -> float | None:
        """US dollars that a run that reached its goal costs, those that did not counted in."""
        return self.cost_usd / self.succeeded if self.cost_usd is not None and self.succeeded else None


@dataclass(frozen=True, slots=True)
class Paired:
    """The same cases run with specialists and without, by which of the two runs succeeded: counts."""

    both: int
    only_with: int
    only_without: int
    neither: int

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test that both succeed equally often."""
        return mcnemar(self.only_with, self.only_without)


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """The whole agent, its teacher alone, and with specialists.

    paired: where both ran the same cases; the runs of the two are independent samples where it is None.
    """

    without: Runs
    with_specialists: Runs
    paired: Paired | None = None

    @property
    def difference(self) -> float:
        """Success with specialists minus success without."""
        return self.with_specialists.success - self.without.success

    @property
    def interval(self) -> tuple[float, float]:
        """Of the difference, at 95% (Newcombe 1998, method 10, paired or of independent samples)."""
        if (pairs := self.paired) is not None:
            return paired_difference(pairs.both, pairs.only_with, pairs.only_without, pairs.neither)
        one, other = self.with_specialists, self.without
        return difference((one.succeeded, one.runs), (other.succeeded, other.runs))

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it, with the figures that are worked out."""
        pairs = self.paired
        return {
            "without": _runs_record(self.without),
            "with": _runs_record(self.with_specialists),
            "paired": None if pairs is None else {**asdict(pairs), "p_value": pairs.p_value},
            "difference": self.difference,
            "interval": self.interval,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> EndToEnd:
        """Read what `to_record` wrote, or counts that someone else made: see `gather`."""
        pairs = record.get("paired")
        return cls(
            without=_read(Runs, record["without"]),
            with_specialists=_read(Runs, record["with"]),
            paired=_read(Paired, pairs) if pairs else None,
        )


Recorded = TypeVar("Recorded", Runs, Paired)


def _read(kind: type[Recorded], record: Mapping[str, Any]) -> Recorded:
    """The fields of a dataclass, without what was worked out from them."""
    return kind(**{one.name: record[one.name] for one in fields(kind) if one.name in record})


def _runs_record(runs: Runs) -> dict[str, Any]:
    worked_out = {"success": runs.success, "interval": runs.interval, "usd_a_success": runs.usd_a_success}
    return {**asdict(runs), **worked_out}
