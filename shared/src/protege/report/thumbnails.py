"""The images of a task's calls, redacted: so small that no text in them can be read.

A thumbnail keeps 32 pixels of the longer side, and never more than an eighth of it, so that small images lose their
text too. Where things stand on a screen can still be seen; a large face or sign in a photograph may be recognised.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from ..common.media import FOLDER, media_path, names_in
from ..dialects import LEFT_OUT
from ..task import Task, TemplatePart
from ..workspace import Workspace
from .data import Pictures

LOOKED_AT = 2_000
"""So many of a home's latest calls are looked at."""
MOST_SHOWN = 6
"""Thumbnails of a task."""
LONGEST, LEAST_TIMES = 32, 8
"""Pixels of a thumbnail's longer side, at most, and how many times smaller than the image it is, at least."""
MOST_PIXELS = 50_000_000
"""A larger image is not opened: it would take the memory of a whole machine."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
TEXT_ALONE = "Its calls hold images. They are left out of what specialists are shown, by --text-suffices."
MISSING = "They are not shown: Pillow is not installed (pip install 'protege[images]')."


def pictures(workspace: Workspace, task: Task) -> Pictures | None:
    """The images of the task's latest calls; None if these hold none that was stored, and none was left out."""
    if any(LEFT_OUT in text for template in task.templates for part in template.parts for text in _constant(part)):
        return Pictures(0, (), TEXT_ALONE)
    if not (workspace.home / FOLDER).is_dir():
        return None
    with_images = [names for names in _named(workspace, task) if names]
    if not with_images:
        return None
    latest = list(dict.fromkeys(name for names in reversed(with_images) for name in names))
    try:
        shown = _thumbnails(workspace.home, latest)
    except ImportError:
        return Pictures(len(with_images), (), MISSING)
    return Pictures(len(with_images), shown, "" if shown else "None of them can be opened.")


def _constant(part: TemplatePart) -> tuple[str, ...]:
    return (part.prefix, part.suffix, *part.lines)


def _named(workspace: Workspace, task: Task) -> Iterator[list[str]]:
    """The names of the parts of each of the task's latest calls."""
    for call in workspace.calls(task_id=task.id, after=max(0, workspace.last_call() - LOOKED_AT)):
        yield names_in(orjson.dumps([dict(message) for message in call.request.messages], default=repr))


def _thumbnails(home: Path, names: Sequence[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in names:
        if len(found) == MOST_SHOWN:
            break
        if (small := thumbnail(media_path(home, name))) is not None:
            found.append(f"data:image/png;base64,{base64.b64encode(small).decode()}")
    return tuple(found)


def thumbnail(path: Path) -> bytes | None:
    """An image as a PNG of a few pixels; None if the file is no image, or a too large or tiny one.

    Raises ImportError without Pillow.
    """
    from PIL import Image  # an extra: only who wants to see images needs it

    try:
        # Warnings tell of files that are not as they should be; they are shown or not.
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            if max(image.size) < LEAST_TIMES or image.width * image.height > MOST_PIXELS:
                return None
            return _reduced(image, Image.Resampling.BOX)
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, Image.DecompressionBombError):
        return None  # what Pillow raises of a file that is broken, or none of its formats


def _reduced(image: Any, mean: Any) -> bytes:
    """mean: how pixels become one."""
    longer = max(image.size)
    scale = min(LONGEST, longer // LEAST_TIMES) / longer
    size = [max(1, round(side * scale)) for side in image.size]
    written = io.BytesIO()
    image.convert("RGB").resize(size, mean).save(written, "PNG")
    return written.getvalue()
