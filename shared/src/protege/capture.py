"""A call inside the agent, from its first word to its last: what every adapter stands on.

    with Watch(opened(read_request), read_answer) as watch:     # read_request: what is asked, as an OpenCall
        if (kept := watch.routed(router, shape)) is not None:   # a specialist's answer in the framework's shape
            return kept
        answer = teacher(…)
        watch.answered(answer)                                  # or, streamed: watch.part(…) each, then watch.ended()
        return answer

An adapter brings three translations: the request to an `OpenCall`, the teacher's answer to an `Answer`, and a
specialist's answer to the framework's. Whatever goes wrong here the teacher answers, the agent goes on, and the trouble
is logged once, without content.
"""

from __future__ import annotations

import functools
import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, TypeVar

import uuid_utils

from .call import Attempt, Message, Request, request_from
from .collect.recorder import Recorder
from .route import Outcome, Router

logger = logging.getLogger("protege.capture")

T = TypeVar("T")

EMPTY = "empty: the stream ended before anything came"
"""The error of a call whose stream had no part."""


class Records(Protocol):
    """Who takes a call's record: `protege.collect.recorder.Recorder`, or a list's stand-in in a test."""

    def record(self, call_record: dict[str, Any], /) -> None: ...


class Answerer(Protocol):
    """Who answers in a teacher's place: `protege.route.Router`, or a stand-in in a test."""

    def answer(self, request: Request, run: str | None = None) -> Outcome: ...
    async def aanswer(self, request: Request, run: str | None = None) -> Outcome: ...


@functools.cache
def recorder_of(home: Path) -> Records:
    """The one recorder of this process for this home."""
    return Recorder(home)


@functools.cache
def router_of(home: Path) -> Router:
    """The one router of this process for this home."""
    return Router(home)


class Place(NamedTuple):
    """Where in an agent a call was made. node: the path of its step. run, parent: ids. call_id: see `OpenCall`."""

    framework: str
    node: Sequence[str] = ()
    agent: str | None = None
    run: str | None = None
    parent: str | None = None
    call_id: str | None = None


class Answer(NamedTuple):
    """An answer as it is recorded. message: an assistant message in OpenAI chat form. model: the one that answered."""

    message: Message | None
    finish_reason: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class OpenCall:
    """A call that has been asked and not yet answered; it is recorded when it is.

    fields: what else of a record the request holds (`tools`, `model`, …). The call's id is new, unless its place names
    one: where a framework replays a step, the call that is made again must have the id that it had.
    """

    __slots__ = ("_began", "_recorder", "record")

    def __init__(self, recorder: Records, messages: Sequence[Message], fields: dict[str, Any], place: Place) -> None:
        self._recorder = recorder
        self._began = time.perf_counter()
        self.record: dict[str, Any] = {
            "id": place.call_id or str(uuid_utils.uuid7()),
            "messages": messages,
            **fields,
            "framework": place.framework,
            "time": time.time(),
        }
        if place.node:
            self.record["node"] = place.node
        for name, value in (("agent", place.agent), ("run", place.run), ("parent", place.parent)):
            if value:
                self.record[name] = value

    @property
    def age_s(self) -> float:
        return time.perf_counter() - self._began

    @property
    def request(self) -> Request:
        """The request as a route sees it."""
        return request_from(self.record)

    @property
    def run(self) -> str | None:
        return self.record.get("run")

    def token(self) -> None:
        """A part of the answer has come."""
        if "ttft_ms" not in self.record:
            self.record["ttft_ms"] = round(self.age_s * 1000, 3)

    def attempted(self, attempts: Sequence[Attempt], decision: str) -> None:
        """What the route decided, and what the specialists did that it asked, in their order."""
        self.record["decision"] = decision
        if attempts:
            self.record["attempts"] = [_told(attempt) for attempt in attempts]

    def answered(self, answer: Answer) -> None:
        """The answer is there: keep the call."""
        self._read(answer)
        if "answered_by" not in self.record and "model" in self.record:
            self.record["answered_by"] = self.record["model"]
        self._close()

    def failed(self, error: BaseException | str, partial: Answer | None = None) -> None:
        """The call came to nothing, or to a part of an answer: keep it with its error."""
        if (
            partial is not None
            and partial.message
            and (partial.message["content"] or partial.message.get("tool_calls"))
        ):
            self._read(partial)
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}".rstrip(": ")
        # An id of its own: where the step is replayed, what it comes to then must not be taken for known.
        self.record |= {"error": text[:500], "id": str(uuid_utils.uuid7())}
        self._close()

    def _read(self, answer: Answer) -> None:
        record = self.record
        if answer.message is not None:
            record["response"] = answer.message
        if answer.finish_reason:
            record["finish_reason"] = answer.finish_reason
        if answer.model:
            record["answered_by"] = answer.model
        if answer.input_tokens is not None or answer.output_tokens is not None:
            record["usage"] = {"input_tokens": answer.input_tokens, "output_tokens": answer.output_tokens}

    def _close(self) -> None:
        self.record["latency_ms"] = round(self.age_s * 1000, 3)
        self._recorder.record(self.record)


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


def _told(attempt: Attempt) -> dict[str, Any]:
    names = ("by", "outcome", "reason", "confidence", "latency_ms", "content", "rate")
    return {name: value for name in names if (value := getattr(attempt, name)) is not None}


def _misshapen(attempt: Attempt) -> Attempt:
    return replace(attempt, outcome="failed", reason="breaks the form that the agent asked for")


def _shaped(outcome: Outcome, shape: Callable[[Outcome], T | None]) -> T | None:
    """In the framework's form; None where that cannot be, of a tool call without JSON, say: what was decided counts."""
    try:
        return shape(outcome)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong, the teacher answers
        log_once("Giving a specialist's answer the framework's form", error)
        return None


def log_once(what: str, error: Exception | None = None) -> None:
    """Say that a part of Protégé fails, the first time it does; the agent goes on without it.

    Where it failed is told to those who debug, but not the error's message, which may hold what the agent was asked.
    """
    reason = type(error).__name__ if error else "its form is not known"
    if (what, reason) not in _logged:
        _logged.add((what, reason))
        logger.warning("%s failed (%s); the agent goes on without it.", what, reason)
        if error is not None:
            logger.debug("%s failed (%s) in:\n%s", what, reason, "".join(traceback.format_tb(error.__traceback__)))


_logged: set[tuple[str, str]] = set()
