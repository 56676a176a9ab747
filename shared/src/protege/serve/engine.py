"""An engine of specialists: a prompt goes in; text and the log-probability of each of its tokens come out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, Protocol

from ..specialist import Specialist


@dataclass(frozen=True, slots=True)
class Completion:
    """What a specialist wrote."""

    text: str
    """The answer, without the token that ends it."""
    tokens: tuple[str, ...]
    """The text of each token. Where `finish_reason` is "stop" and the engine `tells_end`, the last is the end of the
    answer, which reads "". Tokens that end inside a character (parts of an emoji) may be missing."""
    token_logprobs: tuple[float, ...]
    """Natural logarithms, each ≤ 0, one for each of `tokens`: of the whole vocabulary's softmax before sampling."""
    finish_reason: Literal["stop", "length"]
    """Whether the answer came to its end, or was cut at the specialist's `max_tokens`."""
    input_tokens: int
    """Tokens of the prompt."""
    output_tokens: int
    """Tokens that were made, the end of the answer included."""
    latency_ms: float
    """The caller's whole wait."""
    runners_up: tuple[float, ...] = ()
    """The log-probability of the likeliest other token, one for each of `tokens`; empty where the engine tells none."""


class Completer(Protocol):
    """Answers for specialists. Safe for many threads."""

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """The specialist's answer to a rendered prompt, `specialist.max_tokens` long at most.

        Raises EngineError if the engine fails. Its subclasses tell a caller what to do next: EngineUnreachable,
        EngineBusy, EngineTimeout (longer than `timeout_s`), NotServed, DoesNotFit.
        """
        ...

    def close(self) -> None:
        """Give back what it holds. A second time it does nothing."""
        ...


class Engine(Completer, Protocol):
    """Serves specialists. Never cuts a prompt, never samples: the likeliest token each time."""

    @property
    def name(self) -> str:
        """What serves: a kind of engine, or the library behind it."""
        ...

    @property
    def tells_end(self) -> bool:
        """Whether the log-probability of an answer's end is among those of its tokens."""
        ...

    def fingerprint(self, specialist: Specialist) -> str:
        """SHA-256 (hex) over all that the specialist's log-probabilities depend on: engine, version, files, options.

        Raises NotServed if the specialist is not served here, EngineError where the engine cannot tell.
        """
        ...


async def acomplete(engine: Engine, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
    """As `Engine.complete`, without blocking the event loop.

    It runs in a thread: an asynchronous client would belong to one event loop. A cancelled caller is let go at once;
    the thread ends with the answer or the time-out.
    """
    return await asyncio.to_thread(engine.complete, specialist, prompt, timeout_s=timeout_s)
