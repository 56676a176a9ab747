"""A context around one call of a wrapped model: it routes the call, records it once, and lets its errors pass."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeVar

from ..call import Attempt, Reply, Request
from ..common.logs import log_once
from ..errors import BadCall
from ..route import Outcome, Router
from .calls import OpenCall

T = TypeVar("T")

EMPTY = "empty: the stream ended before anything came"
"""The error of a call whose stream had no parts."""


class Answerer(Protocol):
    """May answer in the teacher's place: `protege.route.Router`, or a stand-in in a test."""

    def answer(self, request: Request, run: str | None = None) -> Outcome:
        """What became of the request. run: the id of the agent's run."""
        ...

    async def aanswer(self, request: Request, run: str | None = None) -> Outcome:
        """Like `answer`, without blocking the event loop."""
        ...


@functools.cache
def router_of(home: Path) -> Router:
    """The one router of this process for this home."""
    return Router(home)


def opened(read: Callable[[], OpenCall]) -> OpenCall | None:
    """The call that `read` returns; None if the request cannot be read, which is logged."""
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
        log_once("Reading a request", error)
        return None


class Watch:
    """A context around one call of a wrapped model. The call is recorded once, with its answer or with its error, which
    is then raised on.

    call: None if the request could not be read; then nothing is recorded or routed. read: from the parts of the
    teacher's answer (a stream has many) to the reply; it returns None if the answer must not be recorded, because the
    framework's cache gave it. An answer for which it raises BadCall is recorded as failed.
    """

    __slots__ = ("_done", "_parts", "_read", "call")

    def __init__(self, call: OpenCall | None, read: Callable[[list[Any]], Reply | None]) -> None:
        self.call = call
        self._read = read
        self._parts: list[Any] = []
        self._done = call is None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """For BaseException too: cancelled calls and abandoned streams are recorded, with the parts that had come."""
        if error is not None:
            self._close(lambda call: call.failed(error, self._partial()))

    def part(self, part: Any) -> None:
        """A part of a streamed answer has come."""
        if self.call is not None:
            self.call.token()
            self._parts.append(part)

    def ended(self) -> None:
        """The stream has ended. A stream without parts counts as failed."""
        self._close(self._answered if self._parts else lambda call: call.failed(EMPTY))

    def left(self, reason: str) -> None:
        """Whoever asked has left. The call is answered if the whole answer had come by then, else it failed."""
        self._close(lambda call: self._answered(call, reason))

    def failed(self, reason: str) -> None:
        """There is no answer, or none to learn from. reason: without content of the call."""
        self._close(lambda call: call.failed(reason, self._partial()))

    def answered(self, answer: Any) -> None:
        """The whole answer is there."""
        self._parts = [answer]
        self._close(self._answered)

    def routed(self, router: Callable[[], Answerer], shape: Callable[[Outcome], T | None]) -> T | None:
        """The specialist's answer if it is kept; None if the teacher must answer. The call notes both.

        shape: gives the answer the framework's form; returns None if it breaks the form that the agent asked for.
        """
        if self.call is None:
            return None
        try:
            return self._kept(router().answer(self.call.request, run=self.call.run), shape)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
            log_once("Routing", error)
            return None

    async def arouted(self, router: Callable[[], Answerer], shape: Callable[[Outcome], T | None]) -> T | None:
        """Like `routed`, without blocking the event loop."""
        if self.call is None:
            return None
        try:
            return self._kept(await router().aanswer(self.call.request, run=self.call.run), shape)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
            log_once("Routing", error)
            return None

    def _kept(self, outcome: Outcome, shape: Callable[[Outcome], T | None]) -> T | None:
        assert self.call is not None
        attempts, decision, message = outcome.attempts, str(outcome.decision), outcome.message
        shaped = None if message is None else _shaped(outcome, shape)
        if message is not None and shaped is None:
            decision = "invalid structure"
            attempts = (*attempts[:-1], _misshapen(attempts[-1])) if attempts else ()
        self.call.attempted(attempts, decision)
        if message is not None and shaped is not None:
            finish_reason = "tool_calls" if message.get("tool_calls") else "stop"
            by = outcome.specialist_id or outcome.specialist
            reply = Reply(message, finish_reason, by, outcome.input_tokens, outcome.output_tokens)
            self._close(lambda call: call.answered(reply))
        return shaped

    def _partial(self) -> Reply | None:
        try:
            return self._read(self._parts) if self._parts else None
        except BadCall:  # too little of it had come
            return None
        except Exception as error:  # noqa: BLE001 - the error is recorded, with or without the parts
            log_once("Reading a part of an answer", error)
            return None

    def _answered(self, call: OpenCall, otherwise: str | None = None) -> None:
        try:
            reply = self._read(self._parts)
        except BadCall as error:
            call.failed(otherwise or f"not read: {error.fact}", self._partial())
            return
        if reply is not None:
            call.answered(reply)

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
    """The answer in the framework's form; None if it has none, such as a tool call without JSON.

    The error stays here, so that the call still notes what was decided.
    """
    try:
        return shape(outcome)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
        log_once("Giving a specialist's answer the framework's form", error)
        return None
