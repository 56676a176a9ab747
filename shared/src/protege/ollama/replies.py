"""Ollama's answers, put together from the parts that it streams; and what its version can do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..common.logprobs import runners_up
from ..errors import DoesNotFit, EngineError

OLDEST = (0, 12, 11)
"""The first version that returns log-probabilities."""

UNKNOWN = (0, 0, 0)
"""The version that builds without one report."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote."""

    text: str
    tokens: tuple[str, ...]
    """All but the token that ends the answer, which Ollama does not return."""
    logprobs: tuple[float, ...]
    """The log-probability of each token."""
    runners_up: tuple[float, ...]
    """The log-probability of the likeliest other token, one for each token; empty where Ollama does not tell it."""
    done_reason: str
    """"stop" or "length"."""
    input_tokens: int
    output_tokens: int
    load_ms: float
    """Time to load the model."""
    total_ms: float
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=())


def numbers(version: str) -> tuple[int, int, int]:
    """A version's numbers; `UNKNOWN` if it has none."""
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(match[1]), int(match[2]), int(match[3])) if match else UNKNOWN


def tells_logprobs(version: str) -> bool | None:
    """Whether this version returns log-probabilities; None if the version is unknown."""
    return None if numbers(version) == UNKNOWN else numbers(version) >= OLDEST


def json_object(line: bytes) -> dict[str, Any] | None:
    """The JSON object in a line; None if it is not one."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def joined(parts: Sequence[Mapping[str, Any]], max_tokens: int) -> Reply:
    """An answer, put together from the lines of `/api/generate` or `/api/chat`.

    Raises EngineError for fields or an end that this version of Protégé does not know, and DoesNotFit if the context
    was too small.
    """
    last = parts[-1]
    try:
        messages = [part.get("message") or {} for part in parts]
        scored = [token for part in parts for token in part.get("logprobs") or ()]
        reply = Reply(
            text="".join(
                str(part.get("response") or message.get("content") or "")
                for part, message in zip(parts, messages, strict=True)
            ),
            tokens=tuple(str(token["token"]) for token in scored),
            logprobs=tuple(min(0.0, float(token["logprob"])) for token in scored),
            runners_up=runners_up(scored),
            done_reason=str(last.get("done_reason") or ""),
            input_tokens=int(last.get("prompt_eval_count") or 0),
            output_tokens=int(last.get("eval_count") or 0),
            load_ms=float(last.get("load_duration") or 0) / 1e6,
            total_ms=float(last.get("total_duration") or 0) / 1e6,
            tool_calls=tuple(call for message in messages for call in message.get("tool_calls") or ()),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        raise EngineError("Ollama's answer has fields that this version of Protégé does not know.") from None
    if not all(map(math.isfinite, reply.logprobs + reply.runners_up)):
        raise EngineError("Ollama returned a log-probability that is no number.")
    if reply.done_reason not in ("stop", "length"):
        raise EngineError(f"Ollama ended an answer for a reason that is not known: {reply.done_reason[:20]!r}.")
    if reply.done_reason == "length" and reply.output_tokens < max_tokens:
        raise DoesNotFit("The prompt and its answer are longer than the model's context in Ollama.")
    return reply
