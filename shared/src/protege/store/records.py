"""The rows that a workspace keeps beside calls, tasks, specialists and routes. Light to import."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A specialist's try at a call."""

    call_id: str
    task_id: str
    specialist_id: str
    outcome: str
    """"kept": the agent got this answer. "handed_back" or "failed": the teacher answered. "audited": drawn at random,
    so the teacher answered whatever the specialist said. "shadowed": asked afterwards, about a call that the teacher
    had answered."""
    reason: str
    """For "audited" and "shadowed": "kept" if the answer would have been kept, else why not."""
    time: float | None = None
    """Of the call, seconds since 1970."""
    confidence: float | None = None
    rate: float | None = None
    """The probability with which the call was drawn."""
    agreed: bool | None = None
    """Whether the answer is the teacher's; None if nobody has compared them."""
    latency_ms: float | None = None
    number: int = 0
    """The place in the order of arrival."""


@dataclass(frozen=True, slots=True)
class AttemptCount:
    """The number of tries of one sort; fields as in `AttemptRow`."""

    task_id: str
    specialist_id: str
    outcome: str
    reason: str
    agreed: bool | None
    start: float | None
    """Of the period, seconds since 1970; None if the calls' times are unknown or were not asked for."""
    n: int


@dataclass(frozen=True, slots=True)
class Event:
    """A change of who answers a task, or evidence that calls for one."""

    what: str
    why: str
    """A sentence without content of calls."""
    task_id: str
    specialist_id: str | None = None
    time: float = field(default_factory=time.time)
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Stage:
    """When a specialist entered its present state."""

    attempt: int
    """The number of the latest try at that moment."""
    call: int
    """The number of a call: of the latest at that moment, or of the last one that the shadow has looked at since."""
    time: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One look at calibration calls, and the δ that it may spend: an entry of the ledger of δ."""

    key: str
    """A hash of what was decided about; the same decision asked again gets the same entry."""
    calls: tuple[str, ...]
    """The ids of the calls that it looks at."""
    delta: float


@dataclass(frozen=True, slots=True)
class DataSet:
    """The last data set of a task, and what there was when it was made."""

    folder: str = ""
    """Its name under `datasets/`."""
    made_from: str = ""
    """A hash of the templates and settings that it was made with."""
    calls: int = 0
    """The number of calls that the teacher had answered."""
    time: float = 0.0
    """When its making began, seconds since 1970."""
    attempt: int = 0
    """The number of the latest try."""


@dataclass(frozen=True, slots=True)
class ImprovementRow:
    """What the last improvement of a task came to, as JSON holds it (`protege.loop.settings.Improvement`)."""

    task_id: str
    decision: str = "teacher"
    """"live", or "teacher": the task stays with it."""
    reason: str = ""
    specialist_id: str | None = None
    figures: Mapping[str, Any] = field(default_factory=dict[str, Any])
    passed_over: Sequence[Sequence[str]] = ()
    """Bases that were not chosen: name and reason of each."""


@dataclass(frozen=True, slots=True)
class Realised:
    """A run of the agent after the route went live."""

    calls: int
    """Calls of the task in that run."""
    kept: int
    """Calls that the specialist answered."""
    compared: int = 0
    """Kept answers that were compared with the teacher's."""
    disagreements: int | None = None
    """Those of them that disagree; None if none was compared."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a task's specialist is to be made again."""

    why: str
    """A sentence."""
    since: float
    """When the change that it tells of began, seconds since 1970. Held-out calls are taken from there."""
    learn_since: float = 0.0
    """Calls from before this time are not learnt from either: another teacher answered them."""
    opened: float = field(default_factory=time.time)
    """When the change was noticed."""
    closed: bool = False
    """Whether a specialist was certified on calls since. The times hold on."""
