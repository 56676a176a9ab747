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

from ...heads.features import Floats, Hashes
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
    vectors: Floats | None = None
    """Of the tokens; tokens × dimensions. All sequences of a fit have them or none has."""
    act: str = ""
    """What its answer does, as `told_of` was told."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What was fitted: as `Tagger.hashes`, `weights` and `steps`."""

    hashes: Hashes
    weights: Matrix
    steps: Matrix
    of_vectors: Matrix
    """Dimensions × tags."""

    def odds(self, one: Tagged) -> Matrix:
        """What its features speak for; tokens × tags."""
        odds = _matrix(_marks(one.told, self.hashes), self.hashes) @ self.weights
        odds += _matrix([one.told.course], self.hashes) @ self.weights
        return odds if one.vectors is None else odds + one.vectors @ self.of_vectors


@dataclass(frozen=True, slots=True)
class Held:
    """How a penalty did on the sequences left out."""

    penalty: float
    weights: Weights
    """Fitted to the other sequences."""
    losses: Matrix
    """The negative log-likelihood of each."""


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
        vectors = [one.vectors for one in ordered if one.vectors is not None]
        self.vectors = np.concatenate(vectors).astype(float) if vectors else np.zeros((len(self.wanted), 0))

    @cached_property
    def columns(self) -> list[Numbers]:
        """For each place the tokens that stand there, in the sequences that are as long."""
        counts = [int((self.lengths > t).sum()) for t in range(int(self.lengths[0]))]
        return [self.starts[:count] + t for t, count in enumerate(counts)]

    def losses(self, given: Weights) -> Matrix:
        """The negative log-likelihood of each sequence, the longest first."""
        return self._passed(given)[0]

    def loss(self, given: Weights) -> tuple[float, Weights]:
        """The negative log-likelihood of all, and its slopes."""
        losses, chances, moves, forward, scales, before = self._passed(given)
        shares, moved = self._backward(chances, moves, forward, scales)
        slope_of_steps = np.vstack([shares[self.starts[:-1]].sum(axis=0), moved])
        np.subtract.at(slope_of_steps, (before, self.wanted), 1.0)
        shares[np.arange(len(shares)), self.wanted] -= 1.0
        of_texts = np.add.reduceat(shares, self.starts[:-1])
        slope = np.asarray(self.of_tokens.T @ shares + self.of_texts.T @ of_texts)
        return float(losses.sum()), Weights(given.hashes, slope, slope_of_steps, self.vectors.T @ shares)

    def _passed(self, given: Weights) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix, Numbers]:
        """The loss of each sequence, and what the way back needs."""
        odds = self.of_tokens @ given.weights + (self.of_texts @ given.weights)[self.text]
        odds += self.vectors @ given.of_vectors
        highest = odds.max(axis=1, keepdims=True)
        chances, moves = np.exp(odds - highest), np.exp(given.steps[1:])
        forward, scales = self._forward(chances, np.exp(given.steps[0]), moves)
        first = np.zeros(len(self.wanted), bool)
        first[self.starts[:-1]] = True
        before = np.where(first, 0, np.roll(self.wanted, 1) + 1)
        right = odds[np.arange(len(odds)), self.wanted] + given.steps[before, self.wanted]
        losses = np.add.reduceat(np.log(scales) + highest[:, 0] - right, self.starts[:-1])
        return losses, chances, moves, forward, scales, before

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


def compared(sequences: Sequence[Tagged], tags: int, advance: Callable[[], None]) -> tuple[Held, list[bool]]:
    """The penalty that loses least on sequences left out, and whether each of these was tagged right. advance: called
    `len(PENALTIES)` times at most."""
    left_out = sequences[::HELD_OUT]
    taught = [one for n, one in enumerate(sequences) if n % HELD_OUT] or list(sequences)
    best: Held | None = None
    for penalty in PENALTIES:
        weights = fitted(taught, tags, penalty, best.weights if best else None)
        held = Held(penalty, weights, Batch(left_out, weights.hashes, tags).losses(weights))
        advance()
        if best is not None and held.losses.sum() >= best.losses.sum():
            break
        best = held
    assert best is not None
    return best, [best_paths(best.weights.odds(one), best.weights.steps)[0] == list(one.tags) for one in left_out]


def fitted(sequences: Sequence[Tagged], tags: int, penalty: float, begin: Weights | None = None) -> Weights:
    """A field over `tags` tags. begin: to go on from."""
    hashes = begin.hashes if begin else _known(sequences, MOST_WEIGHTS // tags)
    batch, allowed = Batch(sequences, hashes, tags), allowed_steps(tags)
    rows = np.cumsum([0, len(hashes), tags + 1, batch.vectors.shape[1]])

    def parted(flat: Matrix) -> Weights:
        weights, steps, of_vectors = np.split(flat.reshape(-1, tags), rows[1:3])
        return Weights(hashes, weights, np.where(allowed, steps, NEVER), of_vectors)

    def joined(parts: Weights) -> Matrix:
        return np.vstack([parts.weights, np.where(allowed, parts.steps, 0.0), parts.of_vectors]).ravel()

    def loss(flat: Matrix) -> tuple[float, Matrix]:
        total, slope = batch.loss(parted(flat))
        return total + penalty * float(flat @ flat), joined(slope) + 2 * penalty * flat

    options = {"maxiter": STEPS, "maxcor": 5, "ftol": 1e-5}
    start = joined(begin) if begin else np.zeros(int(rows[-1]) * tags)
    return parted(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)


def allowed_steps(tags: int) -> Matrix:
    """Which tag may follow which: a value goes on only where it began."""
    allowed = np.ones((tags + 1, tags), bool)
    allowed[:, 2::2] = False
    for inside in range(2, tags, 2):
        allowed[[inside, inside + 1], inside] = True
    return allowed


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
