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
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import uuid_utils

from ..call import Answer, Attempt, Message, Request, request_from
from ..collect.recorder import Recorder

logger = logging.getLogger("protege.capture")

T = TypeVar("T")


class Records(Protocol):
    """Who takes a call's record: `protege.collect.recorder.Recorder`, or a list's stand-in in a test."""

    def record(self, call_record: dict[str, Any], /) -> None: ...


@functools.cache
def recorder_of(home: Path) -> Records:
    """The one recorder of this process for this home."""
    return Recorder(home)


class Place(NamedTuple):
    """Where in an agent a call was made. node: the path of its step. run, parent: ids. call_id: see `OpenCall`."""

    framework: str
    node: Sequence[str] = ()
    agent: str | None = None
    run: str | None = None
    parent: str | None = None
    call_id: str | None = None


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


def _told(attempt: Attempt) -> dict[str, Any]:
    names = ("by", "outcome", "reason", "confidence", "latency_ms", "content", "rate")
    return {name: value for name in names if (value := getattr(attempt, name)) is not None}
