"""engine.json: where the workspace's running engine is, so that all its agents use one.

Written by the process that serves, readable by its owner only, since the token stands in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from ...common.configuration import is_private
from ...common.files import write_private
from ...common.finding import Finding
from ...errors import NotServed
from ...specialist import Specialist
from ..engine import Completion
from .client import NAME, Client, Place

FORMAT = 2
"""2: servers listen on Unix sockets. Where an older version named a port, nobody is asked."""
CHECK_S = 1.0
"""How long a server may take to show that it is there."""


class RemoteEngine:
    """An engine that another process runs. Closing it closes nothing over there."""

    name = NAME
    tells_end = True

    def __init__(self, places: Mapping[str, Place]) -> None:
        """places: by specialist id."""
        self._places = places
        self._client = Client()

    def fingerprint(self, specialist: Specialist) -> str:
        """As `Engine.fingerprint`."""
        return self._place(specialist).fingerprint

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        """As `Engine.complete`."""
        place = self._place(specialist)
        return self._client.complete(place, prompt, max_tokens=specialist.max_tokens, timeout_s=timeout_s)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _place(self, specialist: Specialist) -> Place:
        if specialist.id not in self._places:
            raise NotServed(f"The running engine does not serve {specialist.name}.", "Start `protege serve` again.")
        return self._places[specialist.id]


def connect(home: Path) -> RemoteEngine | None:
    """The running engine of a home folder; None if none answers. Waits a second at most for each of its servers.

    A stale file is no engine: nobody listens at its sockets. A socket is believed only in a folder that no other user
    can enter, and if its listener is a process of this user or of root.
    """
    places = _read(home)
    if places is None or not all(map(is_private, _folders(places))):
        return None
    client = Client()
    try:
        first_of_each = {place.socket: place for place in places.values()}.values()
        if not all(client.answers(place, CHECK_S) for place in first_of_each):
            return None
    finally:
        client.close()
    return RemoteEngine(places)


def trouble(home: Path) -> Finding:
    """Why no engine of this home answers, although there is an engine.json."""
    places = _read(home)
    if places is None:
        file = home / "engine.json"
        return Finding("engine", False, f"{file} is damaged, or of another version", f"rm {file}; protege serve")
    strange = [folder for folder in _folders(places) if folder.exists() and not is_private(folder)]
    if strange:
        fact = f"not believed: {strange[0]} belongs to another user, or others can enter it"
        return Finding("engine", False, fact, "Start `protege serve` again.")
    return Finding("engine", None, "stopped: nobody of yours answers at its sockets", "protege serve starts it again.")


def publish(home: Path, places: Mapping[str, Place]) -> None:
    """Let the agents of this home find the engine of this process. places: by specialist id."""
    records = {identity: place.to_record() for identity, place in places.items()}
    document = {"format": FORMAT, "pid": os.getpid(), "specialists": records}
    write_private(home / "engine.json", orjson.dumps(document))


def withdraw(home: Path) -> None:
    """Take back what this process published, not what another did."""
    document = _document(home)
    if document is not None and document.get("pid") == os.getpid():
        (home / "engine.json").unlink(missing_ok=True)


def _read(home: Path) -> dict[str, Place] | None:
    document = _document(home)
    if document is None:
        return None
    try:
        places = {str(identity): Place(**record) for identity, record in document["specialists"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    return places if all(folder.is_absolute() for folder in _folders(places)) else None


def _folders(places: Mapping[str, Place]) -> set[Path]:
    return {Path(str(place.socket)).parent for place in places.values()}


def _document(home: Path) -> dict[str, Any] | None:
    try:
        document = orjson.loads((home / "engine.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None
