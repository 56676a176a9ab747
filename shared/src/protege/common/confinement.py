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
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType

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
    """Confines errors to what raised them, in one loop. `asides` counts what was set aside, by its reason.

    through: the errors that concern everything alike and go on to the caller. A loop that handles Protégé's own errors
    gives ProtegeError, so that only unexpected ones are confined.
    """

    def __init__(
        self,
        place: str,
        on_aside: Callable[[Aside], None] | None = None,
        through: tuple[type[Exception], ...] = (WorkspaceError, MissingDependency),
    ) -> None:
        self.place = place
        self.asides: Counter[str] = Counter()
        self._on_aside = on_aside
        self._through = through

    def each(self, key: str, body: bytes = b"") -> AbstractContextManager[None, bool]:
        """A block of which whatever it raises is set aside under this key; only what concerns everything alike, and
        interruptions, go on."""
        return _Each(self, key, body)

    def confines(self, error: BaseException | None) -> bool:
        """Whether an error is set aside here."""
        return isinstance(error, Exception) and not isinstance(error, self._through)

    def set_aside(self, key: str, error: Exception, body: bytes = b"") -> None:
        """Set this aside: count it, tell the first of each reason in the log, and hand it to whoever keeps it."""
        reason = type(error).__name__
        self.asides[reason] += 1
        if self.asides[reason] == 1:
            log.warning("%s: %s was set aside (%s); the others go on.", self.place, key, reason)
        if self._on_aside is not None:
            detail = error.fact if isinstance(error, ProtegeError) else ""
            self._on_aside(Aside(self.place, key, reason, detail, body))


class _Each(AbstractContextManager[None, bool]):
    """A class, since a generator would take three times as long, and there is one for every call."""

    __slots__ = ("_body", "_confinement", "_key")

    def __init__(self, confinement: Confinement, key: str, body: bytes) -> None:
        self._confinement = confinement
        self._key = key
        self._body = body

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception) and self._confinement.confines(error):
            self._confinement.set_aside(self._key, error, self._body)
            return True
        return False
