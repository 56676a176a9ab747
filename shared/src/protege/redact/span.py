"""A position of personal data in a text."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Characters `start` to `end` of a text."""

    start: int
    end: int
    type: str
    """One of `policy.TYPES`, or the name of a company's own pattern."""
