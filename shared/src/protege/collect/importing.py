"""Files of calls come into the workspace: their form is recognised, secrets are masked, costs are filled in."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from ..call import Call, content_hash
from ..common.checks import without_odd_fields
from ..common.confinement import Aside, Confinement
from ..common.plain_json import plain
from ..common.progress import Bar, Progress, Silent
from ..common.reasons import reason_of
from ..errors import BadInput
from ..masking.masking import mask
from . import json_files
from .correcting import Corrections, with_correction
from .formats.base import Correction, Format, Found, Half, Passed, Span
from .formats.figures import as_numbers, time_or_none
from .formats.registry import FORMATS, format_of, formats, parts_of
from .once import MOST_HELD_BYTES, Once
from .opening import files_in
from .pairing import Pairing
from .pricing import priced

if TYPE_CHECKING:
    from ..workspace import Workspace

_BATCH = 2000
_BATCH_BYTES = 64 << 20
"""A batch ends after so many calls, or with the line that comes to so many bytes."""
_KIND = re.compile("[a-z_ ]{1,40}")
_MOST_KINDS = 50
MOST_SKIPPED = 1_000
"""The most lines that a result names; the others are counted."""
_NO_CALL = "a correction of a call that is neither in these files nor in this home"
MOST_UNUSABLE = 100_000
"""After this many lines in a row without a call, the rest of a file is not read."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that could not be used."""

    file: Path
    line: int
    """Its number, from 1; in a file that is one JSON list, the item's."""
    reason: str
    """Why it could not be used, without its content."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What came of an import."""

    read: int
    """How many calls the files hold."""
    added: int
    """How many of them the workspace did not have."""
    skipped: tuple[Skipped, ...]
    """The lines that could not be used, the first MOST_SKIPPED of them."""
    files: tuple[Path, ...]
    """The files that were read."""
    unusable: int = 0
    """How many lines could not be used."""
    claims: int = 0
    """How many calls say what specialists did with them. That was not measured here, so it counts as a claim only
    (`Call.claims`)."""
    corrections: int = 0
    """How many right answers to calls that are stored the files told beside these calls."""
    passed: Mapping[str, int] = field(default_factory=dict[str, int])
    """What else the files hold, by its kind, and how often: steps of a trace that are no calls, for example."""


def collect(
    workspace: Workspace,
    paths: Iterable[str | PathLike[str]],
    *,
    strict: bool = False,
    form: str | None = None,
    progress: Progress | None = None,
) -> Collected:
    """Add the calls of these files to the workspace. Calls that it has already, by id, stay as they are.

    paths: files, and folders whose files are all read. Lines that cannot be used are skipped and named in the result.
    form: that of all the files, a name of `formats.registry`; by default each document tells its own. Raises BadInput,
    before anything is added, if a file is missing or empty, or there is no such form. With `strict` it also raises
    BadInput if any line of any file cannot be used; the files are then read twice.
    """
    files = [file for path in paths for file in files_in(Path(path))]
    named = None if form is None else FORMATS.get(form)
    for path in files:
        json_files.check(path)
    if strict:
        for item in _Reading(named).of(files):
            if isinstance(item, Skipped):
                raise BadInput(
                    f"{item.file}, line {item.line}: {item.reason}.", "Mend the line, or leave out --strict."
                )
    read = added = unusable = claims = 0
    skipped: list[Skipped] = []
    total = sum(path.stat().st_size for path in files)
    with (progress or Silent()).step("collect", total) as bar:
        reading = _Reading(named, bar)
        items = reading.of(files)
        while batch := reading.batch(items):
            batch_calls = [item for item in batch if isinstance(item, Call)]
            lines = [item for item in batch if isinstance(item, Skipped)]
            unusable += len(lines)
            skipped += lines[: MOST_SKIPPED - len(skipped)]
            read += len(batch_calls)
            claims += sum(bool(call.claims) for call in batch_calls)
            with workspace.change():
                added += workspace.add_calls(batch_calls)
                workspace.quarantine.add(reading.asides)
            reading.asides.clear()
        corrected, left = reading.corrections.save(workspace)
        skipped += [Skipped(Path(file), line, _NO_CALL) for file, line in left[: MOST_SKIPPED - len(skipped)]]
    passed = dict(reading.passed.most_common())
    return Collected(read, added, tuple(skipped), tuple(files), unusable + len(left), claims, corrected, passed)


def read(path: Path, form: str | None = None) -> Iterator[Call]:
    """The calls of a file, without storing them. Lines that cannot be used are left out. Raises BadInput."""
    json_files.check(path)
    items = _Reading(None if form is None else FORMATS.get(form)).of([path])
    return (item for item in items if isinstance(item, Call))


