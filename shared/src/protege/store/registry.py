"""Which stores there are: one is built in, others come from packages that name one under `protege.stores`.

[project.entry-points."protege.stores"]
postgres = "protege_postgres:Postgres"          # a `Factory`
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from ..errors import BadInput
from .backend import Backend, Factory
from .home import Identity
from .sqlite import Sqlite

GROUP = "protege.stores"
_factories: dict[str, Factory] = {"sqlite": Sqlite}


def open_store(home: Path, identity: Identity) -> Backend:
    """The store that the home uses. Raises BadInput if none of its name is installed."""
    name, _, address = identity.store.partition(":")
    return _factory(name)(home, address)


def store_names() -> tuple[str, ...]:
    """The names of all stores that are installed, sorted."""
    return tuple(sorted({*_factories, *(entry.name for entry in metadata.entry_points(group=GROUP))}))


def register(name: str, factory: Factory) -> None:
    """Add a store in this process."""
    if not name.strip() or ":" in name:
        raise BadInput(f"{name!r} cannot name a store.", "Use a word without a colon.")
    _factories[name] = factory


def _factory(name: str) -> Factory:
    if (factory := _factories.get(name)) is not None:
        return factory
    for entry in metadata.entry_points(group=GROUP, name=name):
        try:
            _factories[name] = entry.load()
        except Exception as error:
            raise BadInput(
                f"The store {name!r} of {entry.value} cannot be loaded: {error}.", "Install the package anew."
            ) from error
        return _factories[name]
    raise BadInput(
        f"There is no store {name!r}.", f"Install the package that brings it; here: {', '.join(store_names())}."
    )
