"""Files of calls as JSON lines: one call a line, in the form of `Call.to_record()`, or with its answer as others write
it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...call import request_from
from ...dialects.reading import response_of
from ...errors import BadCall
from .base import Format, Record, object_of

ANSWER_KEYS = frozenset({"task", "agent", "split", "template_version", "source", "licence", "gold_accept"})
"""Fields in which the author of a data set says what he knows about a call. They are not part of the call."""
_ANSWERS = ("response", "choices", "completion", "output", "answer", "reply", "assistant", "generation", "chosen")
"""The fields that may hold the answer."""


def records(document: Any) -> Iterator[Record]:
    """The one call of a line. Its answer is its `response`, in any form of `dialects.response_of`; or what another
    field holds (`choices`, `completion`, …); or the last message, if an assistant says it. Raises BadCall."""
    document = object_of(document)
    record = {name: value for name, value in document.items() if name not in ANSWER_KEYS}
    if "messages" not in record and isinstance(prompt := record.get("prompt"), str | list) and _answer_field(record):
        record["messages"] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    name = _answer_field(record)
    if name not in (None, "response", "choices") and (whole := _with_last_message(record)) is not record:
        yield whole  # the field may be what somebody says the answer should have been, or a score
        return
    if name is None:
        yield _with_last_message(record) if "response" not in record and not record.get("error") else record
        return
    given = record.pop(name)
    if name == "choices":
        given = {"choices": given}
    if _is_message(given):
        yield {**record, "response": given}
        return
    try:
        told = response_of(given)
    except BadCall as error:
        raise BadCall(f"its answer, in {name}: {error.fact}" if name != "response" else error.fact) from None
    yield {**{key: value for key, value in told.items() if key != "id"}, **record, **_response(told)}


def _answer_field(record: Mapping[str, Any]) -> str | None:
    return next((name for name in _ANSWERS if record.get(name) is not None), None)


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("role") == "assistant" and "usage" not in value


def _response(told: Mapping[str, Any]) -> Record:
    return {"response": told["response"]} if told.get("response") is not None else {}


def _with_last_message(record: Record) -> Record:
    """A record without an answer of its own: the last message is the answer, if an assistant says it."""
    messages = record.get("messages")
    if not isinstance(messages, list) or len(messages) < 2:
        return record
    last = request_from({"messages": messages[-1:]}).messages
    if last[-1]["role"] != "assistant":
        return record
    return {**record, "messages": messages[:-1], "response": messages[-1]}


FORMAT = Format(
    "files of calls: one a line, with messages and response", lambda document: "messages" in document, records
)


def form() -> Format:
    """This form."""
    return FORMAT
