"""Calls with something wrong about them, made from a good one by mutation; the same for the same seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import orjson

GOOD: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": "You sort tickets into one of: billing, tech. Answer with JSON."},
        {"role": "user", "content": "Ticket: the screen is dark"},
    ],
    "response": {"role": "assistant", "content": '{"kind": "tech"}'},
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "k", "schema": {"type": "object"}}},
    "parameters": {"temperature": 0.0},
    "node": ["triage"],
    "model": "gpt-4o",
    "usage": {"input_tokens": 12, "output_tokens": 3},
    "latency_ms": 20.0,
    "ttft_ms": 5.0,
    "cost_usd": 0.001,
    "time": 1_790_000_000.0,
    "run": "r",
    "finish_reason": "stop",
    "feedback": {"score": 1},
    "attempts": [{"by": "s", "outcome": "handed_back", "reason": "below threshold", "confidence": 0.4}],
}
ODD: tuple[Any, ...] = (
    None, True, -1, 0, 1e300, -1e300, 10**18, "", "x", "\x00", "\u202e" * 50, "```" + " " * 3000 + "x", "x" * 9000,
    [], [[]], [None], {}, {"$part": ["x"]}, {"$part": "0" * 32}, {"$ref": "#"}, {"function": "f"},
    {"schema": {"$schema": 5}},
    {"": {"": ""}}, [{"type": "text", "text": 5}], [{"function": {"name": [], "arguments": 5}}], "1e400", "NaN",
)  # fmt: skip


def deep(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def poisoned(seed: int, number: int) -> Iterator[dict[str, Any]]:
    """`number` calls with ids of their own, each with one to three values replaced, added or taken away."""
    chance = random.Random(seed)
    for i in range(number):
        call = copy.deepcopy(GOOD)
        for _ in range(chance.randint(1, 3)):
            _mutate(call, chance)
        if not isinstance(call.get("id"), str):
            call["id"] = f"bad-{seed}-{i}"
        yield call


def _mutate(call: dict[str, Any], chance: random.Random) -> None:
    at: Any = call
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return
        key = chance.choice(keys)
        inside = at[key]
        if isinstance(inside, dict | list) and inside and chance.random() < 0.6:
            at = inside
            continue
        if chance.random() < 0.1:
            del at[key]
        else:
            at[key] = (
                deep(chance.choice((150, 220, 300))) if chance.random() < 0.1 else copy.deepcopy(chance.choice(ODD))
            )
        return


def good(name: str) -> bytes:
    """A call that must come through, whatever came before."""
    return orjson.dumps({**GOOD, "id": name})


def written(call: dict[str, Any]) -> bytes:
    """As a file or a journal may hold it."""
    import json

    try:
        return orjson.dumps(call)
    except TypeError:  # too deep for orjson
        return json.dumps(call).encode()
