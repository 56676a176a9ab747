"""Values are told from what an annotation says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from protege.common.shapes import fits


@dataclass(frozen=True)
class Node:
    name: str
    share: float | None = None
    below: tuple[Node, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, float),
        ("x", str | None),
        (None, str | None),
        ("a", Literal["a", "b"]),
        ((1, 2.5), tuple[float, float]),
        ([["a"], ("b",)], Sequence[Sequence[str]]),
        ({"a": [1]}, Mapping[str, Any]),
        (Node("a", 1, (Node("b"),), {"c": 2}), Node),
    ],
)
def test_what_fits(value: Any, kind: Any) -> None:
    assert fits(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, int),
        (True, float),
        (math.nan, float),
        (math.inf, float),
        (1.0, int),
        ("c", Literal["a", "b"]),
        ((1,), tuple[float, float]),
        ("ab", Sequence[str]),
        ([1], tuple[int, ...]),
        ({1: 1}, Mapping[str, int]),
        ({}, Node),
        (Node("a", below=(Node("b", "much"),)), Node),  # pyright: ignore[reportArgumentType]
        (Node("a", counts={"c": None}), Node),  # pyright: ignore[reportArgumentType]
    ],
)
def test_what_does_not(value: Any, kind: Any) -> None:
    assert not fits(value, kind)
