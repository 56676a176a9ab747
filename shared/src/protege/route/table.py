"""routes.json in the home folder: what a running agent needs to route."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import orjson

from ..asking.confidence import Scorer
from ..cluster.assign import Assigner
from ..common import patience
from ..common.forks import tell_of_forks
from ..common.patience import Patience
from ..common.switch import ALL, mark_of, of_specialist, of_task, switched
from ..errors import ProtegeError
from ..specialist import Route, Specialist
from ..task import Task
from .belief import doubt_of_place
from .sealing import unseal

FORMAT = 2
"""2: the file is signed (`sealing`)."""
READ = (1, FORMAT)
"""What is written in them is the same."""
CHECK_S = 0.25
"""The file is checked this often at most, so a route that is taken away is off within a second."""

YOUNG_S = 2.5
"""For this long after a file was first seen, its content is compared too. No file system's clock ticks more slowly than
every 2 s."""

log = logging.getLogger("protege.route")

_Version: TypeAlias = tuple[int, int, int, int]
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

    def without(self, taken: Collection[str]) -> Table:
        """The table without what the switch has taken away: marks of tasks, of specialists, or of all."""
        if not taken:
            return self
        if mark_of(ALL) in taken:
            return Table()
        given = {
            task_id: [entry for entry in entries if mark_of(of_specialist(entry.specialist.id)) not in taken]
            for task_id, entries in self.routes.items()
            if mark_of(of_task(task_id)) not in taken
        }
        return Table(self.assigner, given)


TASK_FIELDS = ("id", "name", "kind", "labels", "wrapper", "templates", "centre", "split_from", "phrase", "state")
SPECIALIST_FIELDS = (
    *("id", "name", "task_id", "version", "base", "form", "state", "max_tokens", "serve_as", "engine", "placed"),
    *("copied", "second_opinion"),
)
ROUTE_FIELDS = (
    *(
        "task_id",
        "specialist_id",
        "threshold",
        "fingerprint",
        "epsilon",
        "delta",
        "calibration_calls",
        "kept",
        "errors",
    ),
    *("signatures", "share", "timeout_s", "audit", "scorer", "grader", "after", "below", "rests_on", "takes_s"),
)
"""What agents read. Nothing else is written into routes.json, so that no call, example or report gets there."""


def to_bytes(tasks: list[Task], routes: list[Pair]) -> bytes:
    """The content of routes.json, which `sealing.seal` signs."""
    document = {
        "format": FORMAT,
        "tasks": [_fields(task, TASK_FIELDS) for task in tasks],
        "routes": [
            {"route": _fields(route, ROUTE_FIELDS), "specialist": _specialist_record(specialist)}
            for route, specialist in routes
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)


def _fields(noun: Task | Route | Specialist, names: Sequence[str]) -> dict[str, Any]:
    record = noun.to_record()
    return {name: record[name] for name in names}


def _specialist_record(specialist: Specialist) -> dict[str, Any]:
    """Without the paths of files, which may name a user, and without what other engines know of it."""
    record = _fields(specialist, SPECIALIST_FIELDS)
    placed = {name: where for name, where in specialist.placed.items() if name == specialist.engine}
    return {**record, "base": {**record["base"], "path": ""}, "placed": placed}


def from_bytes(body: bytes) -> Table:
    """Read the content of routes.json, whoever wrote it: `sealing.unseal` tells whether that is believed.

    Raises ValueError, KeyError, TypeError or AttributeError if the document is damaged or has another format.
    """
    document: dict[str, Any] = orjson.loads(body)
    if document["format"] not in READ:
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
    """The table in a file, which is read again once the file is replaced, without what the switch in its folder takes
    away (`common.switch`). Safe for many threads and after a fork.

    Never raises. A disk that hangs holds a caller `patience.WAIT_S` once and then nobody. As long as it hangs, nobody
    can tell whether a route still holds, so there are none.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._whole = self._table = Table()
        self._taken: frozenset[str] = frozenset()
        self._seen: _Version | None = None
        self._seen_s = -math.inf
        self._document = b""
        self._checked_s = -math.inf
        self._read: tuple[_Version | None, bytes] | None = None
        self._switched: frozenset[str] | None = None
        self._doubted = self._warned = False
        self._patience = Patience()
        self._reading = self._hangs = False
        self._lock = threading.Lock()
        tell_of_forks(self)

    def current(self) -> Table:
        """The table, at most CHECK_S old; an empty one if the file is missing or damaged, or its disk hangs."""
        # One thread checks and the others use the table they have; only at the first check do they wait for it.
        wait_s = patience.WAIT_S if self._checked_s == -math.inf else 0
        if time.monotonic() - self._checked_s >= CHECK_S and self._lock.acquire(timeout=wait_s):
            try:
                self._check()
                self._checked_s = time.monotonic()
            finally:
                self._lock.release()
        return _NONE if self._hangs else self._table

    def forked(self) -> None:
        """Called in a forked child, where a thread of the parent may have held the lock: check anew."""
        self._lock = threading.Lock()
        self._patience.forked()
        self._checked_s = -math.inf
        self._read = self._switched = None
        self._reading = False

    def _check(self) -> None:
        if not self._reading:
            self._reading = True
            self._hangs = self._patience.late
            done = self._patience.do(self._fetch)
            self._hangs = not done and self._reading
        if (read := self._read) is not None:
            self._read = None
            self._take(*read)
        if (taken := self._switched) is not None and taken != self._taken:
            self._taken = taken
            self._table = self._whole.without(taken)

    def _fetch(self) -> None:
        """Read the file if it is another than the one that was read last. All that touches the disk is here."""
        try:
            self._switched = frozenset(switched(self._path.parent))
            stat = self._path.stat()
            version = (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino)
            # Two replacements within one tick of the file system's clock may look alike, so a young one is read again.
            if (found := doubt_of_place(self._path.parent)) is not None:
                self._read = None, b""
                self._warn_of(*found)
            elif version != self._seen or self._doubted or time.monotonic() - self._seen_s < YOUNG_S:
                self._read = version, unseal(self._path.parent, self._path.read_bytes())
                self._doubted = False
        except ProtegeError as error:
            self._doubted, self._read = True, (None, b"")
            self._warn_of(error.fact.rstrip("."), error.remedy)
        except OSError:
            self._read = None, b""
        finally:
            self._reading = self._hangs = False

    def _warn_of(self, fact: str, remedy: str) -> None:
        if not self._warned:
            self._warned = True
            log.warning("%s. Calls are recorded, and the teacher answers them. %s (Told once.)", fact, remedy)

    def _take(self, version: _Version | None, document: bytes) -> None:
        if version == self._seen and document == self._document:
            return
        if version != self._seen:
            self._seen_s = time.monotonic()
        same = document == self._document and version is not None and self._seen is not None
        self._seen, self._document = version, document
        if not same:
            self._whole = self._parsed(document) if version is not None else Table()
            self._table = self._whole.without(self._taken)

    def _parsed(self, document: bytes) -> Table:
        try:
            return from_bytes(document)
        except Exception as error:  # noqa: BLE001 - the agent goes on with its teacher, whatever is in the file
            log.warning("%s cannot be read (%s); the teacher answers all calls.", self._path, type(error).__name__)
            return Table()


_NONE = Table()
