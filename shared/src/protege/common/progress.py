"""How long work tells where it is: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Bar(Protocol):
    def advance(self, amount: float = 1, note: str = "") -> None:
        """`amount` more of the total is done; `note` stands behind the bar."""
        ...


class Progress(Protocol):
    def step(self, name: str, total: float | None = None) -> AbstractContextManager[Bar]:
        """A step of the work, `total` units long (unknown where None)."""
        ...


class Silent:
    """The progress that nobody sees."""

    @contextmanager
    def step(self, name: str, total: float | None = None) -> Iterator[Bar]:
        yield self

    def advance(self, amount: float = 1, note: str = "") -> None:
        pass
