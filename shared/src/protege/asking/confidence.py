"""How sure a specialist is of an answer, and whether the answer is kept.

The plain confidence is the probability of the whole answer under greedy decoding: the product of its tokens'
probabilities. It needs only the log-probabilities, which every engine gives. If the validation calls hold enough wrong
answers to learn from, a logistic model weighs further features too (`features_of`, `evaluate.fit`); docs/guarantee.md
has the gain that was measured.
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
    from ..heads import Opinion
    from ..serve.engine import Completion

MOST_LOGIT = 16.0
"""The largest log-odds. Engines compute in float32, in which the largest number below 1 is about 1 - e^-16.6."""

# The parts of an answer that differ from call to call: in JSON, the strings and numbers that are not keys; in SQL, all
# words and quoted texts except the key words. A text that is not closed counts as a key, so that it is read once.
_JSON_VALUE = re.compile(r'"(?:[^"\\]|\\.)*+(?:"(?!\s*+:)|(?P<key>"?+\s*+:?+))|-?\d[\d.eE+-]*|\b(?:true|false|null)\b')
_SQL_VALUE = re.compile(
    r"(?P<key>\b(?:select|distinct|from|where|and|or|not|in|is|null|as|on|join|inner|left|right|outer|group|order|by"
    r"|having|limit|asc|desc|like|between|union|except|intersect|case|when|then|else|end|with|exists)\b)"
    r"|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\w+",
    re.IGNORECASE,
)
_CHOICES = ("null", "true", "false", "count", "min", "max", "avg", "sum")
"""Values that are not copied from an input."""
_VALUES: Mapping[Kind, re.Pattern[str]] = {"json": _JSON_VALUE, "tool_calls": _JSON_VALUE, "sql": _SQL_VALUE}


LOGPROBS = ("sum", "margin", "second")
"""Features that are log-probabilities."""
OPINIONS = ("second", "agrees")
"""Features that a head's opinion gives."""


def keeps(confidence: float | None, threshold: float) -> bool:
    """Whether an answer is kept. Calibration and the live route both use this, so that they treat ties alike."""
    return confidence is not None and confidence >= threshold


def features_of(
    completion: Completion,
    kind: Kind,
    shown: str = "",
    novelty: Novelty | None = None,
    opinion: Opinion | None = None,
) -> dict[str, float] | None:
    """The features that a confidence is made from; None if the engine gave no log-probabilities, or one is not finite.

    shown: the text that the specialist was shown. The features are

    - `sum`, the summed log-probability;
    - `margin`, if the engine tells the runners-up: the same sum as if each token and its runner-up were the only ones;
    - `length`, the logarithm of the number of tokens;
    - `foreign`, the logarithm of 1 + the number of the answer's words that are not in `shown` (of JSON and tool calls,
      only the values count; of SQL, only names and literals);
    - `novelty`, if it is given: the share of the words in `shown` that no training prompt had;
    - `second` and `agrees`, if an opinion is given: the log-probability that a head gives the answer, and the share of
      it that the head would have said too.
    """
    logs = completion.token_logprobs
    total = math.fsum(logs)
    if not logs or not math.isfinite(total):
        return None
    known = {*words_of(shown), *_CHOICES}
    margin = _margin(logs, completion.runners_up)
    return {
        "sum": total,
        **({} if margin is None else {"margin": margin}),
        "length": math.log(len(logs)),
        "foreign": math.log1p(sum(word not in known for word in words_of(_values(completion.text, kind)))),
        **({"novelty": novelty.share(shown)} if novelty else {}),
        **({"second": opinion.logprob, "agrees": opinion.agrees} if opinion else {}),
    }


def _margin(logs: Sequence[float], runners_up: Sequence[float]) -> float | None:
    if len(runners_up) != len(logs):
        return None
    margin = -math.fsum(
        math.log1p(math.exp(min(700.0, other - log))) for log, other in zip(logs, runners_up, strict=True)
    )
    return margin if math.isfinite(margin) else None


def _values(text: str, kind: Kind) -> str:
    """The values in an answer; the whole answer if it has none."""
    pattern = _VALUES.get(kind)
    values = [match[0] for match in pattern.finditer(text) if match["key"] is None] if pattern else []
    return " ".join(values) or text


@dataclass(frozen=True, slots=True)
class Scorer:
    """How an answer's features become its confidence: the logistic function of their weighted sum."""

    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """By feature. Log-probabilities are weighed as log-odds (`scaled`). Empty for the plain confidence."""
    intercept: float = 0.0
    """Added to the weighted sum."""
    novelty: Novelty | None = None
    """The words of the specialist's training prompts; None if no weight needs them."""
    adviser: str = ""
    """The fingerprint of the head whose opinion the weights need; "" if they need none."""

    @classmethod
    def plain(cls, novelty: Novelty | None = None) -> Scorer:
        """The plain confidence. If `novelty` is given, answers also get that feature, so that `fit` can weigh it."""
        return cls(novelty=novelty)

    def confidence(self, features: Mapping[str, float] | None) -> float:
        """0 to 1; 0 if there are no features, or one that has a weight is missing."""
        if features is None or any(name not in features for name in self.weights):
            return 0.0
        if not self.weights:
            return math.exp(min(0.0, features["sum"]))
        total = self.intercept + math.fsum(w * scaled(name, features[name]) for name, w in self.weights.items())
        return 1 / (1 + math.exp(-total)) if total > -700 else 0.0

    def to_record(self) -> dict[str, Any]:
        """The scorer as a JSON object."""
        novelty = self.novelty.to_record() if self.novelty else None
        # What has no adviser is written as it was before there were any: a decision is known by a hash of this.
        advised = {"adviser": self.adviser} if self.adviser else {}
        return {"weights": dict(self.weights), "intercept": self.intercept, "novelty": novelty, **advised}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Scorer:
        """Read what `to_record` wrote."""
        novelty = record.get("novelty")
        known = Novelty.from_record(novelty) if novelty else None
        return cls(record["weights"], record["intercept"], known, record.get("adviser", ""))


def scaled(name: str, value: float) -> float:
    """A feature as the model weighs it: a log-probability as log-odds within ±16, any other as it is."""
    if name not in LOGPROBS:
        return value
    if value >= 0:
        return MOST_LOGIT
    return max(-MOST_LOGIT, min(MOST_LOGIT, value - math.log(-math.expm1(value))))
