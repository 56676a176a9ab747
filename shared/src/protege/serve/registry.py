"""Which kinds of engine there are, by name, and which one serves where none is named."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from ..common.registry import Registry
from ..errors import BadInput
from ..specialist import EMBEDDED, ServeAs
from .kind import EngineKind

GROUP = "protege.engines"
"""The entry-point group by which other packages bring kinds of engine."""

AUTO = "auto"
"""Stands for the first kind, in the order of `engine_names` with "embedded" last, that is available unasked."""

_kinds: Registry[EngineKind] = Registry(
    "engine",
    GROUP,
    {
        "ollama": "protege.serve.ollama.kind:OllamaKind",
        "embedded": "protege.serve.embedded.kind:EmbeddedKind",
        "head": "protege.serve.head.kind:HeadKind",
        "vllm": "protege.serve.vllm.kind:VllmKind",
    },
)
_DURATION = re.compile(r"-1|0|(\d+(\.\d+)?(ms|s|m|h))+")

log = logging.getLogger("protege.serve")


def engine_kind(name: str) -> EngineKind:
    """The kind of engine of this name. Raises BadInput if there is none, naming those that there are."""
    return _kinds.get(name)


def engine_names() -> tuple[str, ...]:
    """All kinds of engine that can be had here: those built in, then those of other packages by name."""
    return _kinds.names()


def register_engine(name: str, factory: Callable[[], EngineKind]) -> None:
    """Give a kind of engine a name, in this process."""
    _kinds.register(name, factory)


def choose(name: str, serve_as: ServeAs) -> EngineKind:
    """The kind of engine that serves: the one named, or the first that is available where `name` is "auto".

    Raises BadInput (there is none of this name, or it does not serve specialists so), MissingDependency, EngineError
    (it was asked for and cannot be had).
    """
    if name == AUTO:
        return _available(serve_as)
    if name not in _kinds:
        known = ", ".join((AUTO, *engine_names()))
        raise BadInput(f"There is no engine {name!r}.", f"Choose one of: {known}.")
    kind = engine_kind(name)
    kind.check(serve_as)
    return kind


def check_keep_alive(keep_alive: str) -> None:
    """Raise BadInput if it is no time that a specialist can stay in memory."""
    if not _DURATION.fullmatch(keep_alive):
        raise BadInput(f"{keep_alive!r} is no duration.", "Write 30m, 1h, 0 or -1 (for ever).")


def _available(serve_as: ServeAs) -> EngineKind:
    for name in engine_names():
        if name == EMBEDDED:
            continue
        try:
            kind = engine_kind(name)
        except BadInput as error:  # somebody's package that is broken here must not stop those that work
            log.warning("%s", error)
            continue
        if kind.available(serve_as):
            return kind
    return engine_kind(EMBEDDED)
