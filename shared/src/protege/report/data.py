"""What a report shows. A figure that was not measured is None, and the report says that it was not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ..specialist import Proof
from ..store.records import Realised as Realised
from .over_time import OverTime

if TYPE_CHECKING:
    from ..evaluate import Confusion, FieldDifference, Reliability, Slice
    from ..measure.agents import EndToEnd
    from ..measure.ceiling import Ceiling

FORMAT = 1
"""The version of the report as JSON."""
Verdict: TypeAlias = Literal["right", "wrong", "handed back"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often specialist and teacher agree on held-out calls."""

    rate: float
    """The share of calls on which they agree, 0 to 1."""
    low: float
    """Lower bound of its exact 95% interval."""
    high: float
    """Upper bound of its exact 95% interval."""
    n: int
    """Held-out calls."""
    grader: str = ""
    """What "agree" means: the name of the grader."""


@dataclass(frozen=True, slots=True)
class Certified:
    """What calibration showed: P(disagreement among kept answers > epsilon) ≤ delta at `threshold`."""

    epsilon: float
    """The share of kept answers that may disagree."""
    delta: float
    """The chance that more disagree."""
    n: int
    """Calibration calls."""
    threshold: float | None = None
    """The confidence from which answers are kept; None if no threshold is certified."""
    kept: int = 0
    """Calibration calls that reach the threshold."""
    errors: int = 0
    """Disagreements among the kept."""
    hindsight: float | None = None
    """The coverage of the best threshold if it is chosen with the answers known; no guarantee can reach it."""
    epsilon_all: float | None = None
    """The share of all calls that may be kept and disagree; None if nothing is promised of all calls."""
    proof: Proof = "held-out"
    """Which calls show it: the three counts are of these."""

    @property
    def coverage(self) -> float:
        """The share of calls that the specialist keeps; 0 if no threshold is certified."""
        return self.kept / self.n if self.threshold is not None and self.n else 0.0


@dataclass(frozen=True, slots=True)
class ShownExample:
    """One held-out call as it may be shown: redacted, and cut."""

    outcome: Verdict
    prompt: str
    """What was asked."""
    answer: str
    """What the specialist answered."""
    teacher: str
    """What the teacher had answered."""
    confidence: float | None = None
    """The specialist's, 0 to 1; None if its answer was not valid."""
    correction: str = ""
    """What a person says is right; empty if nobody did."""


@dataclass(frozen=True, slots=True)
class Loss:
    """The losses at a training step; None for one that was not measured."""

    step: int
    train: float | None = None
    validation: float | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that happened to a task: a specialist went live, was rolled back, its input drifted, and so on."""

    time: float
    """Seconds since 1970, UTC."""
    task: str
    """The task's name."""
    specialist: str | None
    """The specialist's name; None if no specialist is concerned."""
    what: str
    """What happened, in a word or two."""
    why: str
    """Why, in a sentence."""


@dataclass(frozen=True, slots=True)
class Doubted:
    """Training answers that look wrong: a head that did not see the row is surer of another answer."""

    answers: int
    examples: int
    """Training answers that it looked at."""
    calls: tuple[str, ...]
    """The ids of the calls whose answers it doubts most."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images in a task's latest calls."""

    calls: int
    """Calls that hold images; 0 if they were left out when the calls were recorded."""
    shown: tuple[str, ...]
    """Thumbnails of some, in which no text can be read: data URLs, those of the latest calls first."""
    note: str = ""
    """Why none is shown; empty if some are."""


