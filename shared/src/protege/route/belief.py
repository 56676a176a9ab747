"""Whether a home is believed: agents are answered only from one that is their user's own, by routes that are signed."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ..common import signing
from ..common.files import distrusted
from ..common.trust import is_trusted, untrusted
from ..errors import WorkspaceError
from .sealing import unseal

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
    if (found := doubt_of_place(home)) is not None:
        return found
    signed = False
    try:
        body = (home / "routes.json").read_bytes()
        signed = unseal(home, body) != body
    except FileNotFoundError:
        pass
    except WorkspaceError as error:
        return Doubt(error.fact.rstrip("."), error.remedy)
    return None if signed or is_trusted(home) else Doubt(*untrusted(home))


def check_own(home: Path) -> None:
    """Raise WorkspaceError if no engine may be started for this home: it would load what lies there."""
    found = doubt_of_place(home)
    if found is None and not is_trusted(home):
        found = doubt(home)
    if found is not None:
        raise WorkspaceError(f"{found.fact}.", found.remedy)


def doubt_of_place(home: Path) -> Doubt | None:
    """As `doubt`, without the signature of its routes.

    Where the environment names a key, that decides whose routes are believed, and the home may be another user's.
    """
    if (strange := distrusted(home, BELIEVED)) is not None:
        fact = f"{strange} belongs to another user, or others may write it"
        return Doubt(fact, f"If you know who made it: chown -R $USER {home}; chmod -R go-w {home}")
    if not signing.is_named() and not is_trusted(home):
        return Doubt(*untrusted(home))
    return None
