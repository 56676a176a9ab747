"""A request without its images: what a specialist, which reads text alone, may be shown where the text is enough.

A browser agent often sends the page's elements as text beside its screenshot. Whether the text is enough is the user's
word (`protege gateway --text-suffices NODE`); how well a specialist does with it is measured like anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ..call import Message
from ..common.messages import flattened
from . import teacher
from .base import Asked

LEFT_OUT = "[image left out]"
"""What stands in an image's place."""
_IMAGES = frozenset({"image", "image_url", "input_image"})
_BOXES = ("inlineData", "inline_data", "fileData", "file_data")


def without_images(asked: Asked) -> Asked:
    """The request with LEFT_OUT in the place of each image, so that a specialist may answer it.

    It stays as it is if only the teacher may answer for another reason, or if it holds media of another kind, or images
    within a tool's result. Raises BadCall.
    """
    if asked.teacher_only != teacher.MEDIA:
        return asked
    said = cast(Sequence[Any], asked.record["messages"])
    if teacher.holds_media([_besides_images(message) for message in said]):
        return asked
    messages = [_as_text(message) for message in flattened(said)]
    if any(message is None for message in messages):
        return asked
    return replace(asked, record={**asked.record, "messages": messages}, teacher_only=None)


def _besides_images(message: Any) -> Any:
    """A message, as it was asked in any dialect, without the images of its own; a tool's result as it is."""
    if not isinstance(message, Mapping) or cast(Message, message).get("role") in ("tool", "function"):
        return message
    rest = {name: value for name, value in cast(Message, message).items() if name != "images"}
    for name in ("content", "parts"):
        held: Any = rest.get(name)
        parts: list[Any] = [held] if isinstance(held, Mapping) else held if isinstance(held, list) else []
        rest[name] = [part for part in parts if not _is_image(part)]
    return rest


def _is_image(part: Any) -> bool:
    """Whether a part is an image and nothing else; in Gemini's form a box tells what it holds."""
    if not isinstance(part, Mapping):
        return False
    held = cast(Mapping[str, Any], part)
    box: Any = teacher.named(held, *_BOXES)
    if box is None:
        return held.get("type") in _IMAGES
    kind = teacher.named(box, "mimeType", "mime_type") if isinstance(box, Mapping) else None
    return str(kind).startswith("image/") and sum(name in held for name in _BOXES) == 1


def _as_text(message: Message) -> dict[str, Any] | None:
    """The message as text; None if it holds what cannot be left out."""
    plain = {name: value for name, value in message.items() if name != "images"}
    content: Any = message.get("content")
    said = [content] if isinstance(content, str) else [_said(part) for part in content or ()]
    said += [LEFT_OUT] * len(cast(Sequence[Any], message.get("images") or ()))
    if any(part is None for part in said):
        return None
    return plain if content is None else {**plain, "content": "\n".join(cast(list[str], said))}


def _said(part: Any) -> str | None:
    """The text that stands for a part of a message."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return None
    held = cast(Mapping[str, Any], part)
    if held.get("type") in _IMAGES:
        return LEFT_OUT
    return str(held["text"]) if isinstance(held.get("text"), str) and not teacher.holds_media(held) else None
