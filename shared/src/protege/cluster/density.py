"""Which sampled calls are of one kind: density clustering of the constant text of their prompts.

There are two levels. Calls with the same system text have one wording, unless that text says nothing ("You are a
helpful assistant.") and the user's message or the tools tell kinds apart. Then `hdbscan` (Campello et al. 2013) over
term vectors and truncated SVD finds the dense groups among the wordings. Groups that are alike on average become one
task, such as a state tracker whose prompt names another service each time.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from hdbscan import HDBSCAN
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.linalg import eigh
from scipy.sparse import csr_matrix
from scipy.spatial.distance import squareform
from sklearn.metrics.pairwise import cosine_similarity

from .answers import Form, alike, profile_of
from .document import SMALLEST, Document, documents_of
from .free import free_kinds, same_inputs
from .wording import FREE, Wording, name_words, words

ALIKE = 0.48
"""Groups whose mean cosine is above this are one task. Of 20 agents' nodes, also with twelve services of one agent,
nothing is joined wrongly above .38, or torn below .60; MetaGPT's 60 actions are told apart best at .40 to .50."""
SAME_NODE = 0.15
"""Added to that cosine if two groups share a node."""
SAME_ANSWERS = 0.15
"""Added to it, at most, if the answers to the same kind of input have the same keys or labels."""
COMPARED = 200
"""The number of inputs of each group that are compared, at most."""
LABELS = 0.4
"""The weight of the labels of an opening's lines in that opening."""
FREE_SHARE = 0.02
"""Calls without constant text are a kind of their own if they are at least this share of all calls."""
COMPONENTS = 200
"""Dimensions after the reduction. If there are fewer dimensions than kinds, kinds coincide."""
DISTINCT = 1_500
"""The number of documents that are compared with each other, at most."""
CENTRE_WORDS = 96
"""The number of words in a centre, at most."""
_HALF = 20
"""A system text of this many words weighs as much as everything else in the prompt."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """The groups among some prompts."""

    labels: list[int]
    """The group of each prompt; -1 for none."""
    documents: list[Document]
    """The constant text of each prompt."""
    centres: dict[int, dict[str, float]]
    """Weight by word, by group."""


def group(
    wordings: Sequence[Wording],
    nodes: Sequence[tuple[str, ...]],
    forms: Sequence[Form],
    openings: Sequence[Set[str]],
) -> Grouping:
    """The groups among some thousand prompts.

    nodes: the node that each prompt came from. forms: the form of each prompt's answer. openings: the words of each
    prompt's opening.
    """
    documents = documents_of(wordings)
    distinct = sorted(set(documents), key=lambda d: (d.system, d.opening, d.tools, d.flags))
    number = {document: i for i, document in enumerate(distinct)}
    rows = np.array([number[document] for document in documents], dtype=int)
    if not distinct:
        return Grouping([], documents, {})
    matrix, vocabulary = _vectors(distinct)
    counts = np.bincount(rows, minlength=len(distinct))
    dense = _dense_groups(matrix, counts)
    joined = _join_alike(matrix, dense, _nodes_of(dense[rows], nodes), _Answers.of(dense[rows], forms, openings))
    centres = _centres(matrix, joined, counts, vocabulary)
    # Many prompts without constant text are a kind; a few are leftovers.
    free = np.array([bool(FREE.intersection(d.flags)) for d in distinct])
    joined = np.where(free & (counts < FREE_SHARE * len(documents)), -1, joined)
    labels = [int(label) for label in joined[rows]]
    _split_free(labels, {int(g) for g in joined[free & (joined >= 0)]}, centres, forms, openings)
    return Grouping(labels, documents, centres)


def _split_free(
    labels: list[int],
    free: Iterable[int],
    centres: dict[int, dict[str, float]],
    forms: Sequence[Form],
    openings: Sequence[Set[str]],
) -> None:
    """Split each group without constant text into the kinds that its requests and answers show.

    Changes `labels` and `centres` in place.
    """
    for g in sorted(free):
        members = [i for i, label in enumerate(labels) if label == g]
        kinds, weights = free_kinds([openings[i] for i in members], [forms[i] for i in members])
        number = [g, *range(max(centres) + 1, max(centres) + len(weights))]
        marks = {word: weight for word, weight in centres[g].items() if word in FREE}
        for k, own in enumerate(weights):
            centres[number[k]] = {**marks, **own}
        for i, kind in zip(members, kinds, strict=True):
            labels[i] = number[kind]


# How alike


def _vectors(documents: Sequence[Document]) -> tuple[csr_matrix, list[str]]:
    """One row of length one per document, over words and pairs of words; and the terms of the columns.

    Each term counts once, and all count the same. Inverse document frequency was tried: what is rare then depends on
    which other tasks there are, and the thirteen services of a state tracker, one task among twenty others, fall apart
    when they stand alone. System, opening and tools each have a share of the row that does not depend on the length of
    the others.
    """
    column: dict[str, int] = {}
    rows: list[dict[int, float]] = []
    for document in documents:
        row: dict[int, float] = defaultdict(float)
        for share, terms in _blocks(document):
            for term in terms:
                row[column.setdefault(term, len(column))] += math.sqrt(share / len(terms))
        rows.append(row)
    starts = np.cumsum([0, *(len(row) for row in rows)])
    indices = np.array([i for row in rows for i in row], dtype=int)
    lengths = [math.sqrt(sum(x * x for x in row.values())) for row in rows]
    data = np.array([x / length for row, length in zip(rows, lengths, strict=True) for x in row.values()])
    return csr_matrix((data, indices, starts), shape=(len(documents), len(column))), list(column)


def _blocks(document: Document) -> list[tuple[float, list[str]]]:
    system, opening = words(document.system), words(document.opening)
    tools = name_words(document.tools) + list(document.flags)
    share = len(system) / (len(system) + _HALF)
    if system and (opening or document.labels):  # constant text in the user's message tells more
        share *= 0.5
    rest = len(opening) + len(document.labels) + len(tools) or 1
    of_tools = (1 - share) * (min(0.5, len(tools) / rest) if system or opening or document.labels else 1)
    of_labels = (1 - share - of_tools) * (LABELS if opening else 1) if document.labels else 0
    parts = [
        (share, _terms(system)),
        (1 - share - of_tools - of_labels, _terms(opening)),
        (of_labels, list(document.labels)),
        (of_tools, sorted(set(tools))),
    ]
    return [(weight, terms) for weight, terms in parts if terms and weight > 0]


def _terms(text: list[str]) -> list[str]:
    pairs = {f"{a} {b}" for a, b in itertools.pairwise(text)}
    return sorted(pairs.union(text))


def _dense_groups(matrix: csr_matrix, counts: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The group of each distinct document; -1 for none."""
    labels = np.full(len(counts), -1)
    # The most frequent ones first; the rest in an order drawn by chance, which is the same each time.
    order = np.lexsort((np.random.default_rng(0).permutation(len(counts)), -counts))[:DISTINCT]
    repeats = np.minimum(counts[order], SMALLEST + 1)  # more copies of a point add no information
    if len(order) > 1 and repeats.sum() > 2 * SMALLEST:
        points = np.repeat(_reduced(matrix[order]), repeats, axis=0)
        # Nearer than .4 (cosine .92), wordings differ by no more than a value in them.
        model = HDBSCAN(min_cluster_size=SMALLEST, min_samples=2, cluster_selection_epsilon=0.4)
        of_points = np.asarray(model.fit_predict(points))
        labels[order] = of_points[np.concatenate([[0], np.cumsum(repeats)[:-1]])]
        labels[_scattered(matrix, labels)] = -1
    for i in np.flatnonzero((labels < 0) & (counts >= SMALLEST)):
        labels[i] = labels.max() + 1
    return np.unique(labels, return_inverse=True)[1] - int(labels.min() < 0)


