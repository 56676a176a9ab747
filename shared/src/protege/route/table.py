"""routes.json in the home folder: what a running agent needs to route."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson

from ..asking.confidence import Scorer
from ..cluster.assign import Assigner
from ..specialist import Route, Specialist
from ..task import Task

FORMAT = 1
CHECK_S = 0.5
"""The file is checked this often at most, so a route that is taken away is off within a second."""

log = logging.getLogger("protege.route")

Pair: TypeAlias = tuple[Route, Specialist]
"""A route and its specialist."""


class Entry(NamedTuple):
    """A route and what is needed to take it."""

    route: Route
    specialist: Specialist
    scorer: Scorer | None = None
    """How the specialist's confidence is made; None for the probability of the whole answer."""


@dataclass(frozen=True, slots=True)
class Table:
    """All routes of a home folder."""

    assigner: Assigner | None = None
    """Tells which task a request belongs to; None if there are no routes."""
    routes: Mapping[str, Sequence[Entry]] = field(default_factory=dict[str, Sequence[Entry]])
    """By task id, in the order in which they are tried. A route with `after` is tried only if the specialist that it
    names has handed an answer back."""


def to_bytes(tasks: list[Task], routes: list[Pair]) -> bytes:
    """The content of routes.json."""
    document = {
        "format": FORMAT,
        "tasks": [task.to_record() for task in tasks],
        "routes": [{"route": route.to_record(), "specialist": held.to_record()} for route, held in routes],
    }
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)


def from_bytes(body: bytes) -> Table:
    """Read the content of routes.json.

    Raises ValueError, KeyError, TypeError or AttributeError if the document is damaged or has another format.
    """
    document: dict[str, Any] = orjson.loads(body)
    if document["format"] != FORMAT:
        raise ValueError("routes.json has another format")
    routes = [
        (Route.from_record(entry["route"]), Specialist.from_record(entry["specialist"])) for entry in document["routes"]
    ]
    if not routes:
        return Table()
    tasks = [Task.from_record(record) for record in document["tasks"]]
    by_task: dict[str, list[Entry]] = {}
    for route, specialist in routes:
        scorer = None if route.scorer is None else Scorer.from_record(route.scorer)
        by_task.setdefault(route.task_id, []).append(Entry(route, specialist, scorer))
    return Table(Assigner(tasks), by_task)


class TableFile:
    """The table in a file, which is read again once the file is replaced. Safe for many threads. Never raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = Table()
        self._seen: tuple[int, ...] | None = None
        self._checked_s = -CHECK_S
        self._lock = threading.Lock()

    def current(self) -> Table:
        """The table, at most CHECK_S old; an empty one if the file is missing or damaged."""
        # One thread checks; the others use the table they have. So nobody waits, not even a child forked meanwhile.
        first = self._checked_s < 0
        if time.monotonic() - self._checked_s >= CHECK_S and self._lock.acquire(blocking=first):
            try:
                self._look()
                self._checked_s = time.monotonic()
            finally:
                self._lock.release()
        return self._table

    def _look(self) -> None:
        try:
            stat = self._path.stat()
            version = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            self._table, self._seen = Table(), None
            return
        if version == self._seen:
            return
        try:
            self._table = from_bytes(self._path.read_bytes())
        except Exception as error:  # noqa: BLE001 - the agent goes on with its teacher, whatever is in the file
            self._table = Table()
            log.warning("%s cannot be read (%s); the teacher answers all calls.", self._path, type(error).__name__)
        self._seen = version
