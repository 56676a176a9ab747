"""A context around one call of a wrapped model: routed, recorded once, its errors passed on."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from ..call import Answer, Attempt, Request
from ..common.logs import log_once
from ..route import Outcome, Router
from .calls import OpenCall

T = TypeVar("T")

EMPTY = "empty: the stream ended before anything came"
"""The error of a call whose stream had no part."""


class Answerer(Protocol):
    """Who answers in a teacher's place: `protege.route.Router`, or a stand-in in a test."""

    def answer(self, request: Request, run: str | None = None) -> Outcome: ...
    async def aanswer(self, request: Request, run: str | None = None) -> Outcome: ...


@functools.cache
def router_of(home: Path) -> Router:
    """The one router of this process for this home."""
    return Router(home)


def opened(read: Callable[[], OpenCall]) -> OpenCall | None:
    """The call that `read` gives; None where the request could not be read, which is logged."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
        log_once("Reading a request", error)
        return None


class Watch:
    """A context around one call of a wrapped model: it is recorded once, with its answer, or its error, which goes on.

    call: None where the request could not be read; then nothing is recorded or routed. read: from the parts of the
    teacher's answer, of which a stream has many, to the answer; None where it is not to be recorded, since the
    framework's cache gave it.
    """

    __slots__ = ("_done", "_parts", "_read", "call")

    def __init__(self, call: OpenCall | None, read: Callable[[list[Any]], Answer | None]) -> None:
        self.call = call
        self._read = read
        self._parts: list[Any] = []
        self._done = call is None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """BaseException too: a cancelled call and an abandoned stream are recorded as such, with what had come."""
        if error is not None:
            self._close(lambda call: call.failed(error, self._partial()))

    def part(self, part: Any) -> None:
        """A part of a streamed answer has come."""
        if self.call is not None:
            self.call.token()
            self._parts.append(part)

    def ended(self) -> None:
        """The stream has ended; one without any part has failed."""
        self._close(self._answered if self._parts else lambda call: call.failed(EMPTY))

    def answered(self, answer: Any) -> None:
        """The whole answer is there."""
        self._parts = [answer]
        self._close(self._answered)

    def routed(self, router: Callable[[], Answerer], shape: Callable[[Outcome], T | None]) -> T | None:
        """The specialist's answer where it is kept, None where the teacher must answer; noted in the call either way.

        shape: the answer in the framework's form; None where it is not of the form that the agent asked for.
        """
        if self.call is None:
            return None
        try:
            return self._kept(router().answer(self.call.request, run=self.call.run), shape)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
            log_once("Routing", error)
            return None

    async def arouted(self, router: Callable[[], Answerer], shape: Callable[[Outcome], T | None]) -> T | None:
        """As `routed`, without blocking the event loop."""
        if self.call is None:
            return None
        try:
            return self._kept(await router().aanswer(self.call.request, run=self.call.run), shape)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
            log_once("Routing", error)
            return None

    def _kept(self, outcome: Outcome, shape: Callable[[Outcome], T | None]) -> T | None:
        assert self.call is not None
        attempts, decision, said = outcome.attempts, str(outcome.decision), outcome.message
        shaped = None if said is None else _shaped(outcome, shape)
        if said is not None and shaped is None:
            decision = "invalid structure"
            attempts = (*attempts[:-1], _misshapen(attempts[-1])) if attempts else ()
        self.call.attempted(attempts, decision)
        if said is not None and shaped is not None:
            reason = "tool_calls" if said.get("tool_calls") else "stop"
            by = outcome.specialist_id or outcome.specialist
            answer = Answer(said, reason, by, outcome.input_tokens, outcome.output_tokens)
            self._close(lambda call: call.answered(answer))
        return shaped

    def _partial(self) -> Answer | None:
        try:
            return self._read(self._parts) if self._parts else None
        except Exception as error:  # noqa: BLE001 - the error is recorded, whatever there is of an answer
            log_once("Reading a part of an answer", error)
            return None

    def _answered(self, call: OpenCall) -> None:
        if (answer := self._read(self._parts)) is not None:
            call.answered(answer)

    def _close(self, write: Callable[[OpenCall], None]) -> None:
        if self._done or self.call is None:
            return
        self._done = True
        try:
            write(self.call)
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording a call", error)


def _misshapen(attempt: Attempt) -> Attempt:
    return replace(attempt, outcome="failed", reason="breaks the form that the agent asked for")


def _shaped(outcome: Outcome, shape: Callable[[Outcome], T | None]) -> T | None:
    """In the framework's form; None where that cannot be, of a tool call without JSON, say: what was decided counts."""
    try:
        return shape(outcome)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
        log_once("Giving a specialist's answer the framework's form", error)
        return None
