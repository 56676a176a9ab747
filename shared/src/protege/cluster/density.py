"""Which sampled calls are one kind: density clustering of what is constant in their prompts.

Two levels. Calls with one system text are one wording, unless that text says nothing ("You are a helpful assistant.")
and the user's message or the tools tell kinds apart. Then `hdbscan` (Campello et al. 2013) over term vectors and
truncated SVD finds the dense groups among the wordings, and groups that are alike on average become one task: a state
tracker whose prompt names another service each time.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from .answers import Form, alike, profile_of
from .document import SMALLEST, Document, documents_of
from .free import free_kinds, same_inputs
from .wording import FREE, Wording, name_words, words

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix

ALIKE = 0.48
"""Groups whose mean cosine is above this are one task. Of 20 agents' nodes, also with twelve services of one agent,
nothing is joined wrongly above .38, or torn below .60; MetaGPT's 60 actions are told apart best at .40 to .50."""
SAME_NODE = 0.15
"""What a shared node adds to that cosine."""
SAME_ANSWERS = 0.15
"""What the same keys, or the same labels, in the answers to the same kind of input add to it."""
COMPARED = 200
"""Inputs of each two groups."""
LABELS = 0.4
"""What the labels of an opening's lines weigh in it."""
FREE_SHARE = 0.02
"""Of the calls: so many without constant text are a kind of their own."""
COMPONENTS = 200
"""With fewer than there are kinds, kinds fall onto each other."""
DISTINCT = 1_500
"""Documents that are compared with each other: at most so many."""
CENTRE_WORDS = 96
_HALF = 20
"""A system text of so many words weighs as much as everything else in the prompt."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """label: each prompt's group, -1 for none. document: each prompt's. centre: word → weight, by group."""

    labels: list[int]
    documents: list[Document]
    centres: dict[int, dict[str, float]]


def group(
    wordings: Sequence[Wording],
    nodes: Sequence[tuple[str, ...]],
    forms: Sequence[Form],
    openings: Sequence[Set[str]],
) -> Grouping:
    """The groups among some thousand prompts.

    nodes: the steps that they came from. forms: of their answers. openings: the words of their openings.
    """
    import numpy as np

    documents = documents_of(wordings)
    distinct = sorted(set(documents), key=lambda d: (d.system, d.opening, d.tools, d.flags))
    number = {document: i for i, document in enumerate(distinct)}
    rows = np.array([number[document] for document in documents], dtype=int)
    if not len(distinct):
        return Grouping([], documents, {})
    matrix, vocabulary = _vectors(distinct)
    counts = np.bincount(rows, minlength=len(distinct))
    dense = _dense_groups(matrix, counts)
    joined = _join_alike(matrix, dense, _nodes_of(dense[rows], nodes), _Answers.of(dense[rows], forms, openings))
    centres = _centres(matrix, joined, counts, vocabulary)
    # Prompts without constant text are a kind where they are many; a few are what is left over.
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
    """The groups without constant text, each in the kinds that its requests and answers show; changes its arguments."""
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
    """Rows of length one, over words and pairs of words.

    Each term counts once and alike. idf was tried: what is rare then hangs on which other tasks there are, and the
    thirteen services of a state tracker, one task among twenty others, fall apart where they stand alone. Each of
    system, opening and tools has a share of the row that does not hang on how long the others are.
    """
    import numpy as np
    from scipy.sparse import csr_matrix

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
    if system and (opening or document.labels):  # what the user's message is made to say tells more
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
    """The group of each distinct document, -1 for none."""
    import numpy as np
    from hdbscan import HDBSCAN

    labels = np.full(len(counts), -1)
    # The most frequent; which of the others is a matter of chance, the same each time.
    order = np.lexsort((np.random.default_rng(0).permutation(len(counts)), -counts))[:DISTINCT]
    repeats = np.minimum(counts[order], SMALLEST + 1)  # more copies of one point say nothing new
    if len(order) > 1 and repeats.sum() > 2 * SMALLEST:
        points = np.repeat(_reduced(matrix[order]), repeats, axis=0)
        # Nearer than .4 (cosine .92), wordings differ by no more than a value in them.
        model = HDBSCAN(min_cluster_size=SMALLEST, min_samples=2, cluster_selection_epsilon=0.4)
        found = np.asarray(model.fit_predict(points))
        labels[order] = found[np.concatenate([[0], np.cumsum(repeats)[:-1]])]
        labels[_scattered(matrix, labels)] = -1
    for i in np.flatnonzero((labels < 0) & (counts >= SMALLEST)):
        labels[i] = labels.max() + 1
    return np.unique(labels, return_inverse=True)[1] - int(labels.min() < 0)


def _reduced(matrix: csr_matrix) -> np.ndarray[Any, Any]:
    """The rows in fewer dimensions, length one: truncated SVD, by the eigenvectors of the rows' inner products."""
    import numpy as np
    from scipy.linalg import eigh

    products = (matrix @ matrix.T).toarray()
    last = len(products) - 1
    values, vectors = eigh(products, subset_by_index=[max(0, last + 1 - COMPONENTS), last])
    points = vectors * np.sqrt(np.maximum(values, 0))
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-9)


def _scattered(matrix: csr_matrix, labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Which documents are in a group whose members are not alike: what the reduction cannot hold falls together."""
    import numpy as np

    inside = np.flatnonzero(labels >= 0)
    sizes = np.bincount(labels[inside], minlength=1)
    squares = _sums(matrix, labels).power(2).sum(axis=1)
    pairs = np.maximum(sizes * (sizes - 1), 1)
    mean_cosine = np.where(sizes > 1, (np.asarray(squares).ravel() - sizes) / pairs, 1.0)
    return inside[mean_cosine[labels[inside]] < ALIKE]


def _sums(matrix: csr_matrix, labels: np.ndarray[Any, Any]) -> csr_matrix:
    """One row for each group: its members' rows added up."""
    import numpy as np
    from scipy.sparse import csr_matrix

    inside = np.flatnonzero(labels >= 0)
    shape = (max(1, int(labels.max()) + 1), len(labels))
    return cast("csr_matrix", csr_matrix((np.ones(len(inside)), (labels[inside], inside)), shape=shape) @ matrix)


def _join_alike(
    matrix: csr_matrix,
    dense: np.ndarray[Any, Any],
    nodes: Sequence[tuple[str, ...]],
    answers: _Answers,
) -> np.ndarray[Any, Any]:
    """Dense groups joined by average linkage. Single linkage joins by way of third ones what differs: V .83 against .94
    on MetaGPT's calls, whose prompts share long passages."""
    import numpy as np
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform
    from sklearn.metrics.pairwise import cosine_similarity

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
    """What each group is asked, and answers."""

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
        """How far the answers to the same kind of input are the same, 0 to 1."""
        share = alike(self.profiles[a], self.profiles[b])
        return share if share and same_inputs(self.openings[a], self.openings[b]) else 0.0


def _centres(
    matrix: csr_matrix, labels: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], vocabulary: list[str]
) -> dict[int, dict[str, float]]:
    """The heaviest single words of each group's mean, length one."""
    import numpy as np

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
