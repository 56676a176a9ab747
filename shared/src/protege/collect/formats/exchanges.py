"""A provider's request with its answer: side by side in one line, as a batch's two files, or as stored objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...dialects.bodies import answer_told
from ...dialects.reading import is_request, options_of, request_of, response_of, tools_of
from ...errors import BadCall
from .base import Format, Found, Half, Passed, Record, object_of, without_nothing

_REQUESTS = ("request", "params", "modelInput", "request_body", "requestBody", "body", "input")
_ANSWERS = ("response", "result", "modelOutput", "response_body", "responseBody", "output")
_ASKED = ("request", "input", "input_items", "messages")
_KEYS = ("custom_id", "key", "recordId")
_OTHER_ENDPOINTS = ("embeddings", "moderations", "images", "audio")


def pair(document: Any) -> Iterator[Found]:
    """A line with a request and its answer. Raises BadCall."""
    document = object_of(document)
    request = next((document[name] for name in _REQUESTS if is_request(document.get(name))), None)
    if request is None:
        raise BadCall(f"a line without a request (its fields: {_names(document)}).")
    answer = next((document[name] for name in _ANSWERS if document.get(name) is not None), None)
    told = _told(document)
    own_id = {"id": told["id"]} if told.get("id") else {}  # a line's id goes before that of its answer
    yield {**told, **request_of(request), **(_answer(answer) if answer is not None else {}), **own_id}


def half(document: Any) -> Iterator[Found]:
    """A line of a batch's input or output. Raises BadCall."""
    document = object_of(document)
    key = next((str(document[name]) for name in _KEYS if document.get(name) is not None), None)
    if key is None:
        raise BadCall(f"a line of a batch without its key (its fields: {_names(document)}).")
    endpoint = str(document.get("url") or "")
    if kind := next((name for name in _OTHER_ENDPOINTS if name in endpoint), None):
        yield Passed(f"request to {kind}")
        return
    request = next((document[name] for name in _REQUESTS if is_request(document.get(name))), None)
    answer = next((document[name] for name in _ANSWERS if document.get(name) is not None), document.get("error"))
    if request is not None and answer is not None:
        yield {**request_of(request), **_answer(answer)}  # its key is unique in its batch only
    elif request is not None:
        yield Half(f"batch {key}", request_of(request))
    elif answer is None:
        raise BadCall(f"a line of a batch that is neither a request nor an answer (its fields: {_names(document)}).")
    else:
        yield Half(f"batch {key}", _answer(answer))


def stored(document: Any) -> Iterator[Found]:
    """A stored completion or Response, or the messages of one, which its API lists by themselves. Raises BadCall."""
    document = object_of(document)
    kind, object_id = document.get("object"), str(document.get("id") or "")
    if kind == "list":
        yield Half(str(document["first_id"]).rpartition("-")[0], {"messages": list(document["data"])})
        return
    asked = next((document[name] for name in _ASKED if document.get(name)), None)
    answer = response_of({name: value for name, value in document.items() if name not in ("input", "messages")})
    if asked is None:
        if kind == "response":
            raise BadCall("a Response without its input; write its input items into it as input.")
        yield Half(object_id, {**without_nothing({**options_of(document), "tools": tools_of(document)}), **answer})
        return
    if isinstance(asked, Mapping) and is_request(asked):
        yield {**request_of(asked), **answer}
        return
    options = {name: value for name, value in document.items() if name != "output"}
    yield {**request_of({**options, "messages": asked}), **answer}


def _answer(answer: Any) -> Record:
    """What an answer tells, as it is or within what a batch puts around it."""
    if isinstance(answer, Mapping):
        answer = cast(Mapping[str, Any], answer)
        if isinstance(body := answer.get("body"), Mapping):  # OpenAI's batch
            return response_of(body)
        if "type" in answer and "message" in answer and answer["type"] == "succeeded":  # Anthropic's
            return response_of(answer["message"])
        if answer.get("type") in ("errored", "canceled", "expired"):
            return {"error": _error_in(answer.get("error") or answer["type"])}
        if "code" in answer and "message" in answer and not answer.get("content"):
            return {"error": str(answer["message"])[:500]}
    return answer_told(answer)


def _error_in(error: Any) -> str:
    """The message of an error: within another one, or the error itself."""
    for _ in range(3):
        if not isinstance(error, Mapping):
            break
        error = cast(Mapping[str, Any], error)
        error = error.get("error") or error.get("message") or error.get("type") or "error"
    return str(error)[:500]


_SAID = ("feedback", "correction")


def _told(document: Mapping[str, Any]) -> Record:
    """What a line tells besides the two."""
    names = (
        "id",
        "run",
        "node",
        "time",
        "latency_ms",
        "ttft_ms",
        "cost_usd",
        "agent",
        "framework",
        "parent",
        "error",
        "feedback",
        "correction",
    )
    told = {name: document.get(name) for name in names}
    told["time"] = told["time"] or document.get("timestamp") or document.get("created_at")
    return without_nothing(
        {name: value for name, value in told.items() if name in _SAID or not isinstance(value, Mapping)}
    )


def _names(document: Mapping[str, Any]) -> str:
    return ", ".join(map(str, document))[:200]


def _is_pair(document: Mapping[str, Any]) -> bool:
    return (
        "messages" not in document
        and any(is_request(document.get(name)) for name in _REQUESTS)
        and any(document.get(name) is not None for name in _ANSWERS)
    )


def _is_half(document: Mapping[str, Any]) -> bool:
    return (
        "messages" not in document
        and any(isinstance(document.get(name), str) for name in _KEYS)
        and (not document.keys().isdisjoint((*_REQUESTS, *_ANSWERS, "error")))
    )


def _is_stored(document: Mapping[str, Any]) -> bool:
    kind = document.get("object")
    if kind == "list":  # the messages of one stored completion; other lists are taken apart
        first: Any = next(iter(document.get("data") or ()), None)
        return isinstance(first, Mapping) and "role" in first and "object" not in first
    return kind in ("chat.completion", "response")


def pair_form() -> Format:
    """A request with its answer in one line."""
    return Format("requests with their answers: OpenAI, Anthropic, Gemini, Bedrock, Ollama", _is_pair, pair)


def batch_form() -> Format:
    """Batch input and output."""
    return Format("batch input with output: OpenAI, Azure, Anthropic, Gemini, Bedrock", _is_half, half)


def stored_form() -> Format:
    """OpenAI's stored objects."""
    return Format("OpenAI's stored completions and Responses", _is_stored, stored)
