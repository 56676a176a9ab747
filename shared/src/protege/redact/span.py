"""Where in a text personal data stands."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Characters start to end. type: of `policy.TYPES`, or a company's own."""

    start: int
    end: int
    type: str
