"""The recorder, which runs inside the agent. For each call it writes one JSON text, searches it for secrets once, and
makes one `write`.

It imports neither SQLAlchemy nor pydantic, and never raises into the agent. The write is made by a thread of its own,
so that a disk that hangs holds the agent for a moment only.
"""

from __future__ import annotations

import atexit
import logging
import os
import time
import weakref
from collections.abc import Mapping
from typing import Any

import orjson
import uuid_utils

from ..common import patience
from ..common.checks import MOST_BYTES, without_odd_fields
from ..common.files import home_path
from ..common.plain_json import plain
from ..masking.masking import mask
from .journal import JournalWriter

log = logging.getLogger("protege")


class Recorder:
    """Records calls into the journal of `home`, from where `drain` brings them into the store.

    Safe for many threads and after a fork. `lost` counts the calls that could not be written; at the end of the process
    those too that are still held in memory, because the disk hangs.
    """

    def __init__(self, home: str | os.PathLike[str] | None = None) -> None:
        self.home = home_path(home)
        self.lost = 0
        self._journal = JournalWriter(self.home / "journal", self._lose)
        self._told_late = False
        self._told: set[str] = set()
        _recorders.add(self)

    def record(self, record: Mapping[str, Any]) -> None:
        """Record one call, in the form of `Call.to_record()`. A missing `id` or `time` (now) is filled in.

        The call is in the journal when this returns. Figures and names that cannot be are left out, and so is what is
        nested too deep, here or in the drain (`common.checks`). Never raises: a call that cannot be written (disk or
        journal full, home not writable, more than MOST_BYTES) is counted in `lost`, and each reason is logged once.
        Recording goes on as soon as it can. A disk that hangs holds the agent for 0.2 s once; further calls are held
        in memory, 8 MB at most, and written once it is back.
        """
        try:
            if "id" not in record or "time" not in record:
                record = {"id": str(uuid_utils.uuid7()), "time": time.time(), **record}
            self._journal.append(mask(_json(without_odd_fields(record))))
            if self._journal.late != self._told_late:
                self._tell_late()
        except Exception as error:  # noqa: BLE001 - nothing may reach the agent, whatever it gave us to record
            self._lose(error)

    def close(self) -> None:
        """Close the journal file. Recording again opens a new one."""
        self._journal.close()

    def _lose(self, error: Exception) -> None:
        self.lost += 1
        reason = str(error.strerror if isinstance(error, OSError) else type(error).__name__)
        if reason not in self._told:
            self._told.add(reason)
            log.warning("A call could not be recorded in %s: %s. The agent goes on.", self.home, reason)

    def _tell_late(self) -> None:
        self._told_late = not self._told_late
        if self._told_late:
            log.warning("%s: the disk hangs. Calls are held in memory until it is back. The agent goes on.", self.home)

    def at_exit(self) -> None:
        """Count what is still held in memory, after a last short wait for the disk."""
        until_s = time.monotonic() + patience.WAIT_S
        while self._journal.held and time.monotonic() < until_s:
            time.sleep(patience.WAIT_S / 20)
        if held := self._journal.held:
            self.lost += held
            log.warning("%s: the disk hangs to the end; %d calls that were held in memory are lost.", self.home, held)

    def __reduce__(self) -> tuple[type[Recorder], tuple[str]]:
        return Recorder, (str(self.home),)  # frameworks copy and pickle what is attached to their models


_recorders: weakref.WeakSet[Recorder] = weakref.WeakSet()


@atexit.register
def _at_exit() -> None:
    for recorder in list(_recorders):
        recorder.at_exit()


_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY


def _json(record: Mapping[str, Any]) -> bytes:
    try:
        written = orjson.dumps(record, _unserialisable, _OPTIONS)
    except TypeError:  # odd values; or more than 254 levels, which is orjson's bound. The drain has the lower one
        written = orjson.dumps(plain(record), _unserialisable, _OPTIONS)
    if len(written) > MOST_BYTES:
        raise ValueError("the call is too large")
    return written


def _unserialisable(value: Any) -> Any:
    """What is written for a value that JSON has no form for: a list for a set, else the name of its type."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return list(value)
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
