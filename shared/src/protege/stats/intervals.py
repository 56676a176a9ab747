"""Exact intervals of shares (Clopper and Pearson, Biometrika 26, 1934), and of their differences (Newcombe, 1998)."""

from __future__ import annotations

import math
from statistics import NormalDist


def clopper_pearson(errors: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The two-sided interval of a share, after `errors` in `n` were seen; (0, 1) if n is 0.

    It covers the true share with probability at least `level`, whatever that share is. Raises ValueError unless
    0 ≤ errors ≤ n and 0 < level < 1.
    """
    tail = (1 - level) / 2
    return 1 - upper_bound(n - errors, n, tail), upper_bound(errors, n, tail)


def upper_bound(errors: float, n: float, delta: float) -> float:
    """The bound that the true share exceeds with probability at most `delta`; 1 if n is 0.

    It is ≤ ε exactly if the binomial test of "share > ε" has p-value ≤ delta. Also takes fractions of a call, for
    projections. Raises ValueError unless 0 ≤ errors ≤ n and 0 < delta < 1.
    """
    if not (0 <= errors <= n and 0 < delta < 1):
        raise ValueError("errors must lie within 0 and n, and delta strictly within 0 and 1")
    if errors == n:
        return 1.0
    from scipy.special import betaincinv  # of the extra `discover`: `status` and `metrics` do without it

    return float(betaincinv(errors + 1, n - errors, 1 - delta))


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """The score interval of a share (Wilson, JASA 22, 1927); (0, 1) if n is 0. It covers about `level`, not at least.

    The intervals of differences are made from it. Raises ValueError unless 0 ≤ successes ≤ n and 0 < level < 1.
    """
    if not (0 <= successes <= n and 0 < level < 1):
        raise ValueError("successes must lie within 0 and n, and level strictly within 0 and 1")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    low, high = (centre - half) / scale, (centre + half) / scale
    return low if successes else 0.0, high if successes < n else 1.0


def difference(first: tuple[int, int], second: tuple[int, int], level: float = 0.95) -> tuple[float, float]:
    """The interval of the share in `first` minus the share in `second`: two independent samples, each (successes, n).

    Newcombe's hybrid of two score intervals (Statistics in Medicine 17, 1998, pp. 873–890, method 10). (−1, 1) if
    either sample is empty. Raises ValueError as `wilson` does.
    """
    (a, m), (b, n) = first, second
    if m == 0 or n == 0:
        return -1.0, 1.0
    return _hybrid(a / m, wilson(a, m, level), b / n, wilson(b, n, level), 0.0)


def paired_difference(
    both: int, only_first: int, only_second: int, neither: int, level: float = 0.95
) -> tuple[float, float]:
    """The interval of the share in `first` minus the share in `second`: the same sample, seen twice. (−1, 1) if it is
    empty.

    Newcombe's hybrid of two score intervals with the correlation between them, corrected for continuity (Statistics in
    Medicine 17, 1998, pp. 2635–2650, method 10). Raises ValueError if a count is negative.
    """
    if min(both, only_first, only_second, neither) < 0:
        raise ValueError("a count is negative")
    n = both + only_first + only_second + neither
    if n == 0:
        return -1.0, 1.0
    a, b = both + only_first, both + only_second
    product = both * neither - only_first * only_second
    corrected = product if product < 0 else max(0.0, product - n / 2)
    spread = math.sqrt(a * (n - a) * b * (n - b))
    return _hybrid(a / n, wilson(a, n, level), b / n, wilson(b, n, level), corrected / spread if spread else 0.0)


def _hybrid(
    p: float, of_p: tuple[float, float], q: float, of_q: tuple[float, float], correlation: float
) -> tuple[float, float]:
    def away(of_first: float, of_second: float) -> float:
        return math.sqrt(max(0.0, of_first**2 - 2 * correlation * of_first * of_second + of_second**2))

    low = p - q - away(p - of_p[0], of_q[1] - q)
    high = p - q + away(of_p[1] - p, q - of_q[0])
    return max(-1.0, low), min(1.0, high)
