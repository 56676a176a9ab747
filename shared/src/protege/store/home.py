"""workspace.json: the id of a home, the version of its layout, and the store that it uses. Light to import."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from ..common.files import made_once, write_private
from ..errors import WorkspaceError

VERSION = 2
"""Of the folder's layout. A home written by a newer version is refused. 2: state stands in tables of its own."""
STORE = "sqlite"
"""The store of a home that names none."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What workspace.json says."""

    id: str
    version: int = VERSION
    store: str = STORE
    """A name of `store.registry`; for a store that is not in the home itself, `name:address`."""

    def to_record(self) -> dict[str, Any]:
        return {"version": self.version, "id": self.id, "store": self.store}


def identify(home: Path, store: str | None = None) -> Identity:
    """The home's identity; made if the folder is new, with this store.

    Raises WorkspaceError if the file is damaged or newer, or the home uses another store than the one named.
    """
    fresh = Identity(secrets.token_hex(4), store=store or STORE)
    made_once(_file(home), orjson.dumps(fresh.to_record()))
    identity = read(home)
    if identity.version > VERSION:
        raise WorkspaceError(
            f"{home} was written by a newer Protégé (layout {identity.version}, this one knows {VERSION}).",
            "Update: pip install --upgrade protege",
        )
    if store is not None and store != identity.store:
        raise WorkspaceError(
            f"{home} uses the store {identity.store!r}, not {store!r}.", "Name none, or choose another home."
        )
    return identity


def read(home: Path) -> Identity:
    """What the home's workspace.json says. Raises FileNotFoundError, or WorkspaceError if it is damaged."""
    file = _file(home)
    try:
        record = orjson.loads(file.read_bytes())
        return Identity(str(record["id"]), int(record["version"]), str(record.get("store", STORE)))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        raise WorkspaceError(
            f"{file} is damaged.", "Restore it from a backup, or choose another home with --home."
        ) from None


def is_older(home: Path) -> bool:
    """Whether the home was written by a version with an older layout."""
    return _file(home).exists() and read(home).version < VERSION


def raise_version(home: Path) -> None:
    """Mark an older home as one of this layout, before its store is changed: older versions refuse it from now on."""
    if not _file(home).exists():
        return
    identity = read(home)
    if identity.version < VERSION:
        write_private(_file(home), orjson.dumps(replace(identity, version=VERSION).to_record()))


def _file(home: Path) -> Path:
    return home / "workspace.json"
