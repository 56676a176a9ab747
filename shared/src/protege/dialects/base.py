"""What a dialect is: the form in which a provider's API takes requests and gives answers.

A dialect reads both into a call's record, and writes a specialist's answer as that API would have given it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..call import Reply
from ..common.usage import tokens_used
from . import teacher
from .bodies import answer_in
from .reading import request_of
from .record import Record, guarded, object_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was read."""

    record: Record
    """The request's fields of a call's record: `messages`, `tools`, `model`, …"""
    model: str
    """The model, as the client named it."""
    streams: bool
    """Whether the client asked for a stream."""
    teacher_only: str | None = None
    """Why only the teacher may answer, in a few words without content; None if a specialist may."""
    details: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What else the form of the answer depends on."""


class Dialect(ABC):
    """A form of requests and answers. It holds no state, so that one serves all threads."""

    name: ClassVar[str]
    """Such as "openai-chat"."""
    stream_type: ClassVar[str] = "text/event-stream"
    """The media type of its streams."""
    id_header: ClassVar[str] = "x-request-id"
    """The header from which its clients take the id of a request."""

    def asked(self, path: str, query: Mapping[str, str], body: Any) -> Asked:
        """The request in a body of JSON. path, query: of its address, decoded. Raises BadCall."""
        return guarded(lambda: self._asked(path, query, object_of(body)), "a request")

    def answered(self, body: bytes, content_type: str = "") -> Record:
        """`response`, `finish_reason`, `usage`, `answered_by` and `id` of an answer's body, which is whole or a stream
        as far as it came; `error`, if the provider told one. Raises BadCall."""
        return guarded(lambda: answer_in(body, content_type), "an answer")

    def content_type(self, asked: Asked) -> str:
        """The media type of the answer to this request."""
        return self.stream_type if asked.streams else "application/json"

    def headers(self, asked: Asked, call_id: str, answered_by: str | None) -> dict[str, str]:
        """The headers of a specialist's answer to this request. call_id: the call's. answered_by: the specialist's."""
        told = {"content-type": self.content_type(asked), self.id_header: call_id}
        return {**told, "x-protege-answered-by": answered_by} if answered_by else told

    def parts(self, reply: Reply, asked: Asked) -> list[bytes]:
        """A specialist's answer as the parts of a body: its events if a stream was asked for. Raises InvalidAnswer."""
        return self.stream(reply, asked) if asked.streams else [self.whole(reply, asked)]

    @abstractmethod
    def whole(self, reply: Reply, asked: Asked) -> bytes:
        """A specialist's answer as the body of an answer. Raises InvalidAnswer if this form cannot hold it."""

    @abstractmethod
    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        """The same as the events of a stream, each with what frames it. Raises InvalidAnswer as `whole` does."""

    @abstractmethod
    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked: ...


def read(
    body: Mapping[str, Any],
    reasons: Mapping[str, Any],
    *,
    model: Any = None,
    streams: Any = False,
    details: Mapping[str, Any] | None = None,
) -> Asked:
    """The request in a body. reasons: why only the teacher may answer, each with whether it holds; the first counts.
    model: by default the one in the body."""
    record = request_of(body)
    named = str(model or record.get("model") or "")
    if named:
        record["model"] = named
    reasons = {**reasons, teacher.ODD: _is_odd(body, record.get("parameters") or {})}
    teacher_only = next((reason for reason, holds in reasons.items() if holds), None)
    return Asked(record, named, bool(streams), teacher_only, details or {})


def _is_odd(body: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether `stream` is no boolean, or the most tokens of an answer are no whole number above 0: most providers
    refuse it, each in its own words."""
    limits = (parameters.get(name) for name in ("max_tokens", "max_completion_tokens"))
    counts = all(limit is None or (type(limit) is int and limit > 0) for limit in limits)
    return not counts or not isinstance(body.get("stream"), bool | None)


CUT = "the stream ended before its end was told"
"""What is recorded of a stream that was cut off."""
_DONE, _NEAR_END = b"[DONE]", 20
"""How streams of OpenAI's kind end, also those of servers that tell no reason; and in how many of the last bytes."""


def is_cut(asked: Asked, record: Record, body: bytes) -> bool:
    """Whether a stream was asked for and what came of it does not tell its end. record: what `answered` gives of the
    body."""
    return asked.streams and not record.get("finish_reason") and _DONE not in body[-_NEAR_END:]


def reply_of(record: Record) -> Reply:
    """What `answered` gives, as a reply. Raises BadCall if its usage is none."""
    used = tokens_used(record.get("usage") or {})
    return Reply(record.get("response"), record.get("finish_reason"), record.get("answered_by"), *used)
