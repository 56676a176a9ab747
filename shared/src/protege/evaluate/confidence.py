"""How sure a specialist is of an answer, and what it takes to be kept.

Plainly, the confidence is the probability that greedy decoding gave the whole answer: the product of its tokens'
probabilities. It asks for nothing but the log-probabilities that every engine gives. Where the validation calls hold
enough wrong answers to learn from, a logistic model weighs more beside it (`features_of`, `fit`); docs/guarantee.md has
what that was measured to gain.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..task import Kind
from .novelty import Novelty

if TYPE_CHECKING:
    from ..serve.engine import Completion
    from .judging import Judged

MOST_LOGIT = 16.0
"""Engines compute in float32, whose steps below 1 are e^-16."""
_LOG_PROBABILITIES = frozenset({"sum", "mean", "least", "values"})

# The parts of an answer that differ from call to call: JSON's strings and numbers that are no keys; of SQL all words
# and quoted texts but the key words.
_JSON_VALUE = re.compile(r'(?P<text>"(?:[^"\\]|\\.)*")(?P<key>\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b')
_SQL_VALUE = re.compile(
    r"(?P<key>\b(?:select|distinct|from|where|and|or|not|in|is|null|as|on|join|inner|left|right|outer|group|order|by"
    r"|having|limit|asc|desc|like|between|union|except|intersect|case|when|then|else|end|with|exists)\b)"
    r"|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\w+",
    re.IGNORECASE,
)
_VALUES: Mapping[Kind, re.Pattern[str]] = {"json": _JSON_VALUE, "tool_calls": _JSON_VALUE, "sql": _SQL_VALUE}


def keeps(confidence: float | None, threshold: float) -> bool:
    """Whether an answer is kept. Calibration and the live route both ask here, so that ties fall the same way."""
    return confidence is not None and confidence >= threshold


def confidence(token_logprobs: Sequence[float]) -> float:
    """exp of the summed natural log-probabilities, 0 to 1; 0 where there are none or one is not a number."""
    total = math.fsum(token_logprobs) if token_logprobs else -math.inf
    return 0.0 if math.isnan(total) else min(1.0, math.exp(min(0.0, total)))


def features_of(completion: Completion, kind: Kind, novelty: float = 0.0) -> dict[str, float] | None:
    """What a confidence is made of; None where the engine gave no log-probabilities, or one that is no number.

    Log-probabilities: `sum` of all tokens, `mean` of them, `least` of any, `values` the sum over those that matter
    (JSON's and tool calls' values without keys and signs, SQL's names and literals; elsewhere all). `length`: logarithm
    of the number of tokens. `novelty`: share of the prompt's words that no training prompt had.
    """
    logs = completion.token_logprobs
    total = math.fsum(logs)
    if not logs or not math.isfinite(total):
        return None
    return {
        "sum": total,
        "mean": total / len(logs),
        "least": min(logs),
        "values": _sum_of_values(completion.tokens, logs, kind),
        "length": math.log(len(logs)),
        "novelty": novelty,
    }


def _sum_of_values(tokens: Sequence[str], logs: Sequence[float], kind: Kind) -> float:
    """A token that stands partly in a value counts; the answer's end counts. All do where none is a value."""
    pattern = _VALUES.get(kind)
    if pattern is None or len(tokens) != len(logs):
        return math.fsum(logs)
    spans = [found.span() for found in pattern.finditer("".join(tokens)) if not found["key"]]
    if not spans:
        return math.fsum(logs)
    return math.fsum(_in_spans(tokens, logs, spans))


def _in_spans(tokens: Sequence[str], logs: Sequence[float], spans: Sequence[tuple[int, int]]) -> Iterator[float]:
    place = at = 0
    for token, log in zip(tokens, logs, strict=True):
        begin, at = at, at + len(token)
        while place < len(spans) and spans[place][1] <= begin:
            place += 1
        if not token or (place < len(spans) and spans[place][0] < at):
            yield log


@dataclass(frozen=True, slots=True)
class Scorer:
    """How an answer's features become its confidence.

    weights: by feature, those that are log-probabilities as the log-odds of their exp; none for the plain confidence.
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
    """A feature as the model weighs it: a log-probability as log-odds, at most ±16; others as they are."""
    if name not in _LOG_PROBABILITIES:
        return value
    if value >= 0:
        return MOST_LOGIT
    return max(-MOST_LOGIT, min(MOST_LOGIT, value - math.log(-math.expm1(value))))
