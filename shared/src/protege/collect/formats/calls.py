"""Files of calls as JSON lines: one call a line, in the form of `Call.to_record()`, or with its answer as others write
it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...call import request_from
from ...common.messages import text_in
from ...dialects.bodies import answer_told
from ...errors import BadCall
from .base import Format, Record, object_of

ANSWER_KEYS = frozenset({"task", "agent", "split", "template_version", "source", "licence", "gold_accept"})
"""Fields in which the author of a data set says what he knows about a call. They are not part of the call."""
_ANSWERS = ("response", "choices", "completion", "output", "answer", "reply", "assistant", "generation", "chosen")
"""The fields that hold the answer."""
_WORD = "(?:response|completion|output|answer|reply|generation|generated|prediction|assistant)s?"
_NAMED = re.compile(rf"(?:[a-z0-9]+_){{0,3}}{_WORD}(?:_(?:text|message|messages|content|body|json|raw|str|string))?")
"""What else a field that holds it may be called: `model_output`, `response_text`."""
_EXPECTED = re.compile("(?:expected|reference|gold|golden|ideal|target|true|correct|rejected|user|prompt|tool)_")
"""Such a field holds what somebody says the answer should have been, or what somebody else said."""
_UNSURE = re.compile(
    rf"(?:[a-z0-9]+_){{0,3}}{_WORD}(?:_text|_message|_content|_body)?|text|content|message|results?|ideal|target|label"
    rf"|gold|ground_truth|model_response"
)


def records(document: Any) -> Iterator[Record]:
    """The one call of a line. Its answer is its `response`, in any form of `dialects.bodies.answer_told`; or what
    another field holds (`choices`, `completion`, `model_output`, …); or the last message, if an assistant says it.
    Raises BadCall, also where a field of another name may hold the answer, and none is sure to."""
    document = object_of(document)
    record = {name: value for name, value in document.items() if name not in ANSWER_KEYS}
    if "messages" not in record and isinstance(prompt := record.get("prompt"), str | list) and _answer_field(record):
        record["messages"] = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    if isinstance(error := record.get("error"), Mapping):
        record["error"] = text_in(cast(Any, error).get("message") or error)[:500]
    name = _answer_field(record)
    if name not in ("response", "choices") and (whole := _with_last_message(record)) is not record:
        yield whole  # the field may be what somebody says the answer should have been, or a score
        return
    if name is None:
        unsure = [name for name, value in record.items() if _UNSURE.fullmatch(_snake(name)) and _may_answer(value)]
        if unsure and not record.get("error"):
            raise BadCall(f"no field is sure to hold its answer: call the one that does response ({_listed(unsure)}).")
        yield record
        return
    given = record.pop(name)
    if name == "choices":
        given = {"choices": given}
    if _is_message(given):
        yield {**record, "response": given}
        return
    try:
        told = answer_told(given)
    except BadCall as error:
        raise BadCall(f"its answer, in {name}: {error.fact}" if name != "response" else error.fact) from None
    yield {**{key: value for key, value in told.items() if key != "id"}, **record, **_response(told)}


def _answer_field(record: Mapping[str, Any]) -> str | None:
    """The field that holds the answer; None if there is none. Raises BadCall if it may be one of several."""
    if (known := next((name for name in _ANSWERS if record.get(name) is not None), None)) is not None:
        return known
    named = [name for name, value in record.items() if _NAMED.fullmatch(_snake(name)) and _may_answer(value)]
    named = [name for name in named if not _EXPECTED.match(_snake(name))]
    if len(named) > 1 and any(record[name] != record[named[0]] for name in named):
        raise BadCall(f"several fields may hold its answer: call the one that does response ({_listed(named)}).")
    return named[0] if named else None


def _may_answer(value: Any) -> bool:
    return isinstance(value, str | list | Mapping) and bool(cast(Any, value))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", str(name)[:60]).lower()


def _listed(names: list[str]) -> str:
    return ", ".join(sorted(map(str, names)))[:200]


def _is_message(value: Any) -> bool:
    return isinstance(value, Mapping) and value.get("role") == "assistant" and "usage" not in value


def _response(told: Mapping[str, Any]) -> Record:
    return {"response": told["response"]} if told.get("response") is not None else {}


def _with_last_message(record: Record) -> Record:
    """A record without an answer of its own: the last message is the answer, if an assistant says it."""
    messages = record.get("messages")
    if not isinstance(messages, list) or len(messages) < 2 or record.get("error"):
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
