"""The ledger of δ: which calibration calls have been looked at, and what each further look costs.

The first decision on a set of calibration calls has all of δ: P(disagreement among kept > ε) ≤ δ. Whoever looks at the
same calls again, to certify a retrained specialist, another engine or another ε, has seen what came of them, and
chooses by it. So a later decision is taken on calls that no decision has used, if these are half of the calibration
calls or more; otherwise on all of them with δ/4, the next with δ/16, and so on. Which of the earlier decisions passed
bears on a later one: before the k-th there are 2 ** k histories, and each may choose another specialist. The chance
that any route certified on these calls breaks its promise is then at most the sum of 2 ** k · δ / 4 ** k, which is 2 δ
(a union bound over histories), however many decisions there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluate import Judged
from ..store.records import Decision
from ..workspace import Workspace

FRESH = 0.5
"""A decision is taken on unused calls alone if they are at least this share of the calibration calls."""


@dataclass(frozen=True)
class Spent:
    """What a decision may look at, and spend."""

    calls: Sequence[Judged]
    """The calibration calls that the decision is taken on."""
    delta: float


def spend(
    workspace: Workspace, task_id: str, decision: str, calibration: Sequence[Judged], delta: float, beside: int = 0
) -> Spent:
    """The calls and the δ of a decision; asked again, the same as the first time.

    decision: a hash of all that the decision is about. beside: how many of the earlier decisions did not look at these
    calls, although the ledger names them (`loop.cascade`). Written before anything is decided: what was looked at is
    spent even if the process is killed then.
    """
    decisions = workspace.state.decisions(task_id)
    entry = next((known for known in decisions if known.key == decision), None)
    if entry is None:
        ids = [judged.call_id for judged in calibration]
        entry = Decision(decision, *_look(decisions, ids, delta, beside))
        workspace.state.add_decision(task_id, entry)
    chosen = set(entry.calls)
    return Spent([judged for judged in calibration if judged.call_id in chosen], entry.delta)


def _look(
    decisions: Sequence[Decision], ids: Sequence[str], delta: float, beside: int
) -> tuple[tuple[str, ...], float]:
    """The calls that a further decision looks at, and the δ that it may spend."""
    used = {call for decision in decisions for call in decision.calls}
    fresh = tuple(call for call in ids if call not in used)
    if len(fresh) >= FRESH * len(ids):
        return fresh, delta
    again = sum(not set(ids).isdisjoint(decision.calls) for decision in decisions)
    return tuple(ids), delta / 4 ** max(0, again - beside)
