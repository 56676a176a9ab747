"""What a form of files is: how it is told from others, and how its documents are read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ...dialects.record import Record as Record
from ...dialects.record import object_of as object_of
from ...dialects.record import without_nothing as without_nothing


@dataclass(frozen=True, slots=True)
class Span:
    """A step of a trace. Steps around a call often tell the same call once more; the innermost is taken."""

    id: str
    parent: str
    """The id of the step around it; empty if it has none."""
    record: Record | None
    """Its call; None if it is no call of a model."""
    kind: str = "another step"
    """What it is if it is no call."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A line that holds no call of a chat, and is none that could not be read."""

    kind: str
    """What it is."""


@dataclass(frozen=True, slots=True)
class Half:
    """The request or the answer of a call, whose other half is elsewhere in the files."""

    key: str
    """The same in both halves."""
    record: Record
    """The fields of the call that this half tells."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The answer that a person says is right."""

    call_id: str
    """The id of the call that it corrects."""
    answer: Any
    """In any form of `common.messages.correction_from`."""


Found: TypeAlias = Record | Span | Passed | Half | Correction


def alone(document: Any) -> Iterable[Any]:
    """The one unit of a document that is read whole."""
    return (document,)


@dataclass(frozen=True, slots=True)
class Format:
    """A form of files. Its functions raise BadCall for what they cannot read; that unit alone is then left out."""

    title: str
    """What it is, for people."""
    tells: Callable[[Mapping[str, Any]], bool]
    """Whether a document is in this form."""
    read: Callable[[Any], Iterable[Found]]
    """What a unit holds."""
    units: Callable[[Any], Iterable[Any]] = alone
    """The units of a document, each of which may be good or bad by itself."""
