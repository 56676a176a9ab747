"""Divide rows into parts so that no run, prompt or near-duplicate is in two, and held-out parts are uniform samples.

Rows that share a run or the opening of a conversation, or are near-duplicates, form one group (connected components).
Groups are dealt out whole, in an order that only the seed, the task and their content decide. Calibration is dealt
first, then test, then validation, each until its quota is full; the rest trains.

Links form chains: one text is near another, which shares a run with a third, and soon a whole task is one group. A
group larger than half a quota would dominate its part, so it is taken apart by ever stricter links: similarity of .8,
of .9, then the same text apart from case and punctuation (from here on digits count, otherwise all sums would be one
prompt). Runs and equal prompts are never divided. A group that is still too large trains, and provenance counts its
calls: the held-out parts do not represent them. Provenance also counts the rows of groups that were taken apart, since
there a near-duplicate may be in two parts.

Turns of one conversation that were recorded without a common run share what was said before. Each such turn links them,
except those that many conversations have (`turns_that_tell`). Like runs, they are never divided.

Time links rows only through runs, because retries and the turns of a conversation belong to one run. Time does not
choose the part: holding out the newest runs would measure the last days instead of the traffic, while the guarantee
covers calls that are exchangeable with those of calibration. Provenance says which time each part spans, and the
route's audit detects drift.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from .near import ALIKE, CLOSE, Pairs, components
from .rows import Row

NEIGHBOURS = 8
"""The turns before and after a turn that are looked at."""
MOST_WAYS = 2
"""A turn is one conversation's if it comes about, and goes on, in at most so many ways: two where an answer was asked
for again."""

Keys = Callable[[Row], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Quotas:
    """The number of rows that each held-out part should have."""

    calibration: int
    test: int
    validation: int

    @property
    def largest_group(self) -> int:
        return max(1, min(self.calibration, self.test) // 2)


@dataclass(frozen=True, slots=True)
class Split:
    """Rows dealt out to parts."""

    parts: dict[str, list[Row]]
    """The rows of each part."""
    groups: dict[str, int]
    """The number of groups in each part."""
    withheld: list[Row]
    """Unsampled rows of a held-out group; they are in no part."""
    oversized: int
    """The number of sampled rows that train because their group was too large."""
    divided: int
    """The number of rows of groups that were taken apart."""


def split(rows: Sequence[Row], pairs: Pairs, quotas: Quotas, seed: str) -> Split:
    """Deal the rows out to the parts.

    pairs: the near-duplicates among them. seed: decides the order.
    Rows that are not sampled train, or are withheld if their group is held out.
    """
    small, oversized, divided = _groups(rows, pairs, quotas.largest_group)
    dealt: dict[str, list[list[Row]]] = {"train": list(oversized), "validation": [], "calibration": [], "test": []}
    open_parts = [("calibration", quotas.calibration), ("test", quotas.test), ("validation", quotas.validation)]
    filled = 0
    for group in sorted(small, key=lambda group: _order(seed, min(row.strict for row in group))):
        while open_parts and filled >= open_parts[0][1]:
            open_parts.pop(0)
            filled = 0
        sampled = sum(row.sampled for row in group)
        dealt[open_parts[0][0] if open_parts and sampled else "train"].append(group)
        filled += sampled
    whole = {name: [row for group in groups for row in group] for name, groups in dealt.items()}
    parts = {name: [row for row in part if row.sampled or name == "train"] for name, part in whole.items()}
    return Split(
        parts={name: sorted(part, key=lambda row: _order(seed, row.id)) for name, part in parts.items()},
        groups={name: len(groups) for name, groups in dealt.items()},
        withheld=[row for name, part in whole.items() if name != "train" for row in part if not row.sampled],
        oversized=sum(row.sampled for group in oversized for row in group),
        divided=divided,
    )


def _groups(rows: Sequence[Row], pairs: Pairs, largest: int) -> tuple[list[list[Row]], list[list[Row]], int]:
    """The groups that can be dealt out, those too large even when taken apart, and the number of rows taken apart."""
    if not rows:
        return [], [], 0
    told = turns_that_tell(rows)
    tied = _linked(rows, lambda row: (row.strict, f"run {row.run}" if row.run else "", *told.intersection(row.turns)))
    alike = _linked(rows, lambda row: row.near)
    labels = components(len(rows), *_joined(tied, alike, pairs.above(ALIKE)))
    too_large = np.bincount(labels)[labels] > largest
    divided = int(too_large.sum())
    for links in (_joined(tied, pairs.above(0.8)), _joined(tied, pairs.above(CLOSE)), tied):
        if too_large.any():
            labels = np.where(too_large, components(len(rows), *links) + labels.max() + 1, labels)
            too_large = np.bincount(labels)[labels] > largest
    small: list[list[Row]] = []
    oversized: list[list[Row]] = []
    order = np.argsort(labels, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        name = min(rows[i].id for i in part)
        group = [replace(rows[i], group=name) for i in part]
        (oversized if too_large[part[0]] else small).append(group)
    return small, oversized, divided


def turns_that_tell(rows: Sequence[Row]) -> frozenset[str]:
    """The turns that tell a conversation from others: whichever calls show them, the same turns come before and after.

    A greeting, a short "yes" and the name of a label stand in many conversations, and so go on in many ways.
    """
    before, after = defaultdict[str, set[_Turns]](set), defaultdict[str, set[_Turns]](set)
    for row in rows:
        shown = row.turns[:-1]  # agents may change an answer before they show it again
        for i, turn in enumerate(row.turns):
            before[turn].add(row.turns[max(0, i - NEIGHBOURS) : i][::-1])
            if i < len(shown):
                after[turn].add(shown[i + 1 : i + 1 + NEIGHBOURS])
    neighbours = {turn: (before[turn], after[turn]) for turn in after}
    # A turn that stands alone tells nothing: with a profile in the system's prompt, many users ask the same.
    return frozenset(
        turn
        for turn, (earlier, later) in neighbours.items()
        if any((*earlier, *later)) and max(_ways(earlier), _ways(later)) <= MOST_WAYS
    )


_Turns = tuple[str, ...]


def _ways(lines: set[_Turns]) -> int:
    """The number of lines of turns that are not the beginning of another: later calls show more of a conversation."""
    ordered = sorted(lines)
    return sum(later[: len(line)] != line for line, later in pairwise((*ordered, ("",))))


def _linked(rows: Sequence[Row], keys: Keys) -> tuple[np.ndarray, np.ndarray]:
    """For each key of each row, a link from the first row with this key to the row."""
    first: dict[str, int] = {}
    links = [(first.setdefault(key, i), i) for i, row in enumerate(rows) for key in keys(row) if key]
    left, right = np.array(links, np.int64).reshape(-1, 2).T
    return left, right


def _joined(*links: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([left for left, _ in links]), np.concatenate([right for _, right in links])


def _order(seed: str, key: str) -> str:
    """The position in the shuffle: independent of content, so that any prefix is a fair sample."""
    return hashlib.sha256(f"{seed} {key}".encode(errors="surrogatepass")).hexdigest()
