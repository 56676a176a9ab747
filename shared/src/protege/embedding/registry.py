"""Which ways to embed there are, by name, and which one is taken where none is named."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..common.finding import Finding
from ..common.forks import importing, tell_of_forks
from ..common.registry import Registry
from ..errors import BadInput, ProtegeError
from .embedder import EmbedderKind

if TYPE_CHECKING:
    from .embedder import Embedder

GROUP = "protege.embedders"
"""The entry-point group by which other packages bring ways to embed."""
AUTO = "auto"
"""Stands for the first way that is available unasked, else for `NONE`."""
NONE = "none"
"""Stands for no embedding."""
_PIN = "#"
"""What parts an embedder's name from the first digits of its identity."""

_kinds: Registry[EmbedderKind] = Registry(
    "embedder",
    GROUP,
    {
        "packaged": "protege.embedding.packaged:PackagedKind",
        "ollama": "protege.embedding.ollama:OllamaKind",
    },
)

log = logging.getLogger("protege.embedding")


def embedder_named(name: str) -> Embedder:
    """The embedder of this name (`packaged`, `ollama:all-minilm`) or address; one a process.

    Raises BadInput if there is no such way, MissingDependency.
    """
    return _opened.get(plain(name))


def plain(name: str) -> str:
    """The name of an embedder, without what `decided` added."""
    return name.partition(_PIN)[0]


def check(name: str) -> None:
    """Raise BadInput if this is no embedder's name, nor "auto" or "none". Loads nothing."""
    if name not in (AUTO, NONE):
        _kind_of(plain(name))


def decided(name: str) -> str:
    """The name, with "auto" decided, and with the first digits of its identity: what is made with another model under
    the same name is made from something else. Raises BadInput, MissingDependency, EngineError."""
    name = next(iter(_available()), NONE) if name == AUTO else plain(name)
    return name if name == NONE else f"{name}{_PIN}{embedder_named(name).identity[:12]}"


def embedder_names() -> tuple[str, ...]:
    """All ways that can be had here: those built in, then those of other packages by name."""
    return _kinds.names()


def register_embedder(name: str, factory: Callable[[], EmbedderKind]) -> None:
    """Give a way a name, in this process."""
    _kinds.register(name, factory)
    _opened.forked()


def findings() -> Iterator[Finding]:
    """What each way tells `protege doctor`."""
    for name in embedder_names():
        try:
            yield from _kinds.get(name).findings()
        except ProtegeError as error:  # somebody's package that is broken here
            yield Finding(f"embedding, {name}", False, error.fact, error.remedy)


def _available() -> Iterator[str]:
    for name in embedder_names():
        try:
            if _kinds.get(name).available():
                yield name
        except BadInput as error:  # somebody's package that is broken here must not stop those that work
            log.warning("%s", error)


def _kind_of(name: str) -> EmbedderKind:
    way = name.partition(":")[0]
    if way not in _kinds:
        known = ", ".join((AUTO, NONE, *embedder_names()))
        raise BadInput(f"There is no embedder {name!r}.", f"Choose one of: {known} (for Ollama, ollama:MODEL).")
    return _kinds.get(way)


class _Opened:
    """The embedders of this process, by name."""

    def __init__(self) -> None:
        self._embedders: dict[str, Embedder] = {}
        self._lock = threading.Lock()
        tell_of_forks(self)

    def forked(self) -> None:
        """Begin anew: the lock may be held by a thread that is not here."""
        self._embedders, self._lock = {}, threading.Lock()

    def get(self, name: str) -> Embedder:
        found = self._embedders.get(name)
        if found is None:
            with importing():
                opened = _kind_of(name).open(name.partition(":")[2])
            with self._lock:
                found = self._embedders.setdefault(name, opened)
        return found


_opened = _Opened()
