"""engine.json: where the workspace's running engine is, so that all its agents use one.

Written by the process that serves, readable by its owner only, since the token stands in it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from ...common.files import write_private
from ...common.loopback import is_loopback_url
from ...errors import NotServed
from ...specialist import Specialist
from ..engine import Completion
from .client import NAME, Client, Place

FORMAT = 1
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

    A stale file is no engine: its process is gone, its port another's, or its token refused.
    """
    places = _read(home)
    if places is None:
        return None
    client = Client()
    try:
        first_of_each = {place.url: place for place in places.values()}.values()
        if not all(client.answers(place, CHECK_S) for place in first_of_each):
            return None
    finally:
        client.close()
    return RemoteEngine(places)


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
        os.kill(int(document["pid"]), 0)
        places = {str(identity): Place(**record) for identity, record in document["specialists"].items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    # A file that someone put there must not send prompts elsewhere.
    return places if all(is_loopback_url(str(place.url)) for place in places.values()) else None


def _document(home: Path) -> dict[str, Any] | None:
    try:
        document = orjson.loads((home / "engine.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None
