"""The one place where whatever a record, a call or a task raises costs that one alone.

    confinement = Confinement("import", workspace.quarantine.add)
    for line in lines:
        with confinement.each(f"{path}:{number}", line):
            …                                        # any error is set aside with its reason, and the loop goes on

What concerns all of them alike is no fault of one, and goes on to the caller: a store or a home that cannot be used, a
library that is not installed, an interruption.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import MissingDependency, ProtegeError, WorkspaceError

log = logging.getLogger("protege")


@dataclass(frozen=True, slots=True)
class Aside:
    """Something that was set aside."""

    place: str
    """The loop in which it happened: "drain", "import", "discovery", …"""
    key: str
    """What it is: a file and the place in it, or the id of a call or a task."""
    reason: str
    """The name of the error's type."""
    detail: str = ""
    """The fact that the error states, if it is Protégé's own: it holds no content."""
    body: bytes = b""
    """The record as it came, with its secrets masked; empty if it is stored elsewhere."""


class Confinement:
    """Confines errors to what raised them, in one loop. `asides` counts what was set aside, by its reason."""

    def __init__(self, place: str, on_aside: Callable[[Aside], None] | None = None) -> None:
        self.place = place
        self.asides: Counter[str] = Counter()
        self._on_aside = on_aside

    @contextmanager
    def each(self, key: str, body: bytes = b"") -> Iterator[None]:
        """Whatever the block raises is set aside under this key; only what concerns everything alike goes on."""
        try:
            yield
        except (WorkspaceError, MissingDependency):
            raise
        except Exception as error:  # noqa: BLE001 - the point of this module; nothing is hidden: it is counted and kept
            self.set_aside(key, error, body)

    def set_aside(self, key: str, error: Exception, body: bytes = b"") -> None:
        """Set this aside: count it, tell the first of each reason in the log, and hand it to whoever keeps it."""
        reason = type(error).__name__
        self.asides[reason] += 1
        if self.asides[reason] == 1:
            log.warning("%s: %s was set aside (%s); the others go on.", self.place, key, reason)
        if self._on_aside is not None:
            detail = error.fact if isinstance(error, ProtegeError) else ""
            self._on_aside(Aside(self.place, key, reason, detail, body))
