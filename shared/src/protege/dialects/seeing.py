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


def without_images(asked: Asked) -> Asked:
    """The request with LEFT_OUT in the place of each image, so that a specialist may answer it.

    It stays as it is if only the teacher may answer for another reason, or if it holds media of another kind, or images
    within a tool's result. Raises BadCall.
    """
    if asked.teacher_only != teacher.MEDIA:
        return asked
    messages = [_as_text(message) for message in flattened(cast(Sequence[Any], asked.record["messages"]))]
    if any(message is None for message in messages):
        return asked
    return replace(asked, record={**asked.record, "messages": messages}, teacher_only=None)


def _as_text(message: Message) -> dict[str, Any] | None:
    """The message as text; None if it holds what cannot be left out."""
    plain = {name: value for name, value in message.items() if name != "images"}
    content: Any = message.get("content")
    if message.get("role") in ("tool", "function") and isinstance(content, str) and '"image' in content:
        return None
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
