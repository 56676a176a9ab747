"""A linear-chain conditional random field with a squared penalty, fitted by L-BFGS (Sha and Pereira, 2003).

Sums over all sequences of tags are taken forwards and backwards in scaled probabilities, so that a step for all
sequences at once is one product of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix

from ...heads.features import Hashes
from ...heads.tagger import NEVER, Matrix, Numbers, best_paths
from ...heads.tokens import Told, rarities

PENALTIES = (0.1, 0.3, 1.0)
"""To choose from: half of what the squared length of the weights costs, beside the log-likelihood."""
HELD_OUT = 5
"""Each so-many-th sequence is left out when penalties are compared."""
STEPS = 120
LEAST_SEEN = 2
"""A feature of fewer tokens is not learnt."""
MOST_WEIGHTS = 3_000_000
"""Features × tags: of more features the most frequent are learnt."""


@dataclass(frozen=True, slots=True)
class Tagged:
    """A text and the tags of its tokens: one or more."""

    told: Told
    tags: Sequence[int]


@dataclass(frozen=True, slots=True)
class Weights:
    """What was fitted: as `Tagger.hashes`, `weights` and `steps`."""

    hashes: Hashes
    weights: Matrix
    steps: Matrix


class Batch:
    """Sequences as numbers, the longest first."""

    def __init__(self, sequences: Sequence[Tagged], hashes: Hashes, tags: int) -> None:
        ordered = sorted(sequences, key=lambda one: -len(one.tags))
        self.tags = tags
        self.lengths = np.array([len(one.tags) for one in ordered])
        self.starts = np.cumsum([0, *self.lengths])
        self.of_tokens = _matrix([marks for one in ordered for marks in _marks(one.told, hashes)], hashes)
        self.of_texts = _matrix([one.told.course for one in ordered], hashes)
        self.text = np.repeat(np.arange(len(ordered)), self.lengths)
        self.wanted = np.concatenate([np.array(one.tags, int) for one in ordered])

    @cached_property
    def columns(self) -> list[Numbers]:
        """For each place the tokens that stand there, in the sequences that are as long."""
        counts = [int((self.lengths > t).sum()) for t in range(int(self.lengths[0]))]
        return [self.starts[:count] + t for t, count in enumerate(counts)]

    def loss(self, weights: Matrix, steps: Matrix) -> tuple[float, Matrix, Matrix]:
        """The negative log-likelihood, and its slopes."""
        odds = self.of_tokens @ weights + (self.of_texts @ weights)[self.text]
        highest = odds.max(axis=1, keepdims=True)
        chances, moves = np.exp(odds - highest), np.exp(steps[1:])
        forward, scales = self._forward(chances, np.exp(steps[0]), moves)
        shares, moved = self._backward(chances, moves, forward, scales)
        slope_of_steps = np.vstack([shares[self.starts[:-1]].sum(axis=0), moved])
        total = float(np.log(scales).sum() + highest.sum()) - self._path(odds, steps, slope_of_steps)
        shares[np.arange(len(shares)), self.wanted] -= 1.0
        of_texts = np.add.reduceat(shares, self.starts[:-1])
        return total, self.of_tokens.T @ shares + self.of_texts.T @ of_texts, slope_of_steps

    def _forward(self, chances: Matrix, first: Matrix, moves: Matrix) -> tuple[Matrix, Matrix]:
        reached, scales = np.empty_like(chances), np.empty(len(chances))
        for t, those in enumerate(self.columns):
            now = (reached[those - 1] @ moves if t else first) * chances[those]
            scales[those] = now.sum(axis=1)
            reached[those] = now / scales[those][:, None]
        return reached, scales

    def _backward(self, chances: Matrix, moves: Matrix, forward: Matrix, scales: Matrix) -> tuple[Matrix, Matrix]:
        """The probability of each tag of each token, and how often each tag is expected after each."""
        left, moved = np.ones_like(chances), np.zeros_like(moves)
        for those in reversed(self.columns[1:]):
            now = chances[those] * left[those] / scales[those][:, None]
            moved += forward[those - 1].T @ now
            left[those - 1] = now @ moves.T
        return forward * left, moved * moves

    def _path(self, odds: Matrix, steps: Matrix, slope: Matrix) -> float:
        """What the right tags weigh; takes them from the slope."""
        first = np.zeros(len(self.wanted), bool)
        first[self.starts[:-1]] = True
        before = np.where(first, 0, np.roll(self.wanted, 1) + 1)
        np.subtract.at(slope, (before, self.wanted), 1.0)
        return float(odds[np.arange(len(odds)), self.wanted].sum() + steps[before, self.wanted].sum())


def fit(sequences: Sequence[Tagged], tags: int, advance: Callable[[], None]) -> tuple[Weights, list[bool]]:
    """A field over `tags` tags, with the penalty that loses least on sequences left out; and whether each of these was
    tagged right. advance: called 1 + len(PENALTIES) times."""
    left_out = sequences[::HELD_OUT]
    taught = [one for n, one in enumerate(sequences) if n % HELD_OUT] or list(sequences)
    best: tuple[float, float, Weights] | None = None
    for penalty in PENALTIES:
        field = _fitted(taught, tags, penalty, best[2] if best else None)
        lost = Batch(left_out, field.hashes, tags).loss(field.weights, field.steps)[0]
        advance()
        if best is not None and lost >= best[0]:
            break
        best = lost, penalty, field
    assert best is not None
    right = [_tags(best[2], one.told) == list(one.tags) for one in left_out]
    whole = _fitted(sequences, tags, best[1], None)
    advance()
    return whole, right


def _fitted(sequences: Sequence[Tagged], tags: int, penalty: float, begin: Weights | None) -> Weights:
    hashes = begin.hashes if begin else _known(sequences, MOST_WEIGHTS // tags)
    batch, allowed = Batch(sequences, hashes, tags), allowed_steps(tags)
    size = len(hashes) * tags

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        weights, steps = flat[:size].reshape(-1, tags), np.where(allowed, flat[size:].reshape(-1, tags), NEVER)
        total, of_weights, of_steps = batch.loss(weights, steps)
        slope = np.concatenate([np.asarray(of_weights).ravel(), np.where(allowed, of_steps, 0.0).ravel()])
        return total + penalty * float(flat @ flat), slope + 2 * penalty * flat

    start = np.zeros(size + (tags + 1) * tags)
    if begin is not None:
        start = np.concatenate([begin.weights.ravel(), np.where(allowed, begin.steps, 0.0).ravel()])
    options = {"maxiter": STEPS, "maxcor": 5, "ftol": 1e-5}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    steps = np.where(allowed, found[size:].reshape(-1, tags), NEVER)
    return Weights(hashes, found[:size].reshape(-1, tags), steps)


def allowed_steps(tags: int) -> Matrix:
    """Which tag may follow which: a value goes on only where it began."""
    allowed = np.ones((tags + 1, tags), bool)
    allowed[:, 2::2] = False
    for inside in range(2, tags, 2):
        allowed[[inside, inside + 1], inside] = True
    return allowed


def _tags(field: Weights, told: Told) -> list[int]:
    odds = _matrix(_marks(told, field.hashes), field.hashes) @ field.weights
    odds += _matrix([told.course], field.hashes) @ field.weights
    return best_paths(odds, field.steps)[0]


def _marks(told: Told, hashes: Hashes) -> list[tuple[int, ...]]:
    return [(*marks, *more) for marks, more in zip(told.marks, rarities(told, hashes), strict=True)]


def _known(sequences: Sequence[Tagged], most: int) -> Hashes:
    every = [mark for one in sequences for marks in (*one.told.marks, one.told.course) for mark in marks]
    hashes, counts = np.unique(np.array(every, np.uint32), return_counts=True)
    kept = np.flatnonzero(counts >= LEAST_SEEN)
    known = hashes[kept[np.argsort(-counts[kept], kind="stable")[:most]]]
    known.sort()
    rare = {mark for one in sequences for marks in rarities(one.told, known) for mark in marks}
    return np.union1d(known, np.array(sorted(rare), np.uint32))


def _matrix(rows: Sequence[Sequence[int]], hashes: Hashes) -> csr_matrix:
    """Rows × features that are known."""
    starts = np.cumsum([0, *map(len, rows)])
    flat = np.array([mark for row in rows for mark in row], np.uint32)
    if not len(hashes):
        return csr_matrix((len(rows), 0))
    places = np.minimum(np.searchsorted(hashes, flat), len(hashes) - 1)
    matrix = csr_matrix(((hashes[places] == flat).astype(float), places, starts), shape=(len(rows), len(hashes)))
    matrix.eliminate_zeros()
    return matrix