def _reduced(matrix: csr_matrix) -> np.ndarray[Any, Any]:
    """The rows in at most `COMPONENTS` dimensions, of length one.

    Truncated SVD, computed from the eigenvectors of the rows' inner products.
    """
    products = (matrix @ matrix.T).toarray()
    last = len(products) - 1
    values, vectors = eigh(products, subset_by_index=[max(0, last + 1 - COMPONENTS), last])
    points = vectors * np.sqrt(np.maximum(values, 0))
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)


def _scattered(matrix: csr_matrix, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The positions of the documents in groups whose members are not alike.

    Documents that the reduction cannot represent end up close together.
    """
    inside = np.flatnonzero(labels >= 0)
    sizes = np.bincount(labels[inside], minlength=1)
    squares = _sums(matrix, labels).power(2).sum(axis=1)
    pairs = np.maximum(sizes * (sizes - 1), 1)
    mean_cosine = np.where(sizes > 1, (np.asarray(squares).ravel() - sizes) / pairs, 1.0)
    return inside[mean_cosine[labels[inside]] < ALIKE]


def _sums(matrix: csr_matrix, labels: np.ndarray[Any, Any]) -> csr_matrix:
    """One row per group: the sum of its members' rows."""
    inside = np.flatnonzero(labels >= 0)
    shape = (max(1, int(labels.max()) + 1), len(labels))
    return cast("csr_matrix", csr_matrix((np.ones(len(inside)), (labels[inside], inside)), shape=shape) @ matrix)


def _join_alike(
    matrix: csr_matrix,
    dense: np.ndarray[Any, Any],
    nodes: Sequence[tuple[str, ...]],
    answers: _Answers,
) -> np.ndarray[Any, Any]:
    """The group of each document after groups that are alike are joined by average linkage.

    Single linkage joins different groups by way of a third: V-measure .83 against .94 on MetaGPT's calls, whose prompts
    share long passages.
    """
    groups = int(dense.max()) + 1
    if groups < 2:
        return dense
    step = {node: i for i, node in enumerate(dict.fromkeys(nodes))}
    steps = np.array([step[node] if node else -1 - i for i, node in enumerate(nodes)])
    distance = 1 - np.asarray(cosine_similarity(_sums(matrix, dense))) - SAME_NODE * (steps[:, None] == steps[None, :])
    for a, b in itertools.combinations(range(groups), 2):
        near = distance[a, b] <= 1 - ALIKE + SAME_ANSWERS
        if near and (same := answers.same(a, b)):
            distance[a, b] = distance[b, a] = distance[a, b] - SAME_ANSWERS * same
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(np.clip(distance, 0, 1), checks=False), "average")
    joined = fcluster(tree, 1 - ALIKE, "distance") - 1
    return np.where(dense < 0, -1, joined[dense])


