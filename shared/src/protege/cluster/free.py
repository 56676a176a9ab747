"""Kinds among prompts without constant text: the answers show them, as far as the requests alone can tell them too.

An agent that only passes on what its users say may do so at several steps. The answers of these steps differ in form
(keys of JSON, labels, SQL, text). Naive Bayes over the words of the requests learns to tell the kinds apart; kinds that
it cannot tell apart become one.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Sequence, Set

from .answers import Form
from .wording import BIAS

FEWEST = 20
"""Fewer calls of a kind are not enough to learn what it looks like."""
TOLD_APART = 0.75
"""Two kinds are distinct if the requests alone assign at least this share of their calls to the right kind, each kind
weighing half."""
WORDS = 1_000
"""The number of words that describe a kind, at most."""

Weights = dict[str, float]


def free_kinds(words: Sequence[Set[str]], forms: Sequence[Form]) -> tuple[list[int], list[Weights]]:
    """The kind of each request, and each kind's weights.

    A request belongs to the kind whose weights, summed over the request's words and `BIAS`, are largest.
    """
    kinds = _merged(words, _by_form(forms))
    groups = max(kinds, default=0) + 1
    if groups == 1:
        return kinds, [{}]
    weights = _weights(words, kinds, groups)
    return [best(said, weights) for said in words], weights


def best(said: Set[str], weights: Sequence[Weights]) -> int:
    """The kind whose weights have the largest sum over these words."""
    scores = [own.get(BIAS, 0.0) + sum(own.get(word, 0.0) for word in said) for own in weights]
    return max(range(len(scores)), key=lambda k: (scores[k], -k))


def same_inputs(a: Sequence[Set[str]], b: Sequence[Set[str]]) -> bool:
    """Whether the words of the openings cannot tell two groups apart.

    Words that at least half of either group contain do not count.
    """
    constant: set[str] = set()
    for group in (a, b):
        counts = Counter(word for said in group for word in said)
        constant.update(word for word, n in counts.items() if 2 * n >= len(group))
    words = [said - constant for said in (*a, *b)]
    kinds = [0] * len(a) + [1] * len(b)
    order = sorted(range(len(words)), key=lambda i: (i % 7, i))  # both halves hold both
    right = _told_apart([words[i] for i in order], [kinds[i] for i in order])
    return right[0, 1] < TOLD_APART


def _by_form(forms: Sequence[Form]) -> list[int]:
    """The kind of each answer, numbered from the most frequent; rare kinds count as the most frequent one."""
    kinds = [_kind(form) for form in forms]
    frequent = [k for k, n in Counter(kinds).most_common() if n >= max(FEWEST, 0.02 * len(forms))]
    groups: list[Form] = []
    number: dict[Form, int] = {}
    for kind in frequent:
        same = next((g for g, other in enumerate(groups) if len(kind & other) >= 0.5 * len(kind | other)), None)
        if same is None:
            groups.append(kind)
        number[kind] = len(groups) - 1 if same is None else same
    return [number.get(kind, 0) for kind in kinds]


def _kind(form: Form) -> Form:
    return frozenset("label" if token.startswith("label:") else token for token in form)


def _merged(words: Sequence[Set[str]], kinds: list[int]) -> list[int]:
    """The kinds, with those that the requests cannot tell apart merged, the most confused first."""
    while len(set(kinds)) > 1:
        right = _told_apart(words, kinds)
        (a, b), share = min(right.items(), key=lambda item: (item[1], item[0]))
        if share >= TOLD_APART:
            break
        kinds = [a if kind == b else kind for kind in kinds]
    order = {kind: n for n, (kind, _) in enumerate(Counter(kinds).most_common())}
    return [order[kind] for kind in kinds]


def _told_apart(words: Sequence[Set[str]], kinds: Sequence[int]) -> dict[tuple[int, int], float]:
    """For each pair of kinds, the share of calls assigned correctly by weights that were learnt on the other half."""
    counts: dict[tuple[int, int, int], int] = defaultdict(int)
    numbers = sorted(set(kinds))
    place = {kind: n for n, kind in enumerate(numbers)}
    for held in (0, 1):
        learnt = [i for i in range(len(words)) if i % 2 != held]
        weights = _weights([words[i] for i in learnt], [place[kinds[i]] for i in learnt], len(numbers))
        for i in range(held, len(words), 2):
            own = place[kinds[i]]
            scores = [w.get(BIAS, 0.0) + sum(w.get(word, 0.0) for word in words[i]) for w in weights]
            for other in range(len(numbers)):
                counts[own, other, int(scores[own] > scores[other])] += 1
    right: dict[tuple[int, int], float] = {}
    for a, b in itertools.combinations(range(len(numbers)), 2):
        shares = [counts[x, y, 1] / max(1, counts[x, y, 0] + counts[x, y, 1]) for x, y in ((a, b), (b, a))]
        right[numbers[a], numbers[b]] = sum(shares) / 2
    return right


def _weights(words: Sequence[Set[str]], kinds: Sequence[int], groups: int) -> list[Weights]:
    """The log of how much likelier a word is in a kind than on average over the kinds (multinomial naive Bayes)."""
    counts = [Counter[str]() for _ in range(groups)]
    for said, kind in zip(words, kinds, strict=True):
        counts[kind].update(said)
    vocabulary = Counter[str]()
    for own in counts:
        vocabulary.update(own)
    known = sorted((w for w, n in vocabulary.items() if n >= 3), key=lambda w: (-vocabulary[w], w))[: 4 * WORDS]
    totals = [sum(own[w] for w in known) + len(known) for own in counts]
    weights: list[Weights] = [{} for _ in range(groups)]
    for word in known:
        logs = [math.log((own[word] + 1) / total) for own, total in zip(counts, totals, strict=True)]
        mean = sum(logs) / groups
        for own, log in zip(weights, logs, strict=True):
            own[word] = float(round(1000 * (log - mean)))  # whole numbers add up to the same in any order
    sizes = Counter(kinds)
    for k, own in enumerate(weights):
        own[BIAS] = float(round(1000 * math.log((sizes[k] + 1) / (len(kinds) + groups))))
    return weights
