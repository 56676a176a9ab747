"""What a tool answered: how a specialist is shown it, and whether it is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

import orjson

from ..call import Message, text_of

RESULT = "Result: "
"""What it begins with in a prompt, where it is the user's turn."""

_ERROR = re.compile(
    r"\s*(?:[\w.]*(?:error|exception)\s*(?:[:!]|$)|error (?:executing|invoking|calling|running|while|during)\b"
    r"|traceback \(most recent call last\)|❌)",
    re.IGNORECASE,
)
_ERROR_FIELD = re.compile(r'"(?:errors?|is_?error|status|success)"', re.IGNORECASE)


def is_error(message: Message, longest: int = 1_000_000) -> bool:
    """Whether a tool's message says that the tool failed.

    longest: a longer text, in characters, is a result and no error, unless it begins as one.
    """
    if message.get("status") == "error" or message.get("is_error") is True:
        return True
    text = text_of(message)
    if _ERROR.match(text[:400]):
        return True
    if len(text) > longest or not text.lstrip().startswith("{") or not _ERROR_FIELD.search(text):
        return False
    try:
        said = cast(Mapping[str, Any], orjson.loads(text))
    except orjson.JSONDecodeError:
        return False
    if said.get("status") == "error" or said.get("success") is False:
        return True
    errors = [said.get(name) for name in ("error", "errors", "isError", "is_error")]
    return any(value is True or (bool(value) and not isinstance(value, int | float)) for value in errors)
