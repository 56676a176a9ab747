"""A promise of all calls: P(more than ε of all calls are kept and wrong) ≤ δ.

The share of all calls that are kept and wrong only grows as the threshold falls. So of the thresholds where it is too
large there is a strictest one. If any of them passes, that one does, since it keeps no more wrong ones; and it passes
its exact binomial test with probability δ at most. So every threshold may be looked at without a correction. Whatever
drops answers live only lowers the share.
"""

from __future__ import annotations

from scipy.stats import binom


def most_wrong(n: int, epsilon: float, delta: float) -> int:
    """The most kept and wrong answers, of n calls, that certify a threshold; -1 if even none is too many."""
    most = int(binom.ppf(delta, n, epsilon))  # the fewest whose chance is δ or more
    return most if binom.cdf(most, n, epsilon) <= delta else most - 1
