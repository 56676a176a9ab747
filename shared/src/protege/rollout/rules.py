"""The rules by which a specialist gains, keeps and loses a task. All of them stand here; nothing here reads or writes.

    candidate ── certified on held-out calls ──► shadow     the teacher answers; the specialist is asked afterwards
    shadow    ── shown ──► canary                           a fifth of the runs are its own, half of their calls audited
    canary    ── shown ──► live                             all calls; 2% of them audited, for ever
    shadow, canary ── not shown in 2,000 answers ──► retired
    any       ── alarm ──► retired                          its predecessor or the teacher answers; a retraining is due

"Shown": evidence of 1/δ that at most ε of its kept answers disagree with the teacher's, on calls of this stage alone.
"Alarm": evidence that by now more than ε do; once in `Rules.alarm` audits, at the most, though they do not. Both may be
looked at after every call (`evaluate.sequential`). A lower level of the same evidence is a suspicion: until it is gone
ten times as many calls are audited, which finds out sooner and costs little.

The shadow has asked the specialist about every call; the canary's runs have shown that what is served is what was
certified, in the agent itself. Who promotes by hand, or runs the loop once (`Settings.rollout` "direct"), skips both:
the certificate on held-out calls stands alone then, and the audit from the first call on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..specialist import State
from ..stats.sequential import Alarm, shown_below

What: TypeAlias = Literal["stays", "canary", "live", "not shown", "alarm"]


@dataclass(frozen=True, slots=True)
class Rules:
    """delta: chance to pass a stage though more than ε disagree. alarm: audits from one false alarm to the next, at the
    least, on average. patience: compared answers in which a stage is passed or never. watchful: audits until a change
    of the traffic that does no harm is forgotten. The rest are shares of calls.
    """

    delta: float = 0.05
    alarm: float = 50_000
    suspicion: float = 100
    patience: int = 2_000
    canary_share: float = 0.2
    canary_audit: float = 0.5
    audit: float = 0.02
    suspicious_audit: float = 0.2
    watchful: int = 100


RULES = Rules()


@dataclass(frozen=True, slots=True)
class Seen:
    """What the compared answers of a stage amount to.

    shown: evidence that at most ε disagree; highest, level: the most evidence that more do, and what is left of it now.
    began: the place of the answer at which the change most likely began.
    """

    compared: int
    disagreed: int
    shown: float
    highest: float
    level: float
    began: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done with a specialist: its state, and the share of its calls that are audited from now on."""

    what: What
    state: State
    audit: float
    why: str


def look(disagreed: Sequence[bool], epsilon: float) -> Seen:
    """Sum up a stage: for each answer that would have been kept, or was, whether it disagrees; in order."""
    alarm, highest = Alarm(epsilon), 0.0
    for one in disagreed:
        alarm = alarm.after(one)
        highest = max(highest, alarm.level)
    shown = shown_below(disagreed, epsilon)
    return Seen(len(disagreed), sum(disagreed), shown, highest, alarm.level, _began(disagreed, epsilon))


def step(state: State, seen: Seen, epsilon: float, rules: Rules = RULES, *, changed: bool = False) -> Step:
    """What follows for a specialist in this state. changed: the traffic has, and so few audits came since that it is
    to be watched closely."""
    counts = f"{seen.disagreed} of {seen.compared} compared answers disagree"
    if seen.highest >= rules.alarm:
        return Step("alarm", "retired", 0.0, f"{counts}: more than the {epsilon:.0%} allowed.")
    if state in ("shadow", "canary") and seen.shown >= 1 / rules.delta:
        why = f"{counts}: at most {epsilon:.0%} do."
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
    """The likeliest place of a change from ε to 3 ε: where the sum of log-ratios was last at its lowest (Page 1954)."""
    more = min(3 * epsilon, (1 + epsilon) / 2)
    wrong, right = math.log(more / epsilon), math.log((1 - more) / (1 - epsilon))
    total, lowest, began = 0.0, 0.0, 0
    for place, one in enumerate(disagreed, 1):
        total += wrong if one else right
        if total <= lowest:
            lowest, began = total, place
    return began


# When a specialist is made again
