"""A call inside the agent, from its request to its answer. Every adapter is built on this.

    with Watch(opened(read_request), read_reply) as watch:        # read_request: the request as an OpenCall
        if (routed := watch.routed(router, shape)) is not None:   # a specialist's answer in the framework's shape
            return routed
        answer = teacher(…)
        watch.answered(answer)                                    # for a stream: watch.part(…) each, then watch.ended()
        return answer

An adapter brings three translations: from the request to an `OpenCall`, from the teacher's answer to a `Reply`, and
from a specialist's answer to the framework's. Whatever goes wrong here, the teacher answers, the agent goes on, and the
trouble is logged once, without content.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import uuid_utils

from ..call import Attempt, Message, Reply, Request, request_from, usage_record
from ..collect.recorder import Recorder


class Records(Protocol):
    """Takes the records of calls: `protege.collect.recorder.Recorder`, or a stand-in in a test."""

    def record(self, call_record: dict[str, Any], /) -> None:
        """Record one call, in the form of `Call.to_record()`."""
        ...


@functools.cache
def recorder_of(home: Path) -> Records:
    """The one recorder of this process for this home."""
    return Recorder(home)


class Place(NamedTuple):
    """Where in an agent a call was made."""

    framework: str
    """The framework's name, such as "langgraph"."""
    node: Sequence[str] = ()
    """The path of the agent's step, outermost first."""
    agent: str | None = None
    """The agent's name."""
    run: str | None = None
    """The id of the agent's run."""
    parent: str | None = None
    """The id of the step around the call."""
    call_id: str | None = None
    """The call's id, if a framework may replay the step: a call that is made again must keep its id. None for a new
    id."""


class OpenCall:
    """A call that was made and is not answered yet. It is recorded once it is answered or has failed.

    fields: the other fields of a record that the request holds (`tools`, `model`, …). The call gets a new id, unless
    its place names one.
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
        """Seconds since the call was made."""
        return time.perf_counter() - self._began

    @property
    def request(self) -> Request:
        """The request, as a route sees it."""
        return request_from(self.record)

    @property
    def run(self) -> str | None:
        """The id of the agent's run."""
        return self.record.get("run")

    def token(self) -> None:
        """A part of the answer has come."""
        if "ttft_ms" not in self.record:
            self.record["ttft_ms"] = round(self.age_s * 1000, 3)

    def attempted(self, attempts: Sequence[Attempt], decision: str) -> None:
        """Note what the route decided, and what the specialists that it asked did, in that order."""
        self.record["decision"] = decision
        if attempts:
            self.record["attempts"] = [attempt.to_record() for attempt in attempts]

    def answered(self, reply: Reply) -> None:
        """The answer is there: record the call."""
        self._read(reply)
        if "answered_by" not in self.record and "model" in self.record:
            self.record["answered_by"] = self.record["model"]
        self._close()

    def failed(self, error: BaseException | str, partial: Reply | None = None) -> None:
        """The call failed, perhaps after a part of the answer: record it with its error."""
        if (
            partial is not None
            and partial.message
            and (partial.message["content"] or partial.message.get("tool_calls"))
        ):
            self._read(partial)
        text = error if isinstance(error, str) else f"{type(error).__name__}: {error}".rstrip(": ")
        # A new id: if the step is replayed, the call that is made again must not be taken for this one.
        self.record |= {"error": text[:500], "id": str(uuid_utils.uuid7())}
        self._close()

    def _read(self, reply: Reply) -> None:
        record = self.record
        if reply.message is not None:
            record["response"] = reply.message
        if reply.finish_reason:
            record["finish_reason"] = reply.finish_reason
        if reply.model:
            record["answered_by"] = reply.model
        if (usage := usage_record(reply)) is not None:
            record["usage"] = usage

    def _close(self) -> None:
        self.record["latency_ms"] = round(self.age_s * 1000, 3)
        self._recorder.record(self.record)
