"""The name of a result: a hash of what it was made from."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson


def hash_of(*made_from: Any) -> str:
    """The first 32 hex digits of the SHA-256 over values that orjson can write, such as dataclasses."""
    body = orjson.dumps(made_from, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()[:32]
