"""What `protege doctor` prints a line of; each part tells its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    """What it is: an extra, a folder, an engine."""
    ok: bool | None
    """None if it is neither good nor bad."""
    fact: str
    """What was seen."""
    remedy: str = ""
    """A command or a sentence that mends it."""
