"""Which rows stand in which part: no run and no prompt in two, and the held-out parts a uniform sample.

Rows that share a run or are near-duplicates form one group (union–find), and groups are dealt out whole, in an order
that only the seed, the task and their content decide. Calibration is dealt first, then test, then validation, each
until its quota is full; what is left trains.

A group of more than half a quota would alone decide what that part says, so it is first taken apart into runs and
prompts that differ in more than punctuation (without digits, all sums are one prompt). What is still too large
trains, and provenance counts those calls: the held-out parts do not speak for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .rows import Row

Keys = Callable[[Row], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Quotas:
    """How many rows each held-out part should have."""

    calibration: int
    test: int
    validation: int

    @property
    def largest_group(self) -> int:
        return max(1, min(self.calibration, self.test) // 2)


@dataclass(frozen=True, slots=True)
class Split:
    """Rows by part; `groups` counts by part.

    withheld: rows that may stand in no part. oversized: sampled rows that train because their group was too large.
    """

    parts: dict[str, list[Row]]
    groups: dict[str, int]
    withheld: list[Row]
    oversized: int


def split(rows: Sequence[Row], quotas: Quotas, seed: str) -> Split:
    """Deal the rows out. Rows that are not sampled train, or are withheld where their group is held out."""
    small, oversized = _groups(rows, quotas.largest_group)
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
    )


def _groups(rows: Sequence[Row], largest: int) -> tuple[list[list[Row]], list[list[Row]]]:
    """Groups that can be dealt out, and those that are too large even when taken apart."""
    small: list[list[Row]] = []
    oversized: list[list[Row]] = []
    for group in _components(rows, lambda row: (f"run {row.run}" if row.run else "", row.strict, *row.near)):
        if len(group) <= largest:
            small.append(group)
            continue
        for part in _components(group, lambda row: (f"run {row.run}" if row.run else "", row.strict)):
            (small if len(part) <= largest else oversized).append(part)
    return small, oversized


def _components(rows: Sequence[Row], keys: Keys) -> list[list[Row]]:
    """Rows that share a key, directly or through others, together."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        parent.setdefault(key, key)
        while parent[key] != key:
            parent[key] = parent[parent[key]]
            key = parent[key]
        return key

    for row in rows:
        first = root(row.strict)
        for key in keys(row):
            if key:
                parent[root(key)] = first
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(root(row.strict), []).append(row)
    return list(groups.values())


def _order(seed: str, key: str) -> str:
    """Where something stands in the shuffle: content does not decide it, so that any prefix is a fair sample."""
    return hashlib.sha256(f"{seed} {key}".encode(errors="surrogatepass")).hexdigest()
