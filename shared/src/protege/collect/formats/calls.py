"""Files of calls as JSON lines: one call a line, in the form of `Call.to_record()`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...chat.streams import assemble
from ...errors import BadCall

ANSWER_KEYS = frozenset({"task", "agent", "split", "template_version", "source", "licence", "gold_accept"})
"""Fields in which the author of a data set says what he knows about a call. They are not part of the call."""


def records(document: Any) -> Iterator[dict[str, Any]]:
    """The one call of a line. If its `response` is a list of stream chunks, they are assembled. Raises BadCall."""
    if not isinstance(document, Mapping):
        raise BadCall("not a JSON object.")
    record = {name: value for name, value in document.items() if name not in ANSWER_KEYS}
    if isinstance(chunks := record.get("response"), list):
        if not all(isinstance(chunk, Mapping) for chunk in chunks):
            raise BadCall("response is a list, but not of stream chunks.")
        message, finish_reason, usage = assemble(chunks)
        reported = {"finish_reason": finish_reason, "usage": usage}
        record = {**{name: value for name, value in reported.items() if value}, **record, "response": message}
    yield record
