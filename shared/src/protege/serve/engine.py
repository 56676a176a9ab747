"""What any engine of specialists is: a prompt goes in; text and the log-probability of each of its tokens come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from ..specialist import Specialist


@dataclass(frozen=True, slots=True)
class Completion:
    """What a specialist wrote.

    token_logprobs: natural logarithms, each ≤ 0, of the whole vocabulary's softmax before any sampling. Where
    finish_reason is "stop" and the engine `tells_end`, the last one is the end of the answer's, whose token reads "".
    Tokens that end inside a character (parts of an emoji) may be missing. input_tokens, output_tokens: the prompt's,
    and all that were made, the end included. latency_ms: the caller's whole wait.
    """

    text: str
    tokens: tuple[str, ...]
    token_logprobs: tuple[float, ...]
    finish_reason: Literal["stop", "length"]
    input_tokens: int
    output_tokens: int
    latency_ms: float


class Completer(Protocol):
    """Answers for specialists. Safe for many threads."""

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """The specialist's answer to a rendered prompt, `specialist.max_tokens` long at most.

        Raises EngineError where the engine fails; its kinds EngineUnreachable, EngineBusy, EngineTimeout (longer than
        `timeout_s`), NotServed and DoesNotFit say what a caller may go by.
        """
        ...

    def close(self) -> None: ...


class Engine(Completer, Protocol):
    """Serves specialists. Never cuts a prompt, never samples: the likeliest token each time."""

    @property
    def name(self) -> str: ...

    @property
    def tells_end(self) -> bool:
        """Whether the log-probability of an answer's end is among its tokens'."""
        ...

    def fingerprint(self, specialist: Specialist) -> str:
        """SHA-256 (hex) over all that the specialist's log-probabilities depend on: engine, version, files, options.

        Raises NotServed where the specialist is not served here, EngineError where the engine cannot tell.
        """
        ...


async def acomplete(engine: Engine, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
    """As `Engine.complete`, without blocking the event loop.

    In a thread rather than on an asynchronous client, which would belong to one event loop. A cancelled caller is let
    go at once; the thread ends with the answer or the time-out.
    """
    import asyncio

    return await asyncio.to_thread(engine.complete, specialist, prompt, timeout_s=timeout_s)
