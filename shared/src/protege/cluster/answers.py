"""The form of an answer. It tells discovery that two prompts ask for the same thing; it never assigns a request."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ..call import Call
from ..chat.answer import bare_text

_LABEL_CHARS = 40
_KEYS = 30
_RECURS = 3
_SQL = re.compile(r"(?:select|with|insert\s+into|update|delete\s+from)\b", re.IGNORECASE)

Form = frozenset[str]
"""`json:key` for each key of JSON, `label:text` for a short answer that recurs, else the kind of answer."""


def forms_of(calls: Sequence[Call]) -> list[Form]:
    """The form of each call's answer; empty for a call without an answer."""
    texts = [bare_text(call.response or {}) for call in calls]
    short = Counter(text.lower() for text in texts if 0 < len(text) <= _LABEL_CHARS)
    return [_form(call, text, short[text.lower()]) for call, text in zip(calls, texts, strict=True)]


def _form(call: Call, text: str, times: int) -> Form:
    """`times`: how often this text is an answer."""
    if (call.response or {}).get("tool_calls"):
        return frozenset(("tool_calls",))
    if not text:
        return frozenset()
    if text[:1] in "{[" and (keys := _keys(text)):
        return frozenset(f"json:{key}" for key in keys)
    if len(text) <= _LABEL_CHARS and times >= _RECURS:
        return frozenset((f"label:{text.lower()}",))
    return frozenset(("sql" if _SQL.match(text) else "text",))


def _keys(text: str) -> list[str]:
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    if isinstance(value, list) and value:
        value = value[0]
    return [str(key) for key in value][:_KEYS] if isinstance(value, dict) else []


def profile_of(forms: Sequence[Form]) -> dict[str, float]:
    """The share of answers that contain each token, 0 to 1."""
    counts = Counter(token for form in forms for token in form)
    return {token: n / len(forms) for token, n in counts.items()}


def alike(a: Mapping[str, float], b: Mapping[str, float]) -> float:
    """The overlap of two profiles of answers that have keys or labels, 0 to 1; 0 for other answers.

    One shared key or label says nothing: "yes" and "done" occur everywhere.
    """
    shared = [token for token in a.keys() & b.keys() if token.startswith(("json:", "label:"))]
    if len(shared) < 2:
        return 0.0
    return sum(min(a[t], b[t]) for t in shared) / sum(max(a.get(t, 0.0), b.get(t, 0.0)) for t in a.keys() | b.keys())
