"""Fits the scorer of confidence on validation calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import RepeatedStratifiedKFold

from ..asking.confidence import OPINIONS, Scorer, scaled
from ..asking.novelty import Novelty
from .judging import Judged

CANDIDATES: tuple[tuple[str, ...], ...] = (
    ("sum",),
    ("margin",),
    ("sum", "length", "foreign"),
    ("margin", "length", "foreign"),
    ("sum", "length", "foreign", "novelty"),
    ("margin", "length", "foreign", "novelty"),
    ("second",),
    ("sum", "second"),
    ("margin", "second"),
    ("sum", "second", "agrees"),
    ("margin", "second", "agrees"),
)
"""The features to try, simplest first; a later set is taken if it predicts better by cross-validation.

A head's opinion stands alone too: beside it the model's own sum may tell nothing more, and its weight be below 0 by
chance. Without that set such draws fell back to the sets that know of no opinion: half of them, on training rows."""


PRIOR = {"sum": 10.0, "margin": 10.0, "length": 0.1, "foreign": 0.5, "novelty": 0.1, "second": 1.0, "agrees": 0.5}
"""Standard deviations of the weights' normal priors, for features of unit variance: the summed log-probability or
margin is free, and the other features must earn their weight. With .3 for all, one fit in ten on 50 to 80 real calls
ordered other calls worse than the plain confidence; docs/guarantee.md has the figures for these priors."""


LEAST_OF_EACH = 5
"""The fewest right and the fewest wrong answers for a fit."""


NEVER_SURER, NEVER_LESS_SURE = ("foreign", "novelty"), ("second", "agrees")
"""More of the former cannot make an answer more certain, nor more of the latter less: such a weight is chance."""


def fit(judged: Sequence[Judged], novelty: Novelty | None = None, adviser: str = "") -> Scorer:
    """The best scorer on the validation calls: the plain one unless another is better by cross-validation.

    judged: with features, measured with this novelty. adviser: the fingerprint of the head whose opinions are among
    them. It is a logistic regression (Platt, 1999, is the case of one feature) with normal priors, so that few calls
    move it little. Never fit it on calibration calls: their confidences must not depend on whether they agreed.
    """
    valid = [answer for answer in judged if answer.valid]
    features = [answer.features for answer in valid if answer.features is not None]
    right = sum(answer.agreed for answer in valid)
    if len(features) < len(valid) or min(right, len(valid) - right) < LEAST_OF_EACH:
        return Scorer.plain()
    agreed = np.array([answer.agreed for answer in valid])
    given = {name for name in PRIOR if all(name in call for call in features)} | {*PRIOR} - {"margin", *OPINIONS}
    told = [names for names in CANDIDATES if given.issuperset(names)]
    columns = {names: np.array([[scaled(n, call.get(n, 0.0)) for n in names] for call in features]) for names in told}
    best = _best(columns, agreed)
    for names in (names for names in reversed(told[: told.index(best) + 1]) if names != ("sum",)):
        weights, intercept = _regression(columns[names], agreed, names)
        weighed = {name: float(weight) for name, weight in zip(names, weights, strict=True) if weight}
        if weights[0] > 0 and _means_something(weighed):
            needs_opinion = not weighed.keys().isdisjoint(OPINIONS)
            known = novelty if "novelty" in weighed else None
            return Scorer(weighed, intercept, known, adviser if needs_opinion else "")
    return Scorer.plain()


def _means_something(weighed: Mapping[str, float]) -> bool:
    never_less = all(weighed.get(name, 0.0) >= 0 for name in NEVER_LESS_SURE)
    return never_less and all(weighed.get(name, 0.0) <= 0 for name in NEVER_SURER)


def _best(columns: Mapping[tuple[str, ...], NDArray[np.float64]], agreed: NDArray[np.bool_]) -> tuple[str, ...]:
    """The features that predict held-out calls best.

    A later set is taken if, in five repetitions of five-fold cross-validation, the mean log-loss is lower by at least
    half its standard error.
    """
    losses = {names: np.zeros(len(agreed)) for names in columns}
    for learnt, held in RepeatedStratifiedKFold(n_splits=5, n_repeats=5, random_state=0).split(agreed, agreed):
        for names, values in columns.items():
            weights, intercept = _regression(values[learnt], agreed[learnt], names)
            odds = values[held] @ weights + intercept
            losses[names][held] += np.logaddexp(0, np.where(agreed[held], -odds, odds))
    best, *others = columns
    for names in others:
        gained = losses[best] - losses[names]
        if gained.mean() > 0.5 * gained.std() / len(gained) ** 0.5:
            best = names
    return best


def _regression(
    values: NDArray[np.float64], agreed: NDArray[np.bool_], names: Sequence[str]
) -> tuple[NDArray[np.float64], float]:
    """Weights and intercept at the posterior's mode; 0 for a feature that does not vary.

    Newton's method; no step changes an answer's log-odds by more than 4. (scikit-learn's solvers take 200 times as
    long, since the first of the four features may vary 100 times as much as the others.)
    """
    means, spreads = values.mean(axis=0), values.std(axis=0)
    prior = np.array([PRIOR[name] for name in names])
    scale = np.divide(prior, spreads, out=np.zeros_like(prior), where=spreads > 1e-9)
    rows = np.column_stack([(values - means) * scale, np.ones(len(values))])
    penalty = np.append(np.ones(len(prior)), 1e-6)  # the intercept only gets what keeps it finite
    solution = np.zeros(len(penalty))
    for _ in range(100):
        odds = rows @ solution
        chance = 1 / (1 + np.exp(-odds))
        slope = rows.T @ (agreed - chance) - penalty * solution
        step = np.linalg.solve((rows.T * (chance * (1 - chance))) @ rows + np.diag(penalty), slope)
        solution += step * min(1.0, 4 / max(np.abs(rows @ step).max(), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    weights = solution[:-1] * scale
    return weights, float(solution[-1] - weights @ means)
