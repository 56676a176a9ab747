"""Exact binomial intervals (Clopper and Pearson, Biometrika 26, 1934)."""

from __future__ import annotations


def clopper_pearson(errors: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share of which `errors` in `n` were seen; (0, 1) where n is 0.

    It covers the true share with probability at least `level`, whatever that share is. Raises ValueError unless
    0 ≤ errors ≤ n and 0 < level < 1.
    """
    tail = (1 - level) / 2
    return 1 - upper_bound(n - errors, n, tail), upper_bound(errors, n, tail)


def upper_bound(errors: float, n: float, delta: float) -> float:
    """What the true share exceeds with probability at most `delta`; 1 where n is 0.

    It is ≤ ε exactly where the binomial test of "share > ε" has p-value ≤ delta. Takes fractions of a call too, for
    projections. Raises ValueError unless 0 ≤ errors ≤ n and 0 < delta < 1.
    """
    if not (0 <= errors <= n and 0 < delta < 1):
        raise ValueError("errors must lie within 0 and n, and delta strictly within 0 and 1")
    if errors == n:
        return 1.0
    from scipy.special import betaincinv  # here: the route imports this package inside the agent, and needs no scipy

    return float(betaincinv(errors + 1, n - errors, 1 - delta))
