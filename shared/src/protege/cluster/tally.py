"""The figures of a task's calls: volume, tokens, cost, latency, the kind of answers, and repetition.

One pass, keeping a few numbers per task. Answers determine a task's kind here; they never decide which task a call
belongs to.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..call import Call, text_of
from ..chat.tokens import estimated_tokens
from ..common.prices import cost_usd
from ..common.wrappers import Wrapper, fenced, unwrapped
from ..task import Kind

MAX_LABELS = 500
MAX_DISTINCT = 50_000
"""Up to this many distinct texts are counted one by one, which takes about 5 MB."""
_LABEL_CHARS = 80
_SQL = re.compile(
    r"\s*(?:SELECT\b.*\bFROM\b|SELECT\s+[\d(]|WITH\s+\w+\s+AS\s*\(|INSERT\s+INTO\b|DELETE\s+FROM\b|UPDATE\s+\S+\s+SET\b"
    r"|(?:CREATE|ALTER|DROP)\s+(?:TABLE|VIEW|INDEX)\b)",
    re.IGNORECASE | re.DOTALL,
)
_CODE = re.compile(
    r"^\s*(?:def |class |import |from \w[\w.]* import |function |const |let |var |public |#include|package )", re.M
)


@dataclass(slots=True)
class Mean:
    """The mean of the values that are known."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float | None) -> None:
        if value is not None:
            self.total += value
            self.count += 1

    def include(self, other: Mean) -> None:
        self.total += other.total
        self.count += other.count

    @property
    def value(self) -> float | None:
        return self.total / self.count if self.count else None


@dataclass(slots=True)
class Repeats:
    """How often texts come again: exact up to `MAX_DISTINCT` distinct texts, estimated beyond.

    The estimate keeps the counts of a sample of the distinct texts: those whose hash ends in `halvings` zero bits
    (distinct sampling; Gibbons, VLDB 2001). Each of them is counted from its first occurrence on.
    """

    total: int = 0
    halvings: int = 0
    counts: dict[int, int] = field(default_factory=dict[int, int])

    def add(self, text: bytes) -> None:
        self.total += 1
        key = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())
        if self._is_sampled(key):
            self.counts[key] = self.counts.get(key, 0) + 1
        while len(self.counts) > MAX_DISTINCT:
            self.halvings += 1
            self.counts = {key: n for key, n in self.counts.items() if self._is_sampled(key)}

    def _is_sampled(self, key: int) -> bool:
        return key & ((1 << self.halvings) - 1) == 0

    @property
    def distinct(self) -> int:
        return min(self.total, len(self.counts) << self.halvings)

    @property
    def seen_before(self) -> float:
        """The share of texts that had occurred before, 0 to 1."""
        return 1 - self.distinct / self.total if self.total else 0.0

    @property
    def entropy_bits(self) -> float:
        """Shannon entropy of the texts: 0 if all are equal, log2 of their number if all differ."""
        shares = (n / self.total for n in self.counts.values())
        return max(0.0, -sum(share * math.log2(share) for share in shares) * (1 << self.halvings))


