"""Whether a home is believed: an agent is answered only from one that is its user's own."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..common.files import distrusted
from ..common.trust import is_trusted

BELIEVED = ("routes.json", "engine.json", "switch")
"""The files of a home by which an agent is answered. Where others may have written one, or the home, the teacher
answers."""


class Doubt(NamedTuple):
    """Why a home is not believed, so that calls are recorded and the teacher answers them."""

    fact: str
    remedy: str


def is_believed(home: Path) -> bool:
    """Whether agents may be answered from this home. Not if it cannot be looked at."""
    try:
        return doubt(home) is None
    except OSError:
        return False


def doubt(home: Path) -> Doubt | None:
    """Why this home is not believed; None if it is. Raises OSError if it cannot be looked at."""
    if (strange := distrusted(home, BELIEVED)) is not None:
        fact = f"{strange} belongs to another user, or others may write it"
        return Doubt(fact, f"If you know who made it: chown -R $USER {home}; chmod -R go-w {home}")
    if not is_trusted(home):
        fact = f"{home} was found in the working folder and may have come along with it: nobody made or trusted it here"
        return Doubt(fact, f"If it is yours: protege trust {home}; or name it, by PROTEGE_HOME or --home.")
    return None
