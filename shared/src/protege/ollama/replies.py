"""What an Ollama answers, put together from the parts that come."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ..errors import DoesNotFit, EngineError

OLDEST = (0, 12, 11)
"""The first version that tells log-probabilities."""


UNKNOWN = (0, 0, 0)
"""What builds say that were given no version."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model wrote. tokens, logprobs: all but the answer's end, which Ollama does not tell. Durations are ms."""

    text: str
    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]
    done_reason: str
    input_tokens: int
    output_tokens: int
    load_ms: float
    total_ms: float
    tool_calls: tuple[Mapping[str, Any], ...] = field(default=())


def numbers(version: str) -> tuple[int, int, int]:
    """A version's numbers; (0, 0, 0) where it has none, as in builds that were given none."""
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2]), int(found[3])) if found else UNKNOWN


def tells_logprobs(version: str) -> bool | None:
    """Whether this version does; None where the version is unknown."""
    return None if numbers(version) == UNKNOWN else numbers(version) >= OLDEST


def json_object(line: bytes) -> dict[str, Any] | None:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def joined(parts: Sequence[Mapping[str, Any]], max_tokens: int) -> Reply:
    """An answer from the lines it came in, of `/api/generate` or `/api/chat`."""
    last = parts[-1]
    try:
        messages = [part.get("message") or {} for part in parts]
        told = [token for part in parts for token in part.get("logprobs") or ()]
        reply = Reply(
            text="".join(
                str(part.get("response") or message.get("content") or "")
                for part, message in zip(parts, messages, strict=True)
            ),
            tokens=tuple(str(token["token"]) for token in told),
            logprobs=tuple(min(0.0, float(token["logprob"])) for token in told),
            done_reason=str(last.get("done_reason") or ""),
            input_tokens=int(last.get("prompt_eval_count") or 0),
            output_tokens=int(last.get("eval_count") or 0),
            load_ms=float(last.get("load_duration") or 0) / 1e6,
            total_ms=float(last.get("total_duration") or 0) / 1e6,
            tool_calls=tuple(call for message in messages for call in message.get("tool_calls") or ()),
        )
    except (TypeError, ValueError, KeyError, AttributeError):
        raise EngineError("Ollama's answer has fields that this version of Protégé does not know.") from None
    if not all(map(math.isfinite, reply.logprobs)):
        raise EngineError("Ollama told a log-probability that is no number.")
    if reply.done_reason not in ("stop", "length"):
        raise EngineError(f"Ollama ended an answer for a reason that is not known: {reply.done_reason[:20]!r}.")
    if reply.done_reason == "length" and reply.output_tokens < max_tokens:
        raise DoesNotFit("The prompt and its answer are longer than the model's context in Ollama.")
    return reply
