"""A specialist's stage: since when it is in it, what counts of it, and how far its shadow is with a proof."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..specialist import Route, Specialist, promised
from ..stats.sequential import answers_needed
from ..store.records import AttemptRow, Stage
from ..workspace import Workspace
from .rules import RULES, evidence_for

KEPT = "kept"
REPEATED = "repeated"
"""The reason of a try that does not count, since another of its run or of its prompt does."""


@dataclass(frozen=True, slots=True)
class ProofSoFar:
    """What a shadow has shown of the proof that it owes."""

    compared: int
    """Kept answers compared so far."""
    disagreed: int
    """Of those, how many disagree with the teacher's."""
    needed: int | None
    """About how many it takes in all; None if it is not expected within `Rules.patience`."""

    @property
    def share(self) -> float:
        """How far it is, from 0 to 1; 0 if it is not expected to be shown."""
        return min(1.0, self.compared / self.needed) if self.needed else 0.0

    @property
    def words(self) -> str:
        """As "41 of about 82 kept answers, none wrong"."""
        of = f"of about {self.needed:,}" if self.needed else f"and not expected within {RULES.patience:,}"
        return f"{self.compared:,} {of} kept answers, {f'{self.disagreed:,}' if self.disagreed else 'none'} wrong"

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "share": self.share}


def stage(workspace: Workspace, specialist: Specialist) -> Stage:
    """Since when a specialist is in its state."""
    return workspace.state.stage(specialist.id) or Stage(0, 0, specialist.created)


def in_stage(began: Stage, number: int, made: float | None) -> bool:
    """Whether a call belongs to a stage: it was made since that began, and not imported since and made before.

    number: the call's place in the order of arrival. made: when, in seconds since 1970. A stage that begins in the
    future was entered while the clock was ahead, so its time tells nothing and the order of arrival decides.
    """
    if began.time > time.time():
        return number > began.call
    return (made or 0.0) >= began.time


def tries(workspace: Workspace, specialist: Specialist) -> list[AttemptRow]:
    """The tries that count of a specialist's stage, in their order: calls audited, or asked in the shadow."""
    began, outcomes = stage(workspace, specialist), ("audited", "shadowed")
    rows = workspace.history.attempts(specialist_id=specialist.id, after=began.attempt, outcomes=outcomes)
    return [row for row in rows if row.reason != REPEATED]


def compared(rows: Sequence[AttemptRow]) -> list[AttemptRow]:
    """Of these tries, those whose answer would have been kept and was compared with the teacher's."""
    return [row for row in rows if row.reason == KEPT and row.agreed is not None]


def of_all(rows: Sequence[AttemptRow]) -> list[bool]:
    """Of these tries, whether each was kept and disagreed: as a share of all calls, not of those kept."""
    return [row.reason == KEPT and not row.agreed for row in rows if row.reason != KEPT or row.agreed is not None]


def shown(route: Route, rows: Sequence[AttemptRow]) -> Route:
    """The route whose proof its shadow owed, as these tries have shown it."""
    kept = compared(rows)
    errors = sum(not row.agreed for row in kept)
    return replace(route, proof="shadow", calibration_calls=len(rows), kept=len(kept), errors=errors)


def certificate_of(route: Route) -> dict[str, Any]:
    """The record of the certificate (`certify.Certificate`) of a route that its shadow has shown."""
    seen = f"{route.kept} of {route.calibration_calls} calls asked there were kept and {route.errors} of them disagreed"
    bound = promised(route.epsilon, route.epsilon_all, route.delta)
    return {
        "threshold": route.threshold,
        "kept": route.kept,
        "errors": route.errors,
        "n": route.calibration_calls,
        "upper_bound": route.epsilon,
        "missing": 0,
        "reason": f"The shadow showed it: {seen}: {bound}.",
        "epsilon": route.epsilon,
        "delta": route.delta,
        "epsilon_all": route.epsilon_all,
        "proof": route.proof,
    }


def proof_so_far(workspace: Workspace, specialist: Specialist) -> ProofSoFar | None:
    """How far a specialist's shadow is with the proof; None if it owes none.

    Of the answers to come as many are expected to be wrong as of those so far and of the held-out calls kept.
    """
    route = workspace.routes().get(specialist.id)
    stored = workspace.specialist(specialist.id)
    if stored is None or stored.state != "shadow" or route is None or route.proof != "owed":
        return None
    counted = tries(workspace, stored)
    wrong = [not row.agreed for row in compared(counted)]
    rate = (route.errors + sum(wrong)) / max(1, route.kept + len(wrong))
    evidence = evidence_for(route.proof, route.delta)
    needed = answers_needed(wrong, route.epsilon, evidence, rate, RULES.patience)
    if needed is not None and route.epsilon_all is not None:
        share = (route.kept + len(wrong)) / (route.calibration_calls + len(counted))
        most = round(RULES.patience / share)
        of_calls = answers_needed(of_all(counted), route.epsilon_all, evidence, rate * share, most)
        needed = None if of_calls is None else max(needed, round(of_calls * share))
    return ProofSoFar(len(wrong), sum(wrong), needed)