class _Reading:
    """One pass over files."""

    def __init__(self, form: Format | None, bar: Bar | None = None) -> None:
        self.asides: list[Aside] = []
        """The records that could not be read, the first MOST_SKIPPED of them."""
        self.passed: Counter[str] = Counter()
        self.corrections = Corrections()
        self._form = form
        self._formats = formats() if form is None else ()
        self._bar = bar
        self._pairing = Pairing()
        self._seen: Counter[str] = Counter()
        self._bytes = 0
        self._kinds: set[str] = set()
        self._kept = 0
        """How many calls, halves of calls and corrections were held back so far."""

    def batch(self, items: Iterator[Call | Skipped]) -> list[Call | Skipped]:
        """The next of `of`'s items, as many as are stored at once."""
        batch: list[Call | Skipped] = []
        until = self._bytes + _BATCH_BYTES
        for item in items:
            batch.append(item)
            if len(batch) == _BATCH or self._bytes >= until:
                break
        return batch

    def of(self, files: Iterable[Path]) -> Iterator[Call | Skipped]:
        """Each call, and each line that holds none."""
        for path in files:
            self._seen.clear()
            yield from self._bounded(path)
        for file, line, reason in self._pairing.left():
            yield Skipped(Path(file), line, reason)

    def _bounded(self, path: Path) -> Iterator[Call | Skipped]:
        """The items of a file. Ends after MOST_UNUSABLE lines in a row without a call."""
        once = Once()
        unusable, kept = 0, self._kept
        for item in self._items(path, once):
            yield item
            if not isinstance(item, Skipped) or self._kept > kept:
                unusable, kept = 0, self._kept
            unusable += isinstance(item, Skipped)
            if isinstance(item, Skipped) and unusable == MOST_UNUSABLE:
                yield from once.released()
                yield Skipped(path, item.line, f"{MOST_UNUSABLE:,} lines in a row hold no call; the rest is not read")
                break
        yield from once.released()
        if once.repeated:
            self.passed["step around a call that tells it once more"] += once.repeated

    def _items(self, path: Path, once: Once) -> Iterator[Call | Skipped]:
        skipped: list[Skipped] = []
        record: Any = None
        place = path
        line = held = 0

        def set_aside(aside: Aside) -> None:
            skipped.append(Skipped(place, line, aside.detail.rstrip(".") or f"it cannot be read ({aside.reason})"))
            if len(self.asides) < MOST_SKIPPED:
                self.asides.append(replace(aside, body=b"" if record is None else _masked(record)))

        confinement = Confinement("import", set_aside)
        for line, document, size, member in json_files.documents(path, self._bar):
            self._bytes += size
            place = Path(f"{path}/{member}") if member else path  # it may begin with a slash
            if isinstance(document, json_files.Unreadable):
                yield Skipped(place, line, str(document))
                continue
            for form, unit in self._units(document, f"{place}:{line}", confinement):
                with confinement.each(f"{place}:{line}"):
                    for found in form.read(unit):
                        record = found if isinstance(found, dict) else getattr(found, "record", None)
                        if (call := self._call(found, once, str(place), line, size)) is not None:
                            yield call
                record = None
                yield from skipped
                skipped.clear()
            yield from skipped
            skipped.clear()
            held += size
            if held > MOST_HELD_BYTES:
                yield from once.released()
                held = 0

    def _units(self, document: Any, key: str, confinement: Confinement) -> Iterator[tuple[Format, Any]]:
        """The units of a document, each with its form."""
        for part in parts_of(document):
            with confinement.each(key):
                form = self._form or format_of(part, self._formats)
                for unit in form.units(part):
                    yield form, unit

    def _call(self, found: Found, once: Once, file: str, line: int, size: int) -> Call | None:
        """The call of what was found, if it is whole and need not wait."""
        if isinstance(found, Passed):
            self.passed[self._known(found.kind) or "another line"] += 1
            return None
        if isinstance(found, Span):
            if found.record is None:
                self.passed[f"{self._known(found.kind.removesuffix(' step')) or 'another'} step"] += 1
                once.passed(found)
                return None
            call = _call(found.record, self._seen)
            if not found.id:  # no other step can say that it stands within this one
                return call
            once.hold(found, call)
            self._kept += 1
            return None
        if isinstance(found, Correction):
            self.corrections.add(found.call_id, found.answer, file, line, size)
            self._kept += 1
            return None
        if isinstance(found, Half):
            whole = self._pairing.add(found, file, line, size)
            self._kept += whole is None
            return None if whole is None else _call(whole, self._seen)
        return _call(found, self._seen)

    def _known(self, kind: str) -> str | None:
        """The kind, if it reads as the name of one: a file may say anything, and it is shown."""
        if _KIND.fullmatch(kind) and (kind in self._kinds or len(self._kinds) < _MOST_KINDS):
            self._kinds.add(kind)
            return kind
        return None


def _masked(record: Any) -> bytes:
    """A record that could not be read, as a later version may read it; nothing of one that cannot be written."""
    try:
        rest = {name: value for name, value in record.items() if name not in ("attempts", "claims", "decision")}
        claims = [*(record.get("attempts") or ()), *(record.get("claims") or ())]
        return mask(orjson.dumps({**rest, "claims": claims} if claims else rest))
    except (AttributeError, TypeError, ValueError):
        return b""


def _without_odd_figures(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record without what cannot be: a tracer that is wrong about a figure costs that figure, not the call."""
    if isinstance(record.get("finish_reason"), list):  # one for each choice
        record = {**record, "finish_reason": reason_of(record["finish_reason"])}
    time = record.get("time")
    if not (time is None or isinstance(time, float)):
        record = {**record, "time": time_or_none(time)}
    return without_odd_fields(as_numbers(record))


def _call(record: Mapping[str, Any], seen: Counter[str]) -> Call:
    """The call of a record. What it says of specialists becomes a claim.

    seen: how often each content has come in this file so far, which alone tells a call without an id from its repeats.
    Its id must not depend on other lines: if they change, it must not become another call that calibration counts
    again.
    """
    record = with_correction(_without_odd_figures(record))
    try:
        payload = orjson.dumps(record)
    except TypeError:  # what Python's reader takes and orjson does not: a lone surrogate, an integer over 64 bits
        record = plain(record)
        payload = orjson.dumps(record)
    masked = mask(payload)
    if masked is not payload:
        record = orjson.loads(masked)
    default_id = None
    if record.get("id") in (None, ""):
        content = content_hash(record)[:32]
        seen[content] += 1
        default_id = f"{content}-{seen[content]}"
    call = Call.from_record(record, default_id=default_id)
    if call.attempts or call.decision is not None:
        call = replace(call, attempts=(), claims=(*call.attempts, *call.claims), decision=None)
    return priced(call)
