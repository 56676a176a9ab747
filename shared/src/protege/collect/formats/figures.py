"""Times and costs as tracers write them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

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
    """Seconds since 1970; None for what is no time. Dates may be those of e-mails, Mongo, protobuf and Java too."""
    try:
        return time_of({"time": _plain_time(value)})
    except (BadCall, ValueError, TypeError, OverflowError):
        return None


def _plain_time(value: Any) -> Any:
    if isinstance(value, Mapping):
        held = cast(Mapping[str, Any], value)
        if "seconds" in held:
            return float(held["seconds"]) + float(held.get("nanos") or held.get("nanoseconds") or 0) / 1e9
        return _plain_time(held.get("$date", held.get("$numberLong")))
    if not isinstance(value, str):
        return value
    text = value.strip().partition("[")[0]
    if "," in text[:5]:
        return parsedate_to_datetime(text).timestamp()
    if text[4:5] == "/":
        return text.replace("/", "-", 2)
    return float(text) if _POWER.fullmatch(text) else text


_POWER = re.compile(r"\d\.\d{1,20}[eE]\+?\d{1,2}")
_FIGURES = ("cost_usd", "latency_ms", "ttft_ms")


def as_numbers(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with the figures that are written as texts as numbers."""
    texts = {name: number for name in _FIGURES if (number := _number(record.get(name))) is not None}
    usage = record.get("usage")
    if isinstance(usage, Mapping):
        counts = {name: number for name, value in usage.items() if (number := _number(value)) is not None}
        texts |= {"usage": {**cast(Mapping[str, Any], usage), **counts}} if counts else {}
    return {**record, **texts} if texts else record


def _number(value: Any) -> float | None:
    """The number that a text says; None for any other value."""
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return None


def dollars(value: Any) -> float | None:
    """A cost, which may be written as a text; None for what is no number."""
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
