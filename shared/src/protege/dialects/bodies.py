"""The JSON documents in the body of an answer: one, or those of a stream as far as it came.

Streams are server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), one document a line
(Ollama), or one array (Gemini).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from ..common.messages import text_in
from ..common.plain_json import loads
from ..common.usage import tokens_used
from ..errors import BadCall
from .reading import pending, response_of
from .record import Record, object_of

_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


def answer_in(body: bytes, content_type: str = "") -> Record:
    """What an answer's body tells, whole or a stream as far as it came, with the error that the provider put into it.
    Raises BadCall."""
    found = documents(body, content_type)
    if isinstance(found, Mapping):
        document = cast(Mapping[str, Any], found)
        record = _plain(response_of(document))
        error = pending(document) or _error(document)
        return record if error is None else {"error": error[:500] or "error", **record}
    error = next((said for document in found if (said := _error(document)) is not None), None)
    parts = [document for document in found if _error(document) is None or _says(document)]
    record = _plain(response_of(parts)) if parts or error is None else {}
    return record if error is None else {**record, "error": error[:500] or "error"}


def answer_told(given: Any) -> Record:
    """As `reading.response_of`, of an answer that may have been kept as the text of its body: a provider's JSON, or the
    events of a stream. Raises BadCall."""
    if isinstance(given, str) and given.lstrip().startswith(_BODIES):
        with contextlib.suppress(BadCall):
            found = documents(given.encode("utf-8", "replace"))
            if isinstance(found, list) or _is_answer(found):
                return response_of(found)
    return response_of(given)


_BODIES = ("data:", "event:", "{")


def _is_answer(document: Mapping[str, Any]) -> bool:
    """Whether JSON is a provider's answer, and not what a model wrote as one."""
    for name in ("choices", "candidates"):
        listed = document.get(name)
        first: Any = next(iter(cast(list[Any], listed)), None) if isinstance(listed, list) else None
        if isinstance(first, Mapping):
            return not first.keys().isdisjoint(("message", "delta", "finish_reason", "finishReason"))
    if document.get("object") == "response" or document.get("role") == "assistant":
        return "output" in document or "content" in document
    return "done" in document and isinstance(document.get("message"), Mapping)


def _plain(record: Record) -> Record:
    """The record, its answer without what servers add that is no part of what was said, and its usage only if it tells
    counts."""
    try:
        tokens_used(record.get("usage") or {})
    except BadCall:
        record = {name: value for name, value in record.items() if name != "usage"}
    if (message := record.get("response")) is None:
        return record
    said = {name: message[name] for name in ("tool_calls", "refusal", "name") if message.get(name)}
    return {**record, "response": {"role": message["role"], "content": message.get("content"), **said}}


def documents(body: bytes, content_type: str = "") -> Any:
    """The document of a whole answer, or a list of those that a stream had brought. One that is cut off is left out.
    Raises BadCall if there is none."""
    body = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    if body.startswith(_FIELDS) or ("event-stream" in content_type.lower() and not body.startswith((b"{", b"["))):
        return _some(_documents(_events(body)))
    try:
        whole = loads(body)
    except ValueError:
        return _some(_array(body) if body.startswith(b"[") else _documents(body.splitlines()))
    return whole if isinstance(whole, list) else object_of(whole)


def _some(found: Iterator[Any]) -> list[Any]:
    if not (several := list(found)):
        raise BadCall("an answer without a document of JSON.")
    return several


def _events(body: bytes) -> Iterator[bytes]:
    for block in body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n\n"):
        lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
        yield b"\n".join(lines)


def _documents(texts: Iterable[bytes]) -> Iterator[Any]:
    """The documents in the parts of a stream; an error for one that cannot be read, since a part of the answer is
    missing then. The last one may be cut off, and some are none, such as OpenAI's [DONE]."""
    missing = False
    for text in texts:
        if missing:
            yield {"error": "a part of the stream could not be read"}
        try:
            yield loads(text)
            missing = False
        except ValueError:
            missing = text.lstrip().startswith(b"{")


def _array(body: bytes) -> Iterator[Any]:
    """The elements of an array that was cut off."""
    text, decoder, at = body.decode(errors="replace"), json.JSONDecoder(), 1
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            element, at = decoder.raw_decode(text, at)
        except (RecursionError, ValueError):
            return
        yield element


def _error(document: Any) -> str | None:
    """What a document of a stream says went wrong; None if it is another."""
    if not isinstance(document, Mapping):
        return None
    document = cast(Mapping[str, Any], document)
    told = document.get("error")
    if document.get("type") == "response.failed" and isinstance(document.get("response"), Mapping):
        told = document["response"].get("error") or "failed"
    elif document.get("type") == "error":
        told = told or document.get("message") or "error"
    elif not told:
        told = _in_choices(document.get("choices"))
    if not told:
        return None
    return text_in(cast(Any, told).get("message") if isinstance(told, Mapping) else told)


def _in_choices(choices: Any) -> Any:
    """The error of the first choice, as routers of several providers tell it (https://openrouter.ai/docs/errors)."""
    for choice in cast(list[Any], choices) if isinstance(choices, list) else ():
        if isinstance(choice, Mapping) and not cast(Any, choice).get("index"):
            held = cast(Mapping[str, Any], choice)
            return held.get("error") or ("error" if held.get("finish_reason") == "error" else None)
    return None


def _says(document: Any) -> bool:
    """Whether a document that tells an error may tell a part of the answer, too."""
    return bool(cast(Mapping[str, Any], document).get("choices"))
