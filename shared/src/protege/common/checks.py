"""The bounds of what a call may hold. They are checked where a call comes in, so that nothing behind has to doubt it.

`record` stands for a call's record (`Call.to_record`). Whatever reports a call may be wrong about it: a server that
says `"prompt_tokens": 1e300` must cost that figure, not the call (`without_odd_fields`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ..errors import BadCall

MOST_BYTES = 32 << 20
"""The most bytes of a call's record as JSON, and of a line of a file that holds one."""
MOST_LEVELS = 200
"""The most JSON objects and lists inside each other in a record. JSON libraries stop at 254 or at other depths, each
with an error of its own."""
MOST_TEXT = 4_000
"""The most characters of a field that names something, such as `id`, `model`, `run`, and of `error` and `decision`."""
RANGES: Mapping[str, tuple[float, float]] = {
    "time": (0.0, 4_102_444_800.0),
    "latency_ms": (0.0, 1e10),
    "ttft_ms": (0.0, 1e10),
    "cost_usd": (0.0, 1e6),
    "tokens": (0.0, 1e9),
    "confidence": (0.0, 1.0),
    "rate": (0.0, 1.0),
}
"""The least and the greatest value of each figure: no call is of the year 2100, takes 115 days or costs a million."""
TEXTS = ("finish_reason", "model", "answered_by", "decision", "run", "parent", "framework", "agent", "error")
"""The fields of a record that are texts, besides `id`."""

_FIGURES = ("time", "latency_ms", "ttft_ms", "cost_usd")
_TOKENS = (
    "input_tokens",
    "output_tokens",
    "prompt_tokens",
    "completion_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
)
_NUMBERS = (float, int)
_PLAIN_RANGES = tuple((name, RANGES[name]) for name in _FIGURES)
_DIGITS = re.compile(r"\d{9,20}(?:\.\d{1,12})?")
"""A time in figures; eight digits are a date."""
_LONE = re.compile("[\ud800-\udfff]")


def is_figure(value: Any, name: str) -> bool:
    """Whether a value is a finite number within the range of this figure (`RANGES`)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    least, greatest = RANGES[name]
    return least <= value <= greatest  # false of NaN


def without_odd_fields(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record without figures and names that cannot be; names that are too long are cut. The record itself if there
    are none. What is left out here would make `Call.from_record` refuse the call.

    The request, the answer, the attempts and the id are left as they are.
    """
    if _is_plain_record(record):  # nearly all are, and this runs inside the agent
        return record
    odd = {name for name in _FIGURES if record.get(name) is not None and not is_figure(record[name], name)}
    if isinstance(when := record.get("time"), str) or is_figure(in_seconds(when), "time"):
        odd.discard("time")
    odd.update(name for name in TEXTS if not _is_plain(record.get(name)))
    usage = record.get("usage")
    if usage is not None and not _is_usage(usage):
        odd.add("usage")
    if not odd:
        return record
    mended = {name: value for name, value in record.items() if name not in odd}
    for name in odd.intersection(TEXTS):
        if isinstance(value := record[name], str):
            mended[name] = _LONE.sub("?", value[:MOST_TEXT])
    if "usage" in odd and isinstance(usage, Mapping):
        mended["usage"] = {name: usage[name] for name in _TOKENS if is_figure(usage.get(name), "tokens")}
    return mended


def _is_plain_record(record: Mapping[str, Any]) -> bool:
    """Whether all figures and names are of the commonest form: a quick look, false where a closer one must decide."""
    get = record.get
    for name, (least, greatest) in _PLAIN_RANGES:
        value = get(name)
        if value is not None and not (type(value) in _NUMBERS and least <= value <= greatest):
            return False
    for name in TEXTS:
        value = get(name)
        if value is not None and not (type(value) is str and len(value) <= MOST_TEXT and value.isascii()):
            return False
    return (usage := get("usage")) is None or _is_usage(usage)


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= MOST_TEXT and (value.isascii() or not _LONE.search(value))
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_usage(usage: Any) -> bool:
    return isinstance(usage, Mapping) and all(
        is_figure(usage[name], "tokens") for name in _TOKENS if usage.get(name) is not None
    )


def too_deep(value: Any, levels: int = MOST_LEVELS) -> bool:
    """Whether more than `levels` objects and lists stand inside each other, or a value holds itself."""
    level: list[Any] = [value] if isinstance(value, _NESTING) else []
    for _ in range(levels):
        if not level:
            return False
        level = [child for item in level for child in _children(item) if isinstance(child, _NESTING)]
        if len(level) > _MANY:  # each once: a value that holds itself twice would else double the level each time
            level = list({id(child): child for child in level}.values())
    return bool(level)


_NESTING = (dict, list, tuple)
_MANY = 1000


def without_deep_parts(value: Any) -> Any:
    """The value with "<too deep>" in place of what stands more than MOST_LEVELS deep; the value itself if nothing does.

    value: read from JSON, so that it does not hold itself.
    """
    return _cut(value, MOST_LEVELS) if too_deep(value) else value


def _cut(value: Any, levels: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if levels == 0:
        return "<too deep>"
    if isinstance(value, dict):
        return {key: _cut(item, levels - 1) for key, item in value.items()}
    return [_cut(item, levels - 1) for item in value]


def _children(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


def text(record: Mapping[str, Any], name: str) -> str | None:
    """A field that is a text; a number is written out. Raises BadCall: another type, too long, no Unicode."""
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise BadCall(f"{name} is not a text.")
    written = str(value)
    if len(written) > MOST_TEXT:
        raise BadCall(f"{name} is longer than {MOST_TEXT:,} characters.")
    if not written.isascii() and _LONE.search(written):
        raise BadCall(f"{name} is not Unicode.")
    return written


def number(record: Mapping[str, Any], name: str, figure: str = "") -> float | None:
    """A field that is a figure. figure: its name in `RANGES`, if it is another. Raises BadCall."""
    value = record.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadCall(f"{name} is not a number.")
    if not is_figure(value, figure or name):
        raise BadCall(f"{name} is out of range.")
    return float(value)


def time(record: Mapping[str, Any]) -> float | None:
    """When a call began, in seconds since 1970. It may be written in these, in milli-, micro- or nanoseconds, or as an
    ISO 8601 date. Raises BadCall."""
    value = record.get("time")
    seconds = _seconds_in(value) if isinstance(value, str) else in_seconds(value)
    return number({"time": seconds}, "time")


def in_seconds(value: Any) -> Any:
    """A time since 1970 in seconds. What could be no time in seconds, but is one of this century in a smaller unit, was
    written in that unit: 10¹¹ seconds end in the year 5138, 10¹¹ milliseconds in 1973. Anything else stays as it is."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        for units in (1e3, 1e6, 1e9):
            if 1e8 * units < value <= RANGES["time"][1] * units:
                return value / units
    return value


def _seconds_in(text: str) -> float:
    try:
        if _DIGITS.fullmatch(text):
            return in_seconds(float(text))
        when = datetime.fromisoformat(text.removesuffix(" UTC"))
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise BadCall("time is neither seconds since 1970 nor an ISO 8601 date.") from None
