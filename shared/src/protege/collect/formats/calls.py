"""Files of calls as JSON lines: one call a line, in the form of `Call.to_record()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...chat.streams import assemble
from ...errors import BadCall

ANSWER_KEYS = frozenset({"task", "agent", "split", "template_version", "source", "licence", "gold_accept"})
"""Fields that say what a data set's author knows of a call. They are no part of it; nor is its `agent`."""


def records(document: Any) -> Iterator[dict[str, Any]]:
    """The one call of a line. A `response` that is a list of stream chunks is put together. Raises BadCall."""
    if not isinstance(document, Mapping):
        raise BadCall("not a JSON object.")
    record = {name: value for name, value in document.items() if name not in ANSWER_KEYS}
    if isinstance(chunks := record.get("response"), list):
        if not all(isinstance(chunk, Mapping) for chunk in chunks):
            raise BadCall("response is a list, but not of stream chunks.")
        message, finish_reason, usage = assemble(chunks)
        found = {"finish_reason": finish_reason, "usage": usage}
        record = {**{name: value for name, value in found.items() if value}, **record, "response": message}
    yield record
