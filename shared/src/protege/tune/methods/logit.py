"""Softmax regression with a squared penalty, for pointers: which class a row is of, and which candidate is meant.

Fitted by L-BFGS (scipy); the penalty is the one whose predictions for rows left out, a fifth at a time, lose least.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

Marks: TypeAlias = Mapping[int, float]
Matrix: TypeAlias = NDArray[np.float64]

FOLDS = 5
FLOOR = -7.0
"""The log-probability, in nats, below which a wrong prediction costs no more when penalties are compared."""
STEPS = 200
CHOICE_PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)
POINTER_PENALTIES = (0.1, 0.3, 1.0, 3.0)

Asked: TypeAlias = tuple[Sequence[Marks], int]
"""The candidates of a row, and the place of the right one."""


def choice(rows: Sequence[Marks], labels: Sequence[int], classes: int) -> tuple[list[dict[int, float]], list[Matrix]]:
    """Weights for each class, and for each row the log-probabilities that weights fitted without it give."""

    def fitted(those: Sequence[int], penalty: float) -> list[dict[int, float]]:
        return _choice([rows[n] for n in those], [labels[n] for n in those], classes, penalty)

    def told(weights: list[dict[int, float]], row: int) -> Matrix:
        return _log_softmax(np.array([_score(of, rows[row]) for of in weights]))

    return _best(len(rows), CHOICE_PENALTIES, fitted, told, lambda row: labels[row])


def pointing(asked: Sequence[Asked]) -> tuple[dict[int, float], list[Matrix]]:
    """Weights for the features of candidates, and for each row the log-probabilities of its candidates by weights that
    were fitted without it."""

    def fitted(those: Sequence[int], penalty: float) -> dict[int, float]:
        return _pointing([asked[n] for n in those], penalty)

    def told(weights: dict[int, float], row: int) -> Matrix:
        return _log_softmax(np.array([_score(weights, marks) for marks in asked[row][0]]))

    return _best(len(asked), POINTER_PENALTIES, fitted, told, lambda row: asked[row][1])


def _best(
    rows: int,
    penalties: Sequence[float],
    fitted: Callable[[Sequence[int], float], Any],
    told: Callable[[Any, int], Matrix],
    right: Callable[[int], int],
) -> tuple[Any, list[Matrix]]:
    folds = min(FOLDS, rows)
    best: tuple[float, float, list[Matrix]] | None = None
    for penalty in penalties:
        held_out: list[Matrix] = [np.empty(0)] * rows
        for fold in range(folds):
            weights = fitted([n for n in range(rows) if n % folds != fold], penalty)
            for row in range(fold, rows, folds):
                held_out[row] = told(weights, row)
        loss = -float(np.mean([max(FLOOR, held_out[row][right(row)]) for row in range(rows)]))
        if best is None or loss < best[0]:
            best = loss, penalty, held_out
    assert best is not None
    return fitted(range(rows), best[1]), best[2]


def _choice(rows: Sequence[Marks], labels: Sequence[int], classes: int, penalty: float) -> list[dict[int, float]]:
    matrix, names = _matrix(rows)
    wanted = np.zeros((len(rows), classes))
    wanted[np.arange(len(rows)), labels] = 1.0

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        weights = flat.reshape(len(names), classes)
        odds = matrix @ weights
        logs = odds - _log_sums(odds)
        slope = np.asarray(matrix.T @ (np.exp(logs) - wanted)) + penalty * weights
        return float(-(logs * wanted).sum() + penalty / 2 * (weights**2).sum()), slope.ravel()

    found = _minimised(loss, len(names) * classes).reshape(len(names), classes)
    return [_named(names, found[:, column]) for column in range(classes)]


def _pointing(asked: Sequence[Asked], penalty: float) -> dict[int, float]:
    matrix, names = _matrix([marks for told, _ in asked for marks in told])
    starts = np.cumsum([0, *(len(told) for told, _ in asked)])
    right = starts[:-1] + np.array([at for _, at in asked], int)
    row_of = np.repeat(np.arange(len(asked)), np.diff(starts))

    def loss(weights: Matrix) -> tuple[float, Matrix]:
        odds = matrix @ weights
        highest = np.maximum.reduceat(odds, starts[:-1])
        sums = np.add.reduceat(np.exp(odds - highest[row_of]), starts[:-1])
        chances = np.exp(odds - highest[row_of]) / sums[row_of]
        total = float((np.log(sums) + highest - odds[right]).sum())
        slope = np.asarray(matrix.T @ chances) - np.asarray(matrix[right].sum(axis=0)).ravel() + penalty * weights
        return total + penalty / 2 * float(weights @ weights), slope

    return _named(names, _minimised(loss, len(names)))


def _minimised(loss: Callable[[Matrix], tuple[float, Matrix]], size: int) -> Matrix:
    if not size:
        return np.zeros(0)
    return minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x


def _matrix(rows: Sequence[Marks]) -> tuple[csr_matrix, list[int]]:
    """Rows × features, and the features. Those of one row alone teach nothing."""
    counts: dict[int, int] = {}
    for row in rows:
        for mark in row:
            counts[mark] = counts.get(mark, 0) + 1
    names = sorted(mark for mark, count in counts.items() if count > 1)
    column = {mark: n for n, mark in enumerate(names)}
    places = [[column[mark] for mark in row if mark in column] for row in rows]
    values = [[value for mark, value in row.items() if mark in column] for row in rows]
    starts = np.cumsum([0, *map(len, places)])
    flat = np.array([value for row in values for value in row], float)
    return csr_matrix(
        (flat, np.array([place for row in places for place in row], int), starts), shape=(len(rows), len(names))
    ), names


def _named(names: Sequence[int], values: Matrix) -> dict[int, float]:
    return {mark: float(value) for mark, value in zip(names, np.round(values, 5), strict=True) if value}


def _score(weights: Mapping[int, float], marks: Marks) -> float:
    return sum(weights[mark] * value for mark, value in marks.items() if mark in weights)


def _log_sums(odds: Matrix) -> Matrix:
    highest = odds.max(axis=1, keepdims=True)
    return highest + np.log(np.exp(odds - highest).sum(axis=1, keepdims=True))


def _log_softmax(odds: Matrix) -> Matrix:
    return odds - _log_sums(odds[None, :])[0]
