"""Times and costs as tracers write them."""

from __future__ import annotations

from typing import Any

from ...common.checks import time as time_of
from ...errors import BadCall


def times(start: Any, end: Any = None, first: Any = None) -> dict[str, float]:
    """`time`, `latency_ms` and `ttft_ms` as far as they are known: when a call began, how long it took, and when its
    first token came. What is no time is left out by itself."""
    began, ended, token = (time_or_none(value or None) for value in (start, end, first))
    told: dict[str, float] = {}
    if began is None:
        return told
    told["time"] = began
    if ended is not None and ended >= began:
        told["latency_ms"] = round((ended - began) * 1000, 3)
    if token is not None and token >= began:
        told["ttft_ms"] = round((token - began) * 1000, 3)
    return told


def time_or_none(value: Any) -> float | None:
    """Seconds since 1970; None for what is no time."""
    try:
        return time_of({"time": value})
    except BadCall:
        return None


def dollars(value: Any) -> float | None:
    """A cost, which may be written as a text; None for what is no number."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
