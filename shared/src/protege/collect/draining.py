"""Journals come into the store. A call whose id is already stored is left unchanged."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from ..call import Call
from ..chat.tokens import counted
from ..common.checks import without_deep_parts, without_odd_fields
from ..common.confinement import Aside, Confinement
from ..common.leftovers import remove_leftovers
from .correcting import with_correction
from .journal import MAGIC, PLAIN, SUFFIX, Damage, Frame, Newer, frames, is_ours, without_writer
from .pricing import priced

if TYPE_CHECKING:
    from ..workspace import Workspace

log = logging.getLogger("protege")


BEYOND = "#beyond"
"""After a file's name among the offsets: the offset up to which frames after an unreadable one are already stored."""
MOST_DAMAGED_BYTES = 256 << 20
"""Damaged files come to no more than this. The oldest are deleted beyond it; what could be read is in the store."""


def drain(workspace: Workspace) -> int:
    """Bring what recorders wrote into the store. Returns the number of calls added.

    A file that no process writes to any more is deleted once it is drained; one with damaged frames is kept under the
    name `….damaged`. Frames of a newer version, or of a key that is not known here, stay where they are, in a file that
    keeps its name and its offset, so that the version that can read them finds them (`kept_for_later`). A record that
    is no call is set aside. Temporaries that killed processes left in the home are removed. May run at any time and in
    several processes at once, and may be killed at any point.
    """
    remove_leftovers(workspace.home)
    offsets = workspace.journals.offsets()
    paths = sorted((workspace.home / "journal").glob(f"*{SUFFIX}"))
    names = {path.name for path in paths}
    workspace.journals.forget({name for name in offsets if name.removesuffix(BEYOND) not in names})
    return _try_again(workspace) + sum(_drain_file(workspace, path, offsets) for path in paths)


def _try_again(workspace: Workspace) -> int:
    """Read what another version could not. What this one cannot read either is its own from then on."""
    calls: list[Call] = []
    asides: list[Aside] = []
    waiting = workspace.quarantine.of_other_versions(("drain", "import"))
    for aside in waiting:
        with Confinement(aside.place, asides.append).each(aside.key, aside.body):
            calls.append(read_call(aside.body))
    if not waiting:
        return 0
    with workspace.change():
        added = workspace.add_calls(calls)
        workspace.quarantine.release(waiting)
        workspace.quarantine.add(asides)
    return added


def kept_for_later(workspace: Workspace) -> list[Path]:
    """The journal files with frames that this version cannot read; it has read the others in them."""
    names = (name.removesuffix(BEYOND) for name in workspace.journals.offsets() if name.endswith(BEYOND))
    return [path for name in sorted(names) if (path := workspace.home / "journal" / name).exists()]


def _drain_file(workspace: Workspace, path: Path, offsets: Mapping[str, int]) -> int:
    try:
        if not is_ours(path):
            log.warning("%s is not this user's file: it is not read.", path)
            return 0
        # Lock before reading: if the writer is gone, all that it wrote is then there.
        with without_writer(path) as abandoned:
            data = path.read_bytes()
            first, beyond = offsets.get(path.name, 0), offsets.get(f"{path.name}{BEYOND}", 0)
            read = _read(path, data, first, max(first, beyond))
            with workspace.change():
                added = workspace.add_calls(read.calls)
                workspace.quarantine.add(read.asides)
            if read.unread is not None:
                workspace.journals.save_offset(path.name, read.unread)
                workspace.journals.save_offset(f"{path.name}{BEYOND}", read.end)
                if not beyond:
                    log.warning("%s holds calls that only a newer Protégé can read; they stay there for it.", path)
            elif abandoned:
                _put_away(path, data, read.end)
                workspace.journals.forget({path.name, f"{path.name}{BEYOND}"})
            elif read.end > first:
                workspace.journals.save_offset(path.name, read.end)
                workspace.journals.forget({f"{path.name}{BEYOND}"} & offsets.keys())
            return added
    except FileNotFoundError:
        return 0  # another drain was faster


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of a file."""

    calls: list[Call]
    end: int
    """The offset after the last whole frame."""
    unread: int | None
    """The offset of the first frame that this version cannot read; None if there is none."""
    asides: list[Aside]
    """The records that are no calls."""


def _read(path: Path, data: bytes, first: int, beyond: int) -> _Read:
    """The calls after `beyond`, and which frames after `first` are unread."""
    calls: list[Call] = []
    unread: int | None = None
    end = start = first
    asides: list[Aside] = []
    confinement = Confinement("drain", asides.append)
    for item in frames(data, first):
        start, end = end, item.end
        if isinstance(item, Newer) or (isinstance(item, Frame) and item.key_id != PLAIN):
            unread = start if unread is None else unread
        elif end <= beyond:
            continue
        elif isinstance(item, Damage):
            log.warning("%s: bytes %d to %d are damaged; the calls in them are lost.", path, item.start, item.end)
        else:
            with confinement.each(f"{path.name}@{start}", item.payload):
                calls.append(read_call(item.payload))
    if bad := confinement.asides.total():
        log.warning("%s: %d records are not calls (no messages, or malformed); they are set aside.", path, bad)
    return _Read(calls, end, unread, asides)


def read_call(payload: bytes) -> Call:
    """The call that a recorder wrote. Figures that cannot be, and what is nested too deep, are left out; tokens that
    the provider did not tell are estimated.

    Depth is looked at here and not in the recorder, where it would cost the agent 7 µs a call: JSON's writer there
    stops at 254 levels by itself. Raises BadCall, JSONDecodeError.
    """
    record = orjson.loads(payload)
    if isinstance(record, dict):
        record = without_deep_parts(with_correction(without_odd_fields(record)))
    return priced(counted(Call.from_record(record)))


def _put_away(path: Path, data: bytes, end: int) -> None:
    """Delete a drained file; keep one that holds something unreadable."""
    whole = all(isinstance(item, Frame) for item in frames(data))
    # A frame that is cut off at the end is a call that had not returned when its process was killed.
    if whole and (end == len(data) or data.startswith(MAGIC[: len(data) - end], end)):
        path.unlink(missing_ok=True)
    else:
        damaged = path.with_suffix(path.suffix + ".damaged")
        path.replace(damaged)
        log.warning(
            "%s is damaged; what could be read is in the store, and the file is kept as %s.", path, damaged.name
        )
        _delete_oldest(path.parent)


def _delete_oldest(folder: Path) -> None:
    """Keep damaged files within MOST_DAMAGED_BYTES. Their names begin with their time."""
    total = 0
    for path in sorted(folder.glob("*.damaged"), reverse=True):
        total += path.stat().st_size
        if total > MOST_DAMAGED_BYTES:
            path.unlink(missing_ok=True)
            log.warning("%s is deleted: damaged files come to more than %d MB.", path, MOST_DAMAGED_BYTES >> 20)