@dataclass(frozen=True, slots=True)
class TaskReport:
    """One task. Latencies are medians in ms; costs are US dollars for 1,000 calls; tokens are means for one call."""

    name: str
    kind: str
    """The kind of its output, as in `task.KINDS`."""
    calls: int
    """Calls recorded."""
    state: str
    """It is "live"; "canary": a specialist answers `share` of its runs; "shadow": a specialist is asked but answers
    nobody; or "teacher": the teacher answers."""
    reason: str = ""
    """Why it is in that state, for people."""
    node: str = ""
    """The node of the agent that makes the calls."""
    specialist: str | None = None
    """The name of the specialist that the figures are of; None if there is none."""
    base: str | None = None
    """The name of the specialist's base."""
    share: float = 1.0
    """The share of the agent's runs that the specialist answers, 0 to 1."""
    agreement: Agreement | None = None
    ceiling: Ceiling | None = None
    """How often the teacher agrees with itself; None if nothing shows it."""
    doubted: Doubted | None = None
    """None if no head was taught."""
    corrected: int = 0
    """Calls whose right answer people have said."""
    corrections: Mapping[str, int] | None = None
    """`evaluate.Corrected` of the held-out calls, by its fields; None if people corrected none of these."""
    certified: Certified | None = None
    teacher_latency_ms: float | None = None
    specialist_latency_ms: float | None = None
    cost_before_usd: float | None = None
    """If the teacher answers every call."""
    cost_after_usd: float | None = None
    """If the specialist is asked every call, and the teacher those that it hands back."""
    tokens_before: float | None = None
    """Input tokens of a call to the teacher."""
    tokens_after: float | None = None
    """Input tokens of a call to the specialist."""
    realised: Realised | None = None
    judged: tuple[tuple[float, bool], ...] = ()
    """Confidence of each held-out call, and whether its answer agrees."""
    losses: tuple[Loss, ...] = ()
    examples: tuple[ShownExample, ...] = ()
    passed_over: tuple[tuple[str, str], ...] = ()
    """Bases that were not taken, each with the reason."""
    auroc: float | None = None
    """As in `evaluate.Evaluation`, like the five fields that follow."""
    aurc: float | None = None
    reliability: Reliability | None = None
    slices: tuple[Slice, ...] = ()
    confusions: tuple[Confusion, ...] = ()
    fields: tuple[FieldDifference, ...] = ()
    worst: tuple[ShownExample, ...] = ()
    """Wrong answers, the most confident first."""
    pictures: Pictures | None = None
    """None if its latest calls hold no images."""
    over_time: OverTime = field(default_factory=OverTime)

    @property
    def is_live(self) -> bool:
        return self.state == "live"

    @property
    def share_kept(self) -> float:
        """The share of its calls that the specialist answers now: as measured after it went live, else as certified."""
        if self.state not in ("live", "canary"):
            return 0.0
        if self.is_live and self.realised and self.realised.calls:
            return self.realised.kept / self.realised.calls
        return self.certified.coverage * self.share if self.certified else 0.0


@dataclass(frozen=True, slots=True)
class ReportData:
    """The whole report."""

    tasks: tuple[TaskReport, ...]
    """All tasks, the largest first."""
    calls: int
    """Calls recorded, including those of no task."""
    created: float
    """Seconds since 1970, UTC."""
    home: str = ""
    machine: str = ""
    prices: str = ""
    """Where list prices come from, and the price of the machine's time."""
    notes: tuple[str, ...] = ()
    """What else a reader must know."""
    over_time: OverTime = field(default_factory=OverTime)
    """Of all tasks together."""
    incidents: tuple[Incident, ...] = ()
    """The latest first."""
    end_to_end: EndToEnd | None = None

    @property
    def share_kept(self) -> float:
        """The share of all calls that specialists answer now."""
        return sum(task.calls * task.share_kept for task in self.tasks) / self.calls if self.calls else 0.0

    @property
    def saved_usd(self) -> float | None:
        """US dollars saved in 1,000 calls of this mix of tasks; None if no task's costs are known."""
        known = [
            task.calls * (task.cost_before_usd - task.cost_after_usd)
            for task in self.tasks
            if task.is_live and task.cost_before_usd is not None and task.cost_after_usd is not None
        ]
        return sum(known) / self.calls if known and self.calls else None

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it, with the derived figures."""
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
