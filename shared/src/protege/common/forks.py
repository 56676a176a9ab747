"""What must hold after `os.fork`: no lock of a thread that the child does not have, no half-finished import.

A fork copies one thread. A lock that another thread held stays held in the child for ever, so whoever owns locks is
told in the child and makes new ones (`tell_of_forks`). A module that another thread was importing stays half imported,
and whoever imports it in the child waits for ever, so a fork waits for imports that Protégé makes in the background
(`importing`).
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

LONGEST_WAIT_S = 10.0
"""A fork waits for an import no longer than this: the two may be waiting for each other."""


class Forkable(Protocol):
    """Holds locks, threads or descriptors that a child must not use."""

    def forked(self) -> None:
        """Called in each forked child before anything else runs there. Must neither block nor raise."""
        ...


def tell_of_forks(owner: Forkable) -> None:
    """Call `owner.forked` in every child that is forked while the owner lives."""
    _owners.add(owner)


@contextmanager
def importing() -> Iterator[None]:
    """Around an import that may run in a thread of Protégé's own, or at a first call: no fork happens in between."""
    with _gate.lock:
        yield


class _Gate:
    """Held by whoever imports, and by whoever forks."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.passed = False

    def before(self) -> None:
        self.passed = self.lock.acquire(timeout=LONGEST_WAIT_S)

    def in_parent(self) -> None:
        if self.passed:
            self.lock.release()

    def forked(self) -> None:
        self.lock = threading.RLock()


_owners: weakref.WeakSet[Forkable] = weakref.WeakSet()
_gate = _Gate()


def _in_child() -> None:
    _gate.forked()
    for owner in list(_owners):
        owner.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_gate.before, after_in_parent=_gate.in_parent, after_in_child=_in_child)
