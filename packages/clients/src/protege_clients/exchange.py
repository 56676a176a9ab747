"""One call of a client, from its request to its record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from protege.adapter import (
    CUT,
    MOST_BYTES,
    Answerer,
    Asked,
    BadCall,
    Dialect,
    OpenCall,
    Outcome,
    Place,
    Records,
    Reply,
    Watch,
    is_cut,
    opened,
    reply_of,
)

LEFT = "the client left before the answer's end"
TOO_LARGE = "the answer is too large to be recorded"


class Exchange:
    """A call of a client that is recorded, and may be routed.

    decode: from the bytes and the headers of an answer to the bytes without their content coding.
    """

    def __init__(
        self,
        dialect: Dialect,
        asked: Asked,
        place: Place,
        recorder: Callable[[], Records],
        decode: Callable[[bytes, Any], bytes],
    ) -> None:
        self.asked = asked
        self._dialect = dialect
        self._decode = decode
        self._recorder = recorder
        self._place = place
        self._headers: Any = {}
        self._parts: list[bytes] = []
        self._size = 0
        self._known: tuple[int, dict[str, Any], bool] | None = None
        self._over = self._dropped = False
        self.watch = Watch(opened(self._open), self._read)

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a specialist's answer."""
        assert self.watch.call is not None
        record = self.watch.call.record
        return self._dialect.headers(self.asked, str(record["id"]), record.get("answered_by"))

    def routed(self, router: Callable[[], Answerer]) -> list[bytes] | None:
        """The specialist's answer, as the parts of a body; None if the teacher must answer."""
        return None if self._is_the_teachers() else self.watch.routed(router, self._shaped)

    async def arouted(self, router: Callable[[], Answerer]) -> list[bytes] | None:
        """Like `routed`, without blocking the event loop."""
        return None if self._is_the_teachers() else await self.watch.arouted(router, self._shaped)

    def begins(self, headers: Any) -> None:
        """The head of the teacher's answer has come."""
        self._headers = headers

    def part(self, part: bytes) -> None:
        """A part of the body has come, as it was sent."""
        self._size += len(part)
        if self._size <= MOST_BYTES:
            self._parts.append(part)
            self.watch.part(part)

    def answered(self, body: bytes) -> None:
        """The whole answer is there, its content coding taken off."""
        self._decode = lambda body, headers: body
        self.part(body)
        self.ended()

    def ended(self) -> None:
        """The answer is at its end: record it."""
        self._over = True
        try:
            wrong = TOO_LARGE if self._size > MOST_BYTES else self._wrong()
        except BadCall as error:
            wrong = error.fact
        if wrong and self._size:
            self.watch.failed(wrong)
        else:
            self.watch.ended()

    def left(self) -> None:
        """Nobody reads on. A client that knows the last part of an answer may stop there."""
        if self._over:
            return
        self._over = True
        try:
            wrong = self._wrong()
        except BadCall:
            wrong = CUT
        if wrong is None:
            self.watch.ended()
        else:
            self.watch.failed(LEFT if wrong == CUT else wrong)

    def refused(self, status: int, body: bytes | None) -> None:
        """The teacher answered with an error. body: None if it has not been read."""
        said = "" if body is None else self._error_in(body)
        self.watch.failed(f"HTTP {status}: {said}" if said else f"HTTP {status}")

    def drop(self) -> None:
        """The client will ask again: the call is recorded then."""
        self._dropped = True

    def record(self, call_record: dict[str, Any], /) -> None:
        """Record the call, unless it was dropped."""
        if not self._dropped:
            self._recorder().record(call_record)

    def _open(self) -> OpenCall:
        fields = dict(self.asked.record)
        return OpenCall(self, fields.pop("messages"), fields, self._place)

    def _is_the_teachers(self) -> bool:
        if self.asked.teacher_only is None:
            return False
        if self.watch.call is not None:
            self.watch.call.attempted((), self.asked.teacher_only)
        return True

    def _shaped(self, outcome: Outcome) -> list[bytes]:
        assert outcome.message is not None
        reason = "tool_calls" if outcome.message.get("tool_calls") else "stop"
        reply = Reply(outcome.message, reason, outcome.specialist_id, outcome.input_tokens, outcome.output_tokens)
        return self._dialect.parts(reply, self.asked)

    def _told(self) -> tuple[dict[str, Any], bool]:
        """What the parts of the answer tell that have come, and whether it was cut off. Raises BadCall."""
        if self._known is None or self._known[0] != self._size:
            body = self._decode(b"".join(self._parts), self._headers)
            told = self._dialect.answered(body, self._headers.get("content-type", ""))
            self._known = self._size, told, is_cut(self.asked, told, body)
        return self._known[1:]

    def _wrong(self) -> str | None:
        """What the answer itself tells that went wrong. Raises BadCall."""
        told, cut = self._told()
        if told.get("error"):
            return str(told["error"])
        return CUT if cut else None

    def _read(self, parts: list[Any]) -> Reply:
        return reply_of(self._told()[0])

    def _error_in(self, body: bytes) -> str:
        try:
            return str(self._dialect.answered(body).get("error") or "")
        except BadCall:
            return ""
