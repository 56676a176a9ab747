"""One pass of the loop over one task: what every step is given, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..common.progress import Progress
from ..task import Task
from ..workspace import Workspace
from .settings import Settings

if TYPE_CHECKING:
    from ..certify import Figures


@dataclass(frozen=True, slots=True)
class Run:
    """What every step of the loop is given."""

    workspace: Workspace
    task: Task
    settings: Settings
    progress: Progress

    def stays(
        self, reason: str, specialist_id: str | None = None, passed_over: Sequence[tuple[str, str]] = ()
    ) -> Improvement:
        """The task stays with the teacher, for this reason."""
        return Improvement(self.task.id, "teacher", reason, specialist_id, passed_over=passed_over)


@dataclass(frozen=True)
class Second:
    """What became of the second specialist of a cascade."""

    reason: str
    """Why it answers or does not, for people."""
    specialist_id: str | None = None
    answers: bool = False
    """Whether it answers now."""
    share: float = 0.0
    """Of the task's calls, the share that the first hands on to it."""
    coverage: float = 0.0
    """Of the calls handed on, the share that it is certified to keep."""
    saving_usd: float | None = None
    """US dollars saved by each call handed on; None if costs are unknown."""
    certificate: Mapping[str, Any] | None = None
    """The certificate's record (`protege.certify.Certificate`)."""


@dataclass(frozen=True)
class Improvement:
    """What the loop did for a task."""

    task_id: str
    decision: Literal["live", "teacher"]
    """Who answers: a specialist, or the teacher as before."""
    reason: str
    """Why, for people."""
    specialist_id: str | None = None
    figures: Figures | None = None
    """What was measured of the specialist; None if the loop stopped before."""
    second: Second | None = None
    """The second specialist of a cascade; None if none was asked for."""
    passed_over: Sequence[tuple[str, str]] = ()
    """Kinds and bases that were not chosen, each with the reason."""

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        figures = self.figures.to_record() if self.figures else {}
        if self.second is not None:
            figures["cascade"] = asdict(self.second)
        return {
            "task_id": self.task_id,
            "decision": self.decision,
            "reason": self.reason,
            "specialist_id": self.specialist_id,
            "figures": figures,
            "passed_over": list(self.passed_over),
        }
