"""Regular expressions whose time is linear in the text, whatever the text is: RE2's, fit for an agent's process.

RE2 lets other threads run while it searches, and guards the automata that it builds with locks. A child that is forked
during a search inherits those locks held for ever, so patterns are compiled anew in a child, at their first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import re2

from .forks import tell_of_forks


class Linear:
    """A pattern in RE2's syntax. Safe for many threads and after a fork. Raises re2.error if it cannot be read.

    groups: whether the groups of a match are wanted; without them the search is faster.
    """

    __slots__ = ("__weakref__", "_before_fork", "_groups", "_pattern", "groupindex", "search")

    def __init__(self, pattern: str, *, groups: bool = True) -> None:
        self._pattern, self._groups = pattern, groups
        self._before_fork: list[Any] = []
        compiled = self._compile()
        self.groupindex: Mapping[str, int] = compiled.groupindex
        """The numbers of the named groups."""
        tell_of_forks(self)

    def forked(self) -> None:
        """Called in a forked child."""
        self._before_fork.append(self.search)  # not freed, since its locks may be held
        self.search = self._search_first

    def _search_first(self, *args: Any) -> Any:
        self._compile()
        return self.search(*args)

    def _compile(self) -> Any:
        options = re2.Options()
        options.never_capture = not self._groups
        options.log_errors = False
        compiled = re2.compile(self._pattern, options)
        self.search = compiled.search
        """`search(text, begin, end)`, as in Python's `re`: the first match or None."""
        return compiled
