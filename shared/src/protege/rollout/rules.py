"""All rules by which a specialist gains, keeps and loses a task. Nothing here reads or writes the workspace.

    candidate ── certified on held-out calls ──► shadow     the teacher answers; the specialist is asked afterwards
    shadow    ── shown ──► canary                           a fifth of the runs are its own, half of their calls audited
    canary    ── shown ──► live                             all calls; 2% of them audited, for ever
    shadow, canary ── not shown in 2,000 answers ──► retired
    any       ── alarm ──► retired                          its predecessor or the teacher answers; a retraining is due

"Shown": evidence of 5 that at most ε of its kept answers disagree with the teacher's, on calls of this stage alone. The
certificate carries the promise; a stage shows that what runs now is what was certified, so it asks for no second proof.
With evidence of 20, two of three specialists that disagree at 4% where 5% are allowed would not pass a stage.
Where the held-out calls were too few to certify it, the shadow owes the whole proof (`evidence_for`).
"Alarm": evidence that more than ε disagree by now. A false alarm comes at most once in `Rules.alarm` audits. Both may
be looked at after every call (`stats.sequential`). A lower level of the same evidence is a suspicion: until it is gone,
ten times as many calls are audited, which settles it sooner and costs little.

The shadow asks the specialist about every call; the canary's runs show, in the agent itself, that what is served is
what was certified. Promoting by hand, or running the loop with `Settings.rollout` "direct", skips both: the certificate
on held-out calls then stands alone, with the audit from the first call on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from ..specialist import Proof, State
from ..stats.sequential import Alarm, shown_below

What: TypeAlias = Literal["stays", "canary", "live", "not shown", "alarm"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers in the rules. Shares are of a task's calls."""

    evidence: float = 5
    """What shows a stage. A specialist of which more than ε disagree passes with a probability of a fifth at most."""
    alarm: float = 50_000
    """The evidence for an alarm: audits from one false alarm to the next, on average at least this many."""
    suspicion: float = 100
    """The evidence for a suspicion, on the same scale."""
    patience: int = 2_000
    """Compared answers after which a specialist that has not passed its stage is retired."""
    canary_share: float = 0.2
    """The share of the runs that a canary answers."""
    canary_audit: float = 0.5
    """The share of a canary's calls that is audited."""
    audit: float = 0.02
    """The usual share of audited calls."""
    suspicious_audit: float = 0.2
    """The share of audited calls under a suspicion."""
    watchful: int = 100
    """Audits after which a change of the traffic that did no harm is forgotten."""


RULES = Rules()


def evidence_for(proof: Proof, delta: float, rules: Rules = RULES) -> float:
    """What shows a stage of a route with this proof.

    Where the shadow owes the proof, that is one in as many as δ leaves: a wrong certificate of the scan, which δ allows
    for, goes on from the shadow with probability 1 / `Rules.evidence` at most, so that much of δ is spent. The rest is
    the shadow's, on calls that nothing has looked at: one attempt lets a specialist of which more than ε disagree
    answer with probability δ at most, whichever way it goes.
    """
    return 1 / (delta * (1 - 1 / rules.evidence)) if proof == "owed" else rules.evidence


@dataclass(frozen=True, slots=True)
class Seen:
    """What the compared answers of a stage amount to."""

    compared: int
    disagreed: int
    shown: float
    """Evidence that at most ε disagree."""
    highest: float
    """The most evidence so far that more than ε disagree."""
    level: float
    """What is left of that evidence now."""
    began: int = 0
    """The index of the answer at which a change most likely began."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with a specialist."""

    what: What
    state: State
    """From now on."""
    audit: float
    """The share of its calls that is audited from now on."""
    why: str
    """For people; empty if nothing changes."""


def look(disagreed: Sequence[bool], epsilon: float) -> Seen:
    """Sum up a stage.

    disagreed: in order, for each answer that was kept or would have been, whether it disagrees with the teacher's.
    """
    alarm, highest = Alarm(epsilon), 0.0
    for differs in disagreed:
        alarm = alarm.after(differs)
        highest = max(highest, alarm.level)
    shown = shown_below(disagreed, epsilon)
    return Seen(len(disagreed), sum(disagreed), shown, highest, alarm.level, _began(disagreed, epsilon))


def both(of_kept: Seen, of_all: Seen) -> Seen:
    """What a stage amounts to where two bounds are promised: it is shown by both, and either gives the alarm."""
    return replace(
        of_kept,
        shown=min(of_kept.shown, of_all.shown),
        highest=max(of_kept.highest, of_all.highest),
        level=max(of_kept.level, of_all.level),
    )


def step(
    state: State,
    seen: Seen,
    epsilon: float,
    rules: Rules = RULES,
    *,
    epsilon_all: float | None = None,
    evidence: float | None = None,
    changed: bool = False,
) -> Step:
    """What follows for a specialist in this state.

    epsilon_all: where that is promised, the share of all calls that may be kept and disagree; `seen` is of `both` then.
    evidence: what shows the stage, if it is not `Rules.evidence`. changed: whether the traffic has changed, and too few
    audits have come since to stop watching closely.
    """
    counts = f"{seen.disagreed} of {seen.compared} compared answers disagree"
    if seen.highest >= rules.alarm:
        also = "" if epsilon_all is None else f", or they are more than {epsilon_all:.0%} of all calls"
        return Step("alarm", "retired", 0.0, f"{counts}: more than the {epsilon:.0%} allowed{also}.")
    if state in ("shadow", "canary") and seen.shown >= (evidence or rules.evidence):
        also = "" if epsilon_all is None else f", and they are at most {epsilon_all:.0%} of all calls"
        why = f"{counts}: at most {epsilon:.0%} do{also}."
        if state == "shadow":
            return Step("canary", "canary", rules.canary_audit, why)
        return Step("live", "live", rules.audit, why)
    if state in ("shadow", "canary") and seen.compared >= rules.patience:
        return Step("not shown", "retired", 0.0, f"{counts}: neither few enough nor too many to tell.")
    if state == "canary":
        return Step("stays", state, rules.canary_audit, "")
    if seen.level >= rules.suspicion or changed:
        why = "The traffic has changed." if changed else f"{counts}: a suspicion."
        return Step("stays", state, rules.suspicious_audit, why)
    return Step("stays", state, rules.audit, "")


def _began(disagreed: Sequence[bool], epsilon: float) -> int:
    """The likeliest index of a change from ε to 3 ε: where the sum of log-ratios was last at its lowest (Page 1954)."""
    more = min(3 * epsilon, (1 + epsilon) / 2)
    wrong, right = math.log(more / epsilon), math.log((1 - more) / (1 - epsilon))
    total, lowest, began = 0.0, 0.0, 0
    for place, differs in enumerate(disagreed, 1):
        total += wrong if differs else right
        if total <= lowest:
            lowest, began = total, place
    return began
