"""The scorer that validation calls speak for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..asking.confidence import Scorer, scaled
from ..asking.novelty import Novelty
from .judging import Judged

WEIGHED = ("sum", "length", "foreign", "novelty")


CANDIDATES = (1, 3, 4)
"""So many of them make a model; each further one is taken where it is better than the last by cross-validation."""


PRIOR = (10.0, 0.1, 0.5, 0.1)
"""Standard deviations of the weights' normal priors, for features of unit variance: the summed log-probability is free,
and what stands beside it must earn its weight. With .3 for all, one fit in ten to 50 to 80 real calls ordered others
worse than the plain confidence does; docs/guarantee.md has what these do."""


LEAST_OF_EACH = 5
"""Right and wrong answers, without which nothing is fitted."""


def fit(judged: Sequence[Judged], novelty: Novelty | None = None) -> Scorer:
    """The scorer that the validation calls speak for; the plain one unless another is the better by cross-validation.

    judged: with features, taken with this novelty. A logistic regression (Platt, 1999, is the case of one feature) with
    normal priors, so that few calls move it little. Never fit on calibration calls: their confidences must not depend
    on whether they agreed.
    """
    valid = [one for one in judged if one.valid]
    features = [one.features for one in valid if one.features is not None]
    right = sum(one.agreed for one in valid)
    if len(features) < len(valid) or min(right, len(valid) - right) < LEAST_OF_EACH:
        return Scorer.plain()
    import numpy as np

    values = np.array([[scaled(name, one.get(name, 0.0)) for name in WEIGHED] for one in features])
    agreed = np.array([one.agreed for one in valid])
    best = _columns(values, agreed)
    for columns in (columns for columns in reversed(CANDIDATES) if 1 < columns <= best):
        weights, intercept = _regression(values[:, :columns], agreed)
        if weights[0] > 0 and (weights[2:] <= 0).all():  # what is foreign or new makes no answer surer: that is chance
            named = {name: float(weight) for name, weight in zip(WEIGHED, weights, strict=False) if weight}
            return Scorer(named, intercept, novelty if "novelty" in named else None)
    return Scorer.plain()


def _columns(values: NDArray[np.float64], agreed: NDArray[np.bool_]) -> int:
    """How many features predict held-out calls best: more of them where, in five repetitions of five-fold
    cross-validation, the mean log-loss is lower by half its standard error at least."""
    import numpy as np
    from sklearn.model_selection import RepeatedStratifiedKFold

    losses = np.zeros((len(CANDIDATES), len(agreed)))
    for learnt, held in RepeatedStratifiedKFold(n_splits=5, n_repeats=5, random_state=0).split(values, agreed):
        for loss, columns in zip(losses, CANDIDATES, strict=True):
            weights, intercept = _regression(values[learnt, :columns], agreed[learnt])
            odds = values[held, :columns] @ weights + intercept
            loss[held] += np.logaddexp(0, np.where(agreed[held], -odds, odds))
    best = 0
    for more in range(1, len(CANDIDATES)):
        gained = losses[best] - losses[more]
        if gained.mean() > 0.5 * gained.std() / len(gained) ** 0.5:
            best = more
    return CANDIDATES[best]


def _regression(values: NDArray[np.float64], agreed: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights and intercept at the posterior's mode; 0 for a feature that does not vary.

    Newton's method, no step of which changes an answer's log-odds by more than 4. (scikit-learn's solvers take 200
    times as long: here are four features, and the first may vary 100 times as much as the others.)
    """
    import numpy as np

    means, spreads = values.mean(axis=0), values.std(axis=0)
    prior = np.array(PRIOR[: values.shape[1]])
    scale = np.divide(prior, spreads, out=np.zeros_like(prior), where=spreads > 1e-9)
    rows = np.column_stack([(values - means) * scale, np.ones(len(values))])
    penalty = np.append(np.ones(len(prior)), 1e-6)  # none on the intercept but what keeps it finite
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
