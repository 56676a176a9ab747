"""engine.json: where the workspace's running engine is, so that all its agents use one.

Written by the process that serves, readable by its owner only, since the token stands in it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import orjson

from ...common.files import write_private
from ...errors import NotServed
from ...specialist import Specialist
from ...workspace import Workspace
from ..engine import Completion
from .client import Client, Place
from .engine import NAME, EmbeddedEngine

FORMAT = 1
CHECK_S = 1.0
LOOPBACK = re.compile(r"http://127\.0\.0\.1:\d{1,5}")


class RemoteEngine:
    """An engine that another process runs. Closing it closes nothing over there."""

    name = NAME
    tells_end = True

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = places
        self._client = Client()

    def fingerprint(self, specialist: Specialist) -> str:
        return self._place(specialist).fingerprint

    def complete(self, specialist: Specialist, prompt: str, *, timeout_s: float) -> Completion:
        place = self._place(specialist)
        return self._client.complete(place, prompt, max_tokens=specialist.max_tokens, timeout_s=timeout_s)

    def close(self) -> None:
        self._client.close()

    def _place(self, specialist: Specialist) -> Place:
        if specialist.id not in self._places:
            raise NotServed(f"The running engine does not serve {specialist.name}.", "Start `protege serve` again.")
        return self._places[specialist.id]


def connect(workspace: Workspace) -> RemoteEngine | None:
    """The workspace's running engine; None where there is none that answers. Waits a second at most for each server.

    A stale file (its process gone, its port another's, its token refused) is no engine.
    """
    places = _read(workspace)
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


def publish(workspace: Workspace, engine: EmbeddedEngine) -> None:
    """Let this workspace's agents find the engine."""
    places = {identity: place.to_record() for identity, place in engine.places().items()}
    document = {"format": FORMAT, "pid": os.getpid(), "specialists": places}
    write_private(workspace.home / "engine.json", orjson.dumps(document))


def withdraw(workspace: Workspace) -> None:
    """Take back what this process published, not what another did."""
    document = _document(workspace)
    if document is not None and document.get("pid") == os.getpid():
        (workspace.home / "engine.json").unlink(missing_ok=True)


def _read(workspace: Workspace) -> dict[str, Place] | None:
    document = _document(workspace)
    if document is None:
        return None
    try:
        os.kill(int(document["pid"]), 0)
        places = {str(identity): Place(**record) for identity, record in document["specialists"].items()}
    except (OSError, KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    # A file that someone put there must not send prompts elsewhere.
    loopback = all(LOOPBACK.fullmatch(str(place.url)) for place in places.values())
    return places if loopback else None


def _document(workspace: Workspace) -> dict[str, Any] | None:
    try:
        document = orjson.loads((workspace.home / "engine.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return None
    return document if isinstance(document, dict) and document.get("format") == FORMAT else None
