"""The ledger of δ: which calibration calls have been looked at, and what each further look costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..common.hashing import hash_of
from ..curate import Curated
from ..evaluate.judging import Answers, Judged
from ..loop.settings import Settings
from ..specialist import Specialist
from ..task import Task
from ..workspace import Workspace

FRESH = 0.5


@dataclass(frozen=True)
class Spent:
    """The calibration calls of a decision, and the δ that it may spend on them."""

    calls: Sequence[Judged]
    delta: float


def spend(
    workspace: Workspace, task: Task, answers: Answers, of: Sequence[Any], delta: float, beside: int = 0
) -> Spent:
    """The calls and the δ of this decision, which `of` names; asked again, the same as the first time. beside: so many
    of those before it have not looked at these calls, though they are recorded for them (`cascade`).

    Kept before anything is decided: what was looked at is spent, also where the process is killed then.
    """
    key, decisions = hash_of(*of), list[dict[str, Any]](workspace.result(f"decisions:{task.id}") or [])
    ids = [one.call_id for one in answers.calibration]
    known: dict[str, Any] | None = next((d for d in decisions if d["key"] == key), None)
    if known is None:
        used = {call for decision in decisions for call in decision["calls"]}
        fresh = [call for call in ids if call not in used]
        if len(fresh) >= FRESH * len(ids):
            known = {"key": key, "calls": fresh, "delta": delta}
        else:
            again = sum(not set(ids).isdisjoint(decision["calls"]) for decision in decisions)
            known = {"key": key, "calls": ids, "delta": delta / 4 ** max(0, again - beside)}
        workspace.save_result(f"decisions:{task.id}", [*decisions, known])
    chosen = set(known["calls"])
    return Spent([one for one in answers.calibration if one.call_id in chosen], known["delta"])


def spent_on(
    workspace: Workspace,
    task: Task,
    specialist: Specialist,
    curated: Curated,
    answers: Answers,
    settings: Settings,
    beside: int = 0,
) -> Spent:
    """The calls and the δ of the decision about this specialist, in this engine, on this data set, for this promise."""
    from ..rollout.policy import grader_of

    scorer, grader = answers.scorer.to_record(), grader_of(workspace, task).name
    of = (specialist.id, answers.fingerprint, curated.hash, grader, scorer, settings.epsilon, settings.delta)
    return spend(workspace, task, answers, of, settings.delta, beside)
