"""Runs the whole agent with specialists and without on the same cases: whether it still succeeds, and what that costs.

Every task may agree with the teacher and the agent still fail, or the other way round.
"""

from __future__ import annotations

import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeAlias, TypeVar

from .. import cluster, evaluate
from ..call import Call
from ..cluster.worth import MACHINE_USD_PER_HOUR
from ..collect import drain
from ..common.prices import cost_usd
from ..common.progress import Progress, Silent
from ..errors import BadInput
from ..rollout.policy import price_as_of
from ..route.router import ROUTE_VAR
from ..stats.intervals import clopper_pearson, difference, paired_difference
from ..workspace import Workspace

Case = TypeVar("Case")
PriceAs: TypeAlias = Callable[[Call], str | None]
"""Gives the model whose list price stands for the teacher's in a call."""


@dataclass(frozen=True, slots=True)
class _Ran:
    """A run of the agent. began, ended: seconds since 1970. error: the type of the exception raised; empty if none
    was."""

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
    """Run the agent on each case with specialists and without, and compare. The workspace keeps the result for reports.

    run: runs the agent on a case, in this process or one that it starts, and returns whether it reached its goal; a run
    that raises did not. The agent records into this workspace, routes by it and has its specialists served (as by
    `protege serve`); nothing else records there meanwhile. The agent must keep nothing between runs: a cache would give
    the second run what the first has paid for. cases: none that specialists may have learnt from. Which of a case's two
    runs comes first alternates, so that a drift during the measurement affects both alike.

    A run's cost is that of the calls recorded while it ran: for the teacher as recorded, or its tokens at a list price;
    for specialists this machine's time for every answer, including those handed back. It is None if the price of a call
    is unknown or no call was recorded.

    Success is compared by McNemar's exact test (Psychometrika 12, 1947). Raises BadInput without a case, and if no
    specialist is live.
    """
    if not cases:
        raise BadInput(
            "There is no case to run the agent on.", "Give some cases that the specialists have not learnt from."
        )
    if not any(specialist.answers for specialist in workspace.specialists()):
        raise BadInput("No specialist is live, so both runs would be the same.", "`protege improve` makes one.")
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
    price_as = price_by_policy(workspace)
    with_, without = ([agent_run for agent_run in ran if agent_run.specialists is arm] for arm in (True, False))
    compared = EndToEnd(_runs(without, recorded, price_as), _runs(with_, recorded, price_as), _paired(with_, without))
    workspace.findings.save_end_to_end({**compared.to_record(), "time": time.time()})
    return compared


def price_by_policy(workspace: Workspace) -> PriceAs:
    """The policy's model for a call's price, by the task that the call belongs to."""
    tasks = workspace.tasks()
    assigner = cluster.Assigner(tasks)
    of_task = {task.id: price_as_of(workspace, task.id) for task in tasks}
    every = price_as_of(workspace)

    def price_as(call: Call) -> str | None:
        task = assigner.assign(call.request)
        return every if task is None else of_task[task.id]

    return price_as


@contextmanager
def _routing(on: bool) -> Iterator[None]:
    """Switch routes on or off by the environment, which they read at every call; then restore it."""
    before = os.environ.pop(ROUTE_VAR, None)
    if not on:
        os.environ[ROUTE_VAR] = "off"
    try:
        yield
    finally:
        os.environ.pop(ROUTE_VAR, None)
        if before is not None:
            os.environ[ROUTE_VAR] = before


def _run(run: Callable[[Case], bool], case: Case, specialists: bool) -> _Ran:
    began, began_s = time.time(), time.perf_counter()
    try:
        succeeded, error = bool(run(case)), ""
    except Exception as raised:  # noqa: BLE001 - the agent is the user's: whatever it raises, this run has failed
        succeeded, error = False, type(raised).__name__
    return _Ran(specialists, succeeded, began, time.time(), (time.perf_counter() - began_s) * 1000, error)


def _runs(ran: Sequence[_Ran], recorded: Sequence[Call], price_as: PriceAs) -> Runs:
    calls = list(_during(ran, recorded))
    errors = Counter(agent_run.error for agent_run in ran if agent_run.error)
    return Runs(
        runs=len(ran),
        succeeded=sum(agent_run.succeeded for agent_run in ran),
        cost_usd=_cost(calls, price_as) if calls else None,
        latency_ms=statistics.median(agent_run.took_ms for agent_run in ran),
        calls=len(calls),
        kept=sum(not call.from_teacher for call in calls),
        errors=dict(errors.most_common()),
    )


