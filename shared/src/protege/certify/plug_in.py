"""A threshold to be shown by the shadow, where the held-out calls are too few to certify one.

The plug-in choice: the loosest threshold whose observed disagreement is at most half of ε. Chosen so and used at once,
it would break the promise far more often than δ (tests/bench/guarantee.py). It is frozen instead, and `rollout.rules`
asks for the proof on calls that come afterwards: given the frozen threshold these are independent of how it was chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluate import Judged
from .promise import Promise
from .scan import ends

AIM = 0.5
"""The share of ε at which the threshold is chosen: one at ε itself would be shown seldom, and late."""
LEAST = 0.1
"""It keeps at least this share of the calls: fewer would take the shadow long to show, and save little."""


@dataclass(frozen=True, slots=True)
class PlugIn:
    """A threshold that nothing certifies yet."""

    threshold: float
    kept: int
    """Held-out calls that it keeps."""
    errors: int
    """Of those kept, how many disagree with the teacher."""
    n: int
    """Held-out calls."""
    epsilon: float
    """What the shadow is to show: at most this share of kept answers disagree …"""
    delta: float
    """… but for this probability."""
    epsilon_all: float | None = None
    """It is to show that of all calls at most this share is kept and wrong, too; None if that is not promised."""

    @property
    def coverage(self) -> float:
        """The share of held-out calls that it keeps."""
        return self.kept / self.n

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def plug_in(judged: Sequence[Judged], promise: Promise) -> PlugIn | None:
    """The loosest threshold that keeps LEAST of the calls with at most AIM · ε of them wrong; None if none does."""
    n = len(judged)
    most = n if promise.of_all is None else AIM * promise.of_all * n
    fit = [
        end
        for end in ends(judged)
        if (kept := end.right + end.wrong) >= LEAST * n and end.wrong <= min(most, AIM * promise.epsilon * kept)
    ]
    if not fit:
        return None
    end = fit[-1]
    kept = end.right + end.wrong
    return PlugIn(end.threshold, kept, end.wrong, n, promise.epsilon, promise.delta, promise.of_all)