def _nodes_of(labels: np.ndarray[Any, Any], nodes: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The most frequent node of each group."""
    counts: dict[int, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for label, node in zip(labels, nodes, strict=True):
        counts[int(label)][node] += 1
    return [counts[g].most_common(1)[0][0] for g in range(int(labels.max()) + 1)]


@dataclass(frozen=True, slots=True)
class _Answers:
    """What each group is asked, and what it answers."""

    profiles: list[dict[str, float]]
    openings: list[list[Set[str]]]

    @classmethod
    def of(cls, labels: np.ndarray[Any, Any], forms: Sequence[Form], openings: Sequence[Set[str]]) -> _Answers:
        groups = int(labels.max()) + 1
        given: list[list[Form]] = [[] for _ in range(groups)]
        asked: list[list[Set[str]]] = [[] for _ in range(groups)]
        for label, form, opening in zip(labels, forms, openings, strict=True):
            if label >= 0 and form:
                given[label].append(form)
                asked[label].append(opening)
        return cls([profile_of(own) for own in given], [own[:COMPARED] for own in asked])

    def same(self, a: int, b: int) -> float:
        """How similar two groups' answers are, 0 to 1; 0 if the groups get different kinds of input."""
        share = alike(self.profiles[a], self.profiles[b])
        return share if share and same_inputs(self.openings[a], self.openings[b]) else 0.0


def _centres(
    matrix: csr_matrix, labels: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], vocabulary: list[str]
) -> dict[int, dict[str, float]]:
    """The heaviest single words of each group's mean, scaled to length one."""
    centres: dict[int, dict[str, float]] = {}
    for g in range(int(labels.max()) + 1):
        members = labels == g
        weights = np.log1p(counts[members])
        mean = np.asarray(matrix[members].T @ weights).ravel()
        single = [i for i in np.flatnonzero(mean) if " " not in vocabulary[i] or vocabulary[i].endswith(":")]
        top = sorted(single, key=lambda i: (-mean[i], vocabulary[i]))[:CENTRE_WORDS]
        length = float(np.linalg.norm(mean[top])) or 1.0
        centres[g] = {vocabulary[i]: round(float(mean[i]) / length, 4) for i in top}
    return centres
