"""How sure a specialist is of an answer, and what it takes to be kept.

Plainly, the confidence is the probability that greedy decoding gave the whole answer: the product of its tokens'
probabilities. It asks for nothing but the log-probabilities that every engine gives. Where the validation calls hold
enough wrong answers to learn from, a logistic model weighs more beside it (`features_of`, `fit`); docs/guarantee.md has
what that was measured to gain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..task import Kind
from .novelty import Novelty, words_of

if TYPE_CHECKING:
    from ..serve.engine import Completion

MOST_LOGIT = 16.0
"""Engines compute in float32, whose steps below 1 are e^-16.6."""

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
