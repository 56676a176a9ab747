"""routes.json: what a running agent needs to route, as it stands in the home folder."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from ..asking.confidence import Scorer
from ..specialist import Route, Specialist
from ..task import Task

if TYPE_CHECKING:
    from ..cluster.assign import Assigner

FORMAT = 1
CHECK_S = 0.5
"""The file is looked at this often at most, so that a route taken away is off within a second."""

log = logging.getLogger("protege.route")


Pair: TypeAlias = tuple[Route, Specialist]


class Entry(NamedTuple):
    """A route, its specialist, and how its confidence is made (None: the probability of the whole answer)."""

    route: Route
    specialist: Specialist
    scorer: Scorer | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """The tasks' assigner, and by task id the routes with their specialists, in the order in which they are tried;
    one with `after` only where that one has handed an answer back."""

    assigner: Assigner | None = None
    routes: Mapping[str, Sequence[Entry]] = field(default_factory=dict[str, Sequence[Entry]])


def to_bytes(tasks: list[Task], routes: list[Pair]) -> bytes:
    document = {
        "format": FORMAT,
        "tasks": [task.to_record() for task in tasks],
        "routes": [{"route": route.to_record(), "specialist": s.to_record()} for route, s in routes],
    }
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)


def from_bytes(body: bytes) -> Table:
    """Raises ValueError, KeyError, TypeError or AttributeError where the document is damaged or of another format."""
    document: dict[str, Any] = orjson.loads(body)
    if document["format"] != FORMAT:
        raise ValueError("routes.json has another format")
    routes = [
        (Route.from_record(entry["route"]), Specialist.from_record(entry["specialist"])) for entry in document["routes"]
    ]
    if not routes:
        return Table()
    from ..cluster.assign import Assigner

    tasks = [Task.from_record(record) for record in document["tasks"]]
    by_task: dict[str, list[Entry]] = {}
    for route, specialist in routes:
        scorer = None if route.scorer is None else Scorer.from_record(route.scorer)
        by_task.setdefault(route.task_id, []).append(Entry(route, specialist, scorer))
    return Table(Assigner(tasks), by_task)


class TableFile:
    """The table in a file, read again when the file was replaced. Safe for many threads; never raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table = Table()
        self._seen: tuple[int, ...] | None = None
        self._checked_s = -CHECK_S
        self._lock = threading.Lock()

    def current(self) -> Table:
        """The table as of CHECK_S ago at most; an empty one where the file is missing or damaged."""
        # One thread looks, the others go by what is known: nobody waits, nor does a child that was forked meanwhile.
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
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError:
            self._table, self._seen = Table(), None
            return
        if seen == self._seen:
            return
        try:
            self._table = from_bytes(self._path.read_bytes())
        except Exception as error:  # noqa: BLE001 — the agent goes on with its teacher whatever is in the file
            self._table = Table()
            log.warning("%s cannot be read (%s); the teacher answers all calls.", self._path, type(error).__name__)
        self._seen = seen
