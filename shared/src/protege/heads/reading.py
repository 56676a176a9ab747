"""What is in a head's file: each format begins with eight bytes of its own."""

from __future__ import annotations

from typing import TypeAlias

from . import file, pointer, tagger_file
from .head import Head
from .pointer import Pointer
from .tagger import Tagger

Chooser: TypeAlias = Head | Pointer | Tagger
"""What answers in the agent's process: each has `taught_by`, `seen` and `answer`."""


def read(body: bytes) -> Chooser:
    """What is in a file's bytes. Raises ValueError where they are damaged, too many, or of another version."""
    if body.startswith(pointer.MAGIC):
        return pointer.from_bytes(body)
    if body.startswith(tagger_file.MAGIC):
        return tagger_file.from_bytes(body)
    return file.from_bytes(body)
