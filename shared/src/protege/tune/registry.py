"""Which ways to tune there are, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..common.registry import Registry

GROUP = "protege.tuners"
"""The entry-point group by which other packages bring tuners."""

tuners: Registry[Any] = Registry(
    "method",
    GROUP,
    {
        "lora": "protege.tune.methods.lora:Lora",
        "full": "protege.tune.methods.full:Full",
        "qlora": "protege.tune.methods.qlora:QLora",
        "head": "protege.tune.methods.head:HeadTuner",
        "tagger": "protege.tune.methods.tagger:TaggerTuner",
        "pointer": "protege.tune.methods.pointer:PointerTuner",
    },
)
"""Of `Tuner`s. Not typed as such: settings name a method, and tuners take settings."""


def tuner_names() -> tuple[str, ...]:
    """All methods that can be had here: those built in, then those of other packages by name."""
    return tuners.names()


def register_tuner(name: str, factory: Callable[[], Any]) -> None:
    """Give a tuner a name, in this process."""
    tuners.register(name, factory)
