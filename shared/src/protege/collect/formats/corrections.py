"""Corrections: `{"id": …, "correction": …}` a line, the right answer to the call of this id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...dialects.reading import response_of
from ...errors import BadCall
from .base import Correction, Format, object_of

_BOXES = ("output", "generation", "message")
"""The one field in which tools put an answer. JSON of any other field is the answer itself."""
_IDS = ("id", "call_id", "call")
_REQUESTS = ("messages", "request", "input", "inputs", "prompt", "contents")


def records(document: Any) -> Iterator[Correction]:
    """The one correction of a line. Raises BadCall."""
    document = object_of(document)
    call_id = next((document[name] for name in _IDS if isinstance(document.get(name), str | int)), None)
    if call_id is None or isinstance(call_id, bool):
        raise BadCall("a correction without the id of its call.")
    yield Correction(str(call_id), answered(document.get("correction")))


def answered(said: Any) -> Any:
    """The answer in what a tool keeps as an output: a provider's whole answer, a conversation's last message, or what
    it is. Raises BadCall."""
    if isinstance(said, list) and said and all(isinstance(turn, Mapping) and "role" in turn for turn in said):
        return cast(list[Any], said)[-1]
    if not isinstance(said, Mapping):
        return said
    told = cast(Mapping[str, Any], said)
    if "choices" in told or "candidates" in told:
        return response_of(told).get("response")
    if set(told) == {"messages"}:
        return answered(told["messages"])
    if len(told) == 1 and (name := next(iter(told))) in _BOXES:
        return answered(told[name])
    return told


def _tells(document: Mapping[str, Any]) -> bool:
    if "correction" not in document:
        return False
    return any(name in document for name in _IDS) and not any(name in document for name in _REQUESTS)


def form() -> Format:
    """This form."""
    return Format("corrections: a line with id and correction", _tells, records)
