"""Journals come into the store. A call that is there already, by its id, stays as it is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from ..call import Call
from ..errors import BadCall
from .journal import MAGIC, PLAIN, SUFFIX, Damage, Frame, frames, without_writer
from .pricing import priced

if TYPE_CHECKING:
    from ..workspace import Workspace

log = logging.getLogger("protege")


def drain(workspace: Workspace) -> int:
    """Bring what recorders wrote into the store. Returns the number of calls added.

    A file that no process writes to any more is deleted once it is drained; one with damaged frames is kept under the
    name `….damaged`. May run at any time and in several processes at once, and may be killed at any point.
    """
    offsets = workspace.journals.offsets()
    paths = sorted((workspace.home / "journal").glob(f"*{SUFFIX}"))
    workspace.journals.forget(offsets.keys() - {path.name for path in paths})
    return sum(_drain_file(workspace, path, offsets.get(path.name, 0)) for path in paths)


def _drain_file(workspace: Workspace, path: Path, offset: int) -> int:
    try:
        # Lock before reading: if the writer is gone, all that it wrote is then there.
        with without_writer(path) as abandoned:
            data = path.read_bytes()
            calls, end = _calls(path, data, offset)
            added = workspace.add_calls(calls)
            if abandoned:
                _put_away(path, data, end)
                workspace.journals.forget({path.name})
            elif end > offset:
                workspace.journals.save_offset(path.name, end)
            return added
    except FileNotFoundError:
        return 0  # another drain was faster


def _calls(path: Path, data: bytes, offset: int) -> tuple[list[Call], int]:
    """The calls after `offset`, and the offset after the last whole frame."""
    calls: list[Call] = []
    bad = 0
    for item in frames(data, offset):
        offset = item.end
        if isinstance(item, Damage):
            log.warning("%s: bytes %d to %d are damaged; the calls in them are lost.", path, item.start, item.end)
        elif item.key_id != PLAIN:
            log.warning("%s: a call is encrypted with key %d, which is not known here.", path, item.key_id)
        else:
            try:
                calls.append(priced(Call.from_record(orjson.loads(item.payload))))
            except (BadCall, orjson.JSONDecodeError):
                bad += 1
    if bad:
        log.warning("%s: %d records are no calls (no messages, or malformed); they are left out.", path, bad)
    return calls, offset


def _put_away(path: Path, data: bytes, end: int) -> None:
    """Delete a drained file; keep one that holds something unreadable."""
    whole = all(isinstance(item, Frame) and item.key_id == PLAIN for item in frames(data))
    # A frame that is cut off at the end is a call that had not returned when its process was killed.
    if whole and (end == len(data) or data.startswith(MAGIC[: len(data) - end], end)):
        path.unlink(missing_ok=True)
    else:
        damaged = path.with_suffix(path.suffix + ".damaged")
        path.replace(damaged)
        log.warning(
            "%s is damaged; what could be read is in the store, and the file is kept as %s.", path, damaged.name
        )
