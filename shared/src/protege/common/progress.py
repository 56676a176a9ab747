"""How long work reports its progress: as a bar on a terminal, and not at all elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    """The progress of one step."""

    def advance(self, amount: float = 1, note: str = "") -> None:
        """`amount` more of the total is done. `note` is shown behind the bar."""
        ...


class Progress(Protocol):
    """Who is told about the progress of the work."""

    def step(self, name: str, total: float | None = None) -> AbstractContextManager[Bar]:
        """A step of the work, `total` units long; None if that is unknown."""
        ...


class Silent:
    """Progress that nobody sees."""

    @contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Bar]:
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        pass