@dataclass(slots=True)
class Tally:
    """Counts over a task's calls.

    If a call does not record its tokens, they are estimated (`chat.tokens`). If it does not record its cost,
    the cost is its tokens at the model's list price, if the model has one.
    """

    calls: int = 0
    nodes: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    tools: Counter[str] = field(default_factory=Counter[str])
    kinds: Counter[Kind] = field(default_factory=Counter[Kind])
    labels: Counter[str] = field(default_factory=Counter[str])
    wrappers: Counter[Wrapper] = field(default_factory=Counter[Wrapper])
    input_tokens: Mean = field(default_factory=Mean)
    output_tokens: Mean = field(default_factory=Mean)
    cost_usd: Mean = field(default_factory=Mean)
    latency_ms: Mean = field(default_factory=Mean)

    def add(self, call: Call) -> None:
        self.calls += 1
        if call.node:
            self.nodes[call.node] += 1
        self.tools.update(set(call.request.tool_names))
        response = call.response or {}
        tokens_in = _known_or(call.input_tokens, estimated_tokens(call.request.messages, call.request.tools))
        tokens_out = _known_or(call.output_tokens, estimated_tokens((response,)))
        self.input_tokens.add(tokens_in)
        self.latency_ms.add(call.latency_ms)
        if call.response is None or call.error is not None:
            return
        self.output_tokens.add(tokens_out)
        self.cost_usd.add(_cost(call, tokens_in, tokens_out))
        if call.from_teacher:
            self._add_answer(response)

    def include(self, other: Tally) -> None:
        """Count another's calls too."""
        self.calls += other.calls
        for name in ("nodes", "tools", "kinds", "labels", "wrappers"):
            getattr(self, name).update(getattr(other, name))
        for name in ("input_tokens", "output_tokens", "cost_usd", "latency_ms"):
            getattr(self, name).include(getattr(other, name))

    def _add_answer(self, response: Mapping[str, Any]) -> None:
        text, wrapper = unwrapped(text_of(response))
        kind = _kind_of(text, bool(response.get("tool_calls")), wrapper.language)
        self.kinds[kind] += 1
        if kind != "tool_calls":
            self.wrappers[wrapper] += 1
        if kind == "text" and len(text) <= _LABEL_CHARS and "\n" not in text and len(self.labels) <= MAX_LABELS:
            self.labels[text] += 1

    @property
    def kind(self) -> Kind:
        """The most frequent kind of answer; "label" if nearly all answers are a few short texts that keep recurring."""
        if not self.kinds:
            return "text"
        most = max(self.kinds, key=lambda kind: (self.kinds[kind], kind))
        return "label" if most == "text" and self._few_labels() else most

    def _few_labels(self) -> bool:
        answers, distinct = self.kinds.total(), len(self.labels)
        repeated = sum(n for n in self.labels.values() if n > 1)
        return answers >= 5 and distinct <= min(MAX_LABELS, max(2, 0.2 * answers)) and repeated >= 0.95 * answers

    @property
    def wrapper(self) -> Wrapper:
        """What stands around more than half of the answers; their fence and tags alone, if the words around vary."""
        for wrappers in (self.wrappers, self._marks()):
            ((wrapper, count),) = wrappers.most_common(1) or [(Wrapper(), 0)]
            if 2 * count > wrappers.total():
                return wrapper
        return Wrapper()

    def _marks(self) -> Counter[Wrapper]:
        marks = Counter[Wrapper]()
        for wrapper, count in self.wrappers.items():
            marks[wrapper.marks] += count
        return marks

    def label_texts(self) -> tuple[str, ...]:
        """The labels, most frequent first; none if the answers are of another kind."""
        if self.kind != "label":
            return ()
        return tuple(sorted(self.labels, key=lambda label: (-self.labels[label], label)))


def _kind_of(text: str, calls_tools: bool, language: str) -> Kind:
    """language: the one that a fence around the text names."""
    if calls_tools:
        return "tool_calls"
    if (block := fenced(text)) and block.body is not None:
        language, text = block.language.lower(), block.body.strip()
    if text[:1] in ("{", "[") and _is_json(text):
        return "json"
    if language == "sql" or _SQL.match(text):
        return "sql"
    if language not in ("", "text", "txt", "plaintext", "markdown", "md") or _CODE.match(text):
        return "code"
    return "text"


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _known_or(known: int | None, estimate: int) -> int:
    return known if known is not None else estimate


def _cost(call: Call, tokens_in: int, tokens_out: int) -> float | None:
    if call.cost_usd is not None or not call.model:
        return call.cost_usd
    return cost_usd(call.model, tokens_in, tokens_out, call.cache_read_tokens or 0, call.cache_write_tokens or 0)
