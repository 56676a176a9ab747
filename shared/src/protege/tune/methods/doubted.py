"""Training answers that look wrong: a model that did not see the row is surer of another answer than usual.

Confident learning (Northcutt, Jiang and Chuang, 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels",
§3.1): a class is confident for a row if its probability there reaches the mean of those rows that have the class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .ridge import Matrix, Numbers


def doubts(held_out: Matrix, wanted: Numbers) -> NDArray[np.float64]:
    """How much likelier than the given class another confident one is, a row, in nats; 0 where none is.

    held_out: rows × classes, log-probabilities by a solution that did not see the row. wanted: the class given, one a
    row; rows with -1 are not doubted.
    """
    rows, count = held_out.shape
    given = held_out[np.arange(rows), wanted]
    taught = wanted >= 0
    seen = np.bincount(wanted[taught], minlength=count)
    sums = np.bincount(wanted[taught], weights=np.exp(given[taught]), minlength=count)
    usual = np.divide(sums, seen, out=np.full(count, np.inf), where=seen > 0)
    confident = np.where(np.exp(held_out) >= usual, held_out, -np.inf)
    confident[np.arange(rows), wanted] = -np.inf
    return np.where(taught, np.maximum(confident.max(axis=1) - given, 0.0), 0.0)
