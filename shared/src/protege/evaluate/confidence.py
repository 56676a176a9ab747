"""How sure a specialist is of an answer, and what it takes to be kept.

Plainly, the confidence is the probability that greedy decoding gave the whole answer: the product of its tokens'
probabilities. It asks for nothing but the log-probabilities that every engine gives. Where the validation calls hold
enough wrong answers to learn from, a logistic model weighs more beside it (`features_of`, `fit`); docs/guarantee.md has
what that was measured to gain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..task import Kind
from .novelty import Novelty, words_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..serve.engine import Completion
    from .judging import Judged

MOST_LOGIT = 16.0
"""Engines compute in float32, whose steps below 1 are e^-16.6."""
WEIGHED = ("sum", "length", "foreign", "novelty")
CANDIDATES = (1, 3, 4)
"""So many of them make a model; each further one is taken where it is better than the last by cross-validation."""
PRIOR = (10.0, 0.1, 0.5, 0.1)
"""Standard deviations of the weights' normal priors, for features of unit variance: the summed log-probability is free,
and what stands beside it must earn its weight. With .3 for all, one fit in ten to 50 to 80 real calls ordered others
worse than the plain confidence does; docs/guarantee.md has what these do."""
LEAST_OF_EACH = 5
"""Right and wrong answers, without which nothing is fitted."""

# The parts of an answer that differ from call to call: JSON's strings and numbers that are no keys; of SQL all words
# and quoted texts but the key words.
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"(?P<key>\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b')
_SQL_VALUE = re.compile(
    r"(?P<key>\b(?:select|distinct|from|where|and|or|not|in|is|null|as|on|join|inner|left|right|outer|group|order|by"
    r"|having|limit|asc|desc|like|between|union|except|intersect|case|when|then|else|end|with|exists)\b)"
    r"|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\w+",
    re.IGNORECASE,
)
_CHOICES = ("null", "true", "false", "count", "min", "max", "avg", "sum")
"""Values that nobody copies from an input."""
_VALUES: Mapping[Kind, re.Pattern[str]] = {"json": _JSON_VALUE, "tool_calls": _JSON_VALUE, "sql": _SQL_VALUE}


def keeps(confidence: float | None, threshold: float) -> bool:
    """Whether an answer is kept. Calibration and the live route both ask here, so that ties fall the same way."""
    return confidence is not None and confidence >= threshold


def features_of(
    completion: Completion, kind: Kind, shown: str = "", novelty: Novelty | None = None
) -> dict[str, float] | None:
    """What a confidence is made of; None where the engine gave no log-probabilities, or one that is no number.

    shown: the text that the specialist answered. `sum`: the summed log-probability. `length`: logarithm of the number
    of tokens. `foreign`: logarithm of 1 + the number of words that do not stand in `shown`, of those that matter
    (JSON's and tool calls' values without keys, SQL's names and literals; elsewhere all). `novelty`: share of the words
    of `shown` that no training prompt had, where that is known.
    """
    logs = completion.token_logprobs
    total = math.fsum(logs)
    if not logs or not math.isfinite(total):
        return None
    known = {*words_of(shown), *_CHOICES}
    return {
        "sum": total,
        "length": math.log(len(logs)),
        "foreign": math.log1p(sum(word not in known for word in words_of(_values(completion.text, kind)))),
        **({"novelty": novelty.share(shown)} if novelty else {}),
    }


def _values(text: str, kind: Kind) -> str:
    """The values of an answer; all of it where it has none."""
    pattern = _VALUES.get(kind)
    found = [match[0] for match in pattern.finditer(text) if not match["key"]] if pattern else []
    return " ".join(found) or text


@dataclass(frozen=True, slots=True)
class Scorer:
    """How an answer's features become its confidence.

    weights: by feature, the summed log-probability as the log-odds of its exp; none for the plain confidence.
    intercept: added to the weighted sum, whose logistic function is the confidence. novelty: what the specialist's
    training prompts held; None where nothing weighs it.
    """

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    intercept: float = 0.0
    novelty: Novelty | None = None

    @classmethod
    def plain(cls, novelty: Novelty | None = None) -> Scorer:
        """The summed log-probability alone. With a novelty, answers get that feature too, for `fit` to weigh."""
        return cls(novelty=novelty)

    def confidence(self, features: Mapping[str, float] | None) -> float:
        """0 to 1; 0 where there are no features. Raises KeyError where one that is weighed is missing."""
        if features is None:
            return 0.0
        if not self.weights:
            return math.exp(min(0.0, features["sum"]))
        total = self.intercept + math.fsum(w * scaled(name, features[name]) for name, w in self.weights.items())
        return 1 / (1 + math.exp(-total)) if total > -700 else 0.0

    def to_record(self) -> dict[str, Any]:
        """As JSON holds it."""
        novelty = self.novelty.to_record() if self.novelty else None
        return {"weights": dict(self.weights), "intercept": self.intercept, "novelty": novelty}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Scorer:
        novelty = record.get("novelty")
        return cls(record["weights"], record["intercept"], Novelty.from_record(novelty) if novelty else None)


def scaled(name: str, value: float) -> float:
    """A feature as the model weighs it: the summed log-probability as log-odds, at most ±16; others as they are."""
    if name != "sum":
        return value
    if value >= 0:
        return MOST_LOGIT
    return max(-MOST_LOGIT, min(MOST_LOGIT, value - math.log(-math.expm1(value))))


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
