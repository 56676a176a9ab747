"""What a report shows. A figure that was not measured is None, and the report says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from ..evaluate import Confusion, FieldDifference, Reliability, Slice
from ..measure.agents import EndToEnd
from ..measure.ceiling import Ceiling
from .over_time import OverTime

FORMAT = 1
"""Of the report as JSON."""
Outcome: TypeAlias = Literal["right", "wrong", "handed back"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """The share of held-out calls on which specialist and teacher agree, with its exact 95% interval, all 0 to 1."""

    rate: float
    low: float
    high: float
    n: int
    grader: str = ""


@dataclass(frozen=True, slots=True)
class Certified:
    """What calibration showed: P(disagreement among kept > epsilon) ≤ delta at `threshold` (None: at no threshold).

    n calibration calls, of which `kept` reach the threshold with `errors` disagreements among them. hindsight: the
    coverage that the best threshold would have had, chosen with the answers known; no promise can reach it.
    """

    epsilon: float
    delta: float
    n: int
    threshold: float | None = None
    kept: int = 0
    errors: int = 0
    hindsight: float | None = None

    @property
    def coverage(self) -> float:
        """The share of calls that the specialist keeps, 0 where no threshold is certified."""
        return self.kept / self.n if self.threshold is not None and self.n else 0.0


@dataclass(frozen=True, slots=True)
class Realised:
    """A run of the agent after the route went live. disagreements: among the kept, None where none was compared."""

    calls: int
    kept: int
    compared: int = 0
    disagreements: int | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """One held-out call: what was asked, what the specialist wrote, what the teacher had answered."""

    outcome: Outcome
    prompt: str
    answer: str
    teacher: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Loss:
    """Losses at a training step; None where that one was not taken."""

    step: int
    train: float | None = None
    validation: float | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to a task: a specialist went live, was rolled back, its input drifted, and so on.

    time: seconds since 1970. what: in a word or two; why: a sentence. specialist: its name, None where there is none.
    """

    time: float
    task: str
    specialist: str | None
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task. Latencies are medians in ms, costs US dollars for 1,000 calls, tokens means a call.

    state: "live", "canary" (a specialist answers `share` of its runs), "shadow" (one is asked, and answers nobody), or
    "teacher" where it stays with the teacher; reason: why, for people. ceiling: how far the teacher agrees with itself,
    None where nothing shows it. judged: confidence and agreement of each
    held-out call. passed_over: bases that were not taken, and why. auroc, aurc, reliability, slices, confusions and
    fields: as in `evaluate.Evaluation`. worst: wrong answers, the surest first.
    """

    name: str
    kind: str
    calls: int
    state: str
    reason: str = ""
    node: str = ""
    specialist: str | None = None
    base: str | None = None
    share: float = 1.0
    agreement: Agreement | None = None
    ceiling: Ceiling | None = None
    certified: Certified | None = None
    teacher_latency_ms: float | None = None
    specialist_latency_ms: float | None = None
    cost_before_usd: float | None = None
    cost_after_usd: float | None = None
    tokens_before: float | None = None
    tokens_after: float | None = None
    realised: Realised | None = None
    judged: tuple[tuple[float, bool], ...] = ()
    losses: tuple[Loss, ...] = ()
    examples: tuple[Example, ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    auroc: float | None = None
    aurc: float | None = None
    reliability: Reliability | None = None
    slices: tuple[Slice, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    fields: tuple[FieldDifference, ...] = ()
    worst: tuple[Example, ...] = ()
    over_time: OverTime = field(default_factory=OverTime)

    @property
    def is_live(self) -> bool:
        return self.state == "live"

    @property
    def share_kept(self) -> float:
        """The share of its calls that the specialist answers now: as it came true, else as it is certified."""
        if self.state not in ("live", "canary"):
            return 0.0
        if self.is_live and self.realised and self.realised.calls:
            return self.realised.kept / self.realised.calls
        return self.certified.coverage * self.share if self.certified else 0.0


@dataclass(frozen=True, slots=True)
class ReportData:
    """All tasks, largest first. calls: watched, those of no task among them. created: seconds since 1970, UTC.

    prices: where list prices come from, and the price of the machine's time. notes: what a reader must know besides.
    over_time: of all tasks together. incidents: the latest first.
    """

    tasks: tuple[TaskReport, ...]
    calls: int
    created: float
    home: str = ""
    machine: str = ""
    prices: str = ""
    notes: tuple[str, ...] = ()
    over_time: OverTime = field(default_factory=OverTime)
    incidents: tuple[Incident, ...] = ()
    end_to_end: EndToEnd | None = None

    @property
    def share_kept(self) -> float:
        """The share of all calls that specialists answer now."""
        return sum(task.calls * task.share_kept for task in self.tasks) / self.calls if self.calls else 0.0

    @property
    def saved_usd(self) -> float | None:
        """US dollars saved in 1,000 calls of this mix; None where no task's costs are known."""
        known = [
            task.calls * (task.cost_before_usd - task.cost_after_usd)
            for task in self.tasks
            if task.is_live and task.cost_before_usd is not None and task.cost_after_usd is not None
        ]
        return sum(known) / self.calls if known and self.calls else None

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it, with the figures that are worked out."""
        record: dict[str, Any] = {
            "format": FORMAT,
            **asdict(self),
            "share_kept": self.share_kept,
            "saved_usd": self.saved_usd,
        }
        for entry, task in zip(record["tasks"], self.tasks, strict=True):
            entry["share_kept"] = task.share_kept
            if task.certified:
                entry["certified"]["coverage"] = task.certified.coverage
            entry["ceiling"] = task.ceiling.to_record() if task.ceiling else None
        record["end_to_end"] = self.end_to_end.to_record() if self.end_to_end else None
        return record
