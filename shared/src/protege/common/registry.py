"""Parts that can be had in several ways, by name: built in, registered in this process, or brought by a package."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from ..errors import BadInput
from .forks import tell_of_forks

Part = TypeVar("Part")


class Registry(Generic[Part]):
    """From a name to the part that it stands for. Each part is made once a process, at its first use.

    A factory is called without arguments. It is registered in this process (`register`), built in, or named by an entry
    point of `group` in any installed distribution; of two with one name the first in this order is taken. Other
    packages' entry points are looked for only when a name is not among the others. Safe for many threads.
    """

    def __init__(self, what: str, group: str, built_in: Mapping[str, str]) -> None:
        """what: such as "engine", for messages. built_in: name → "package.module:factory"."""
        self.what = what
        self.group = group
        self._built_in = dict(built_in)
        self._registered: dict[str, Callable[[], Part]] = {}
        self._made: dict[str, Part] = {}
        self._lock = threading.RLock()
        tell_of_forks(self)

    def forked(self) -> None:
        """In a child: the lock may be held by a thread that is not here."""
        self._lock = threading.RLock()

    def __contains__(self, name: object) -> bool:
        return name in self._registered or name in self._built_in or name in self._brought()

    def names(self) -> tuple[str, ...]:
        """All that can be had here: those built in, in their order, then all others by name."""
        others = {*self._registered, *self._brought()} - {*self._built_in}
        return (*self._built_in, *sorted(others))

    def register(self, name: str, factory: Callable[[], Part]) -> None:
        """Give a part a name, in this process. A part of that name is replaced."""
        with self._lock:
            self._registered[name] = factory
            self._made.pop(name, None)

    def check(self, name: str) -> None:
        """Raise BadInput if there is no part of this name. Imports nothing."""
        if name not in self:
            raise BadInput(f"There is no {self.what} {name!r}.", f"Choose one of: {', '.join(self.names())}.")

    def get(self, name: str) -> Part:
        """The part of this name.

        Raises BadInput if there is none, or another package's cannot be imported; ImportError where one that is
        built in needs a library that is not installed.
        """
        part = self._made.get(name)
        if part is None:
            with self._lock:
                part = self._made.get(name)
                if part is None:
                    part = self._made[name] = self._factory(name)()
        return part

    def _factory(self, name: str) -> Callable[[], Part]:
        if name in self._registered:
            return self._registered[name]
        if name in self._built_in:
            return EntryPoint(name, self._built_in[name], self.group).load()
        self.check(name)
        brought = self._brought()[name]

        def made() -> Part:
            try:
                return brought.load()()
            except Exception as error:
                fact = (
                    f"The {self.what} {name!r} cannot be loaded from {brought.value}: {type(error).__name__}: {error}"
                )
                remedy = "Install what it needs, or remove the package that brings it; its entry-point group is"
                raise BadInput(fact, f"{remedy} {self.group}.") from error

        return made

    def _brought(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=self.group)}
