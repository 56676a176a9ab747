"""What people say is right: from the files that say it, and by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import orjson

from ..call import Call, Message
from ..chat.answer import answer_text, message_from
from ..common.messages import correction_from, json_in
from ..common.plain_json import plain
from ..errors import BadCall, BadInput, InvalidAnswer
from ..masking.masking import mask
from ..task import Task

if TYPE_CHECKING:
    from ..workspace import Workspace

_SAID = ("correction", "corrected_output", "correctedOutput", "expected_output", "expectedOutput", "reference_outputs")
"""Fields of feedback that hold the right answer."""
MOST_HELD_BYTES = 256 << 20
"""Corrections wait for a file's calls; they come to at most so many bytes."""


def with_correction(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of a call with its correction in the field of that name, if its feedback holds one. What is no answer
    is left out of that field, where it may be somebody's flag."""
    said = record.get("correction")
    if said is None and (feedback := record.get("feedback")) is not None:
        said = correction_in(feedback)
        return record if said is None else {**record, "correction": said}
    if said is not None and (isinstance(said, bool) or said in ("", {}, [])):
        return {name: value for name, value in record.items() if name != "correction"}
    return record


def correction_in(feedback: Any) -> Any:
    """The right answer that feedback holds; of several the last. None if it holds none."""
    several = cast(list[Any], feedback) if isinstance(feedback, list) else [feedback]
    said = [held[name] for held in several if isinstance(held, Mapping) for name in _SAID if _is_said(held.get(name))]
    return said[-1] if said else None


def _is_said(value: Any) -> bool:
    return value not in (None, "", {}, []) and not isinstance(value, bool)


def masked_correction(answer: Any) -> Message:
    """The answer as an assistant's message, without secrets. Raises BadCall."""
    message = correction_from(answer)
    try:
        written = orjson.dumps(message, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, an integer beyond 64 bits
        written = orjson.dumps(plain(message))
    return correction_from(orjson.loads(mask(written)))


class Corrections:
    """The corrections that files tell, until all their calls have been read."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Message, str, int]] = {}
        self._bytes = 0

    def add(self, call_id: str, answer: Any, file: str, line: int, size: int) -> None:
        """Hold one; of several for a call the last counts. size: the bytes that it takes. Raises BadCall."""
        if self._bytes + size > MOST_HELD_BYTES:
            raise BadCall("too many corrections come before it; import them in several files.")
        self._held[call_id] = (masked_correction(answer), file, line)
        self._bytes += size

    def save(self, workspace: Workspace) -> tuple[int, list[tuple[str, int]]]:
        """Store those whose calls are stored. Returns how many, and file and line of each of the others."""
        known = workspace.known_calls(self._held)
        workspace.corrections.save({call_id: self._held[call_id][0] for call_id in known})
        return len(known), list(self.left(known))

    def left(self, known: set[str]) -> Iterator[tuple[str, int]]:
        """File and line of each correction of a call that is not known."""
        return ((file, line) for call_id, (_, file, line) in self._held.items() if call_id not in known)


def correct(workspace: Workspace, call_id: str, answer: str | Mapping[str, Any] | None) -> Task | None:
    """Say which answer to a call is right, or with None that a correction no longer holds. Returns the call's task.

    answer: what the assistant should have said: a text, JSON, or a message in OpenAI chat form. It must be of the kind
    that the call's task answers with. Raises BadInput if it is not, or if there is no such call.
    """
    call = next(workspace.calls(ids=[call_id]), None)
    if call is None:
        raise BadInput(f"There is no call {call_id!r}.", "`protege tasks --calls` lists them.")
    task = workspace.task_of_call(call_id)
    if answer is None:
        workspace.corrections.save({call_id: None}, by_hand=True)
        return task
    try:
        message = masked_correction(_as_message(answer, task, call))
    except (BadCall, InvalidAnswer) as error:
        fact = error.fact if isinstance(error, BadCall) else f"{error}."
        kind = f" The answers of {task.name} are: {task.kind.replace('_', ' ')}." if task else ""
        raise BadInput(f"That is no answer to this call: {fact}{kind}", "protege correct --help") from None
    workspace.corrections.save({call_id: message}, by_hand=True)
    return task


def _as_message(answer: str | Mapping[str, Any], task: Task | None, call: Call) -> Any:
    """The answer as a message, if its call's task takes it. Raises InvalidAnswer and BadCall."""
    said = json_in(answer)
    if isinstance(said, Mapping) and cast(Any, said).get("role") == "assistant":
        answer = answer_text(correction_from(said))
    if task is not None and isinstance(answer, str):
        return message_from(answer, task, call.request)
    return answer