def _paired(with_: Sequence[_Ran], without: Sequence[_Ran]) -> Paired:
    """Counts of the cases by which of the two runs succeeded. Both arguments are in the order of their cases."""
    pairs = Counter((a.succeeded, b.succeeded) for a, b in zip(with_, without, strict=True))
    return Paired(pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False])


def _during(ran: Sequence[_Ran], recorded: Sequence[Call]) -> Iterator[Call]:
    """The calls that began during one of the runs. Runs and calls are in the order of time."""
    runs = iter(ran)
    current = next(runs, None)
    for call in recorded:
        while current is not None and call.time is not None and call.time > current.ended:
            current = next(runs, None)
        if current is not None and call.time is not None and call.time >= current.began:
            yield call


def _cost(calls: Iterable[Call], price_as: PriceAs) -> float | None:
    """US dollars; None if a call's price is unknown."""
    total = 0.0
    for call in calls:
        teacher = teacher_usd(call, price_as) if call.from_teacher else 0.0
        if teacher is None:
            return None
        total += teacher + sum(attempt.latency_ms or 0.0 for attempt in call.attempts) * MACHINE_USD_PER_HOUR / 3.6e6
    return total


def teacher_usd(call: Call, price_as: PriceAs) -> float | None:
    """As recorded, else its tokens at the list price of `price_as`; 0 for a call without an answer."""
    if call.cost_usd is not None:
        return call.cost_usd
    if call.error is not None and call.response is None:
        return 0.0
    if call.input_tokens is None or call.output_tokens is None or (model := price_as(call)) is None:
        return None
    return cost_usd(
        model,
        call.input_tokens,
        call.output_tokens,
        call.cache_read_tokens or 0,
        call.cache_write_tokens or 0,
    )


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of a whole agent."""

    runs: int
    succeeded: int
    """Runs that reached their goal."""
    cost_usd: float | None = None
    """US dollars for all runs; None if unknown."""
    latency_ms: float | None = None
    """The median of a run."""
    calls: int | None = None
    """Calls to models in all runs."""
    kept: int | None = None
    """Those of them that specialists answered."""
    errors: Mapping[str, int] = field(default_factory=dict[str, int])
    """How many runs raised an exception, by its type."""

    @property
    def success(self) -> float:
        return self.succeeded / self.runs if self.runs else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The exact 95% interval of the success."""
        return clopper_pearson(self.succeeded, self.runs)

    @property
    def usd_a_success(self) -> float | None:
        """US dollars for each run that succeeded, including the cost of those that did not."""
        return self.cost_usd / self.succeeded if self.cost_usd is not None and self.succeeded else None


@dataclass(frozen=True, slots=True)
class Paired:
    """Counts of cases run with specialists and without, by which of the two runs succeeded."""

    both: int
    only_with: int
    only_without: int
    neither: int

    @property
    def p_value(self) -> float:
        """Of McNemar's exact test that both succeed equally often."""
        return evaluate.mcnemar(self.only_with, self.only_without)


@dataclass(frozen=True, slots=True)
class EndToEnd:
    """The whole agent with its teacher alone, and with specialists.

    paired: counts if both ran the same cases; None if the two are independent samples.
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
        """The 95% interval of the difference (Newcombe 1998, method 10, for pairs or for independent samples)."""
        if (pairs := self.paired) is not None:
            return paired_difference(pairs.both, pairs.only_with, pairs.only_without, pairs.neither)
        with_, without = self.with_specialists, self.without
        return difference((with_.succeeded, with_.runs), (without.succeeded, without.runs))

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it, with the derived figures."""
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
        """Read what `to_record` wrote, or counts made elsewhere (see `report.gather`)."""
        pairs = record.get("paired")
        return cls(
            without=_read(Runs, record["without"]),
            with_specialists=_read(Runs, record["with"]),
            paired=_read(Paired, pairs) if pairs else None,
        )


Recorded = TypeVar("Recorded", Runs, Paired)


def _read(kind: type[Recorded], record: Mapping[str, Any]) -> Recorded:
    """The fields of a dataclass, without the figures derived from them."""
    return kind(**{entry.name: record[entry.name] for entry in fields(kind) if entry.name in record})


def _runs_record(runs: Runs) -> dict[str, Any]:
    derived = {"success": runs.success, "interval": runs.interval, "usd_a_success": runs.usd_a_success}
    return {**asdict(runs), **derived}
