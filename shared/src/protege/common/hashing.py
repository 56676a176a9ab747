"""The name of a result: a hash of what it was made from."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson


def hash_of(*made_from: Any) -> str:
    """SHA-256 (hex, 32 digits) over values that orjson can write, dataclasses among them."""
    body = orjson.dumps(made_from, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return hashlib.sha256(body).hexdigest()[:32]
