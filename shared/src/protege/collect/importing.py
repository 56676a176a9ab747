"""Files of calls come into the workspace: their form is recognised, secrets are masked, costs are filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from ..call import Call, content_hash
from ..common.confinement import Aside, Confinement
from ..common.progress import Bar, Progress, Silent
from ..errors import BadCall, BadInput
from ..masking.masking import mask
from . import json_files
from .formats import calls, openai, otlp
from .pricing import priced

if TYPE_CHECKING:
    from ..workspace import Workspace

Form: TypeAlias = Literal["calls", "openai", "otlp"]
"""The form of a file. calls: one call a line, as JSON. openai: a chat fine-tuning file. otlp: OpenTelemetry GenAI spans
in OTLP JSON."""

_READERS: Mapping[Form, Callable[[Any], Iterator[dict[str, Any] | BadCall]]] = {
    "calls": calls.records,
    "openai": openai.records,
    "otlp": otlp.records,
}
_BATCH = 2000
_BATCH_BYTES = 64 << 20
"""Calls are stored in batches of so many calls, or earlier if their file's bytes come to so much."""
MOST_SKIPPED = 1_000
"""The most lines that a result names; the others are counted."""
MOST_UNUSABLE = 100_000
"""After this many lines in a row without a call, the rest of a file is not read."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that could not be used."""

    file: Path
    line: int
    """Its number, from 1."""
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


def collect(
    workspace: Workspace,
    paths: Iterable[str | PathLike[str]],
    *,
    strict: bool = False,
    form: Form | None = None,
    progress: Progress | None = None,
) -> Collected:
    """Add the calls of these files to the workspace. Calls that it has already, by id, stay as they are.

    Lines that cannot be used are skipped and named in the result. form: that of all the files; by default each file's
    first lines tell. Raises BadInput, before anything is added, if a file is missing, a folder or empty. With `strict`
    it also raises BadInput if any line of any file cannot be used; the files are then read twice.
    """
    files = [Path(path) for path in paths]
    for path in files:
        json_files.check(path)
    forms: dict[Path, Form] = {path: form or form_of(path) for path in files}
    if strict:
        for path in files:
            for item in _read(path, forms[path]):
                if isinstance(item, Skipped):
                    raise BadInput(f"{path}, line {item.line}: {item.reason}.", "Mend the line, or leave out --strict.")
    read = added = unusable = claims = 0
    skipped: list[Skipped] = []
    total = sum(path.stat().st_size for path in files)
    with (progress or Silent()).step("collect", total) as bar:
        for path in files:
            asides: list[Aside] = []
            items = _read(path, forms[path], bar, asides)
            while batch := list(islice(items, _BATCH)):
                batch_calls = [item for item in batch if isinstance(item, Call)]
                lines = [item for item in batch if isinstance(item, Skipped)]
                unusable += len(lines)
                skipped += lines[: MOST_SKIPPED - len(skipped)]
                read += len(batch_calls)
                claims += sum(bool(call.claims) for call in batch_calls)
                with workspace.change():
                    added += workspace.add_calls(batch_calls)
                    workspace.quarantine.add(asides)
                asides.clear()
    return Collected(read, added, tuple(skipped), tuple(files), unusable, claims)


def read(path: Path, form: Form | None = None) -> Iterator[Call]:
    """The calls of a file, without storing them. Lines that cannot be used are left out. Raises BadInput."""
    json_files.check(path)
    return (item for item in _read(path, form or form_of(path)) if isinstance(item, Call))


def form_of(path: Path) -> Form:
    """The form of a file, by its first lines; "calls" if they do not tell."""
    heads: Sequence[Mapping[str, Any]] = [d for d in json_files.head(path) if isinstance(d, Mapping)]
    if any("resourceSpans" in head for head in heads):
        return "otlp"
    # A file of calls may begin with a failed one, which has no response. So all lines must look like fine-tuning.
    if heads and all("messages" in head and openai.FIELDS.issuperset(head) for head in heads):
        return "openai"
    return "calls"


def _read(
    path: Path, form: Form, bar: Bar | None = None, asides: list[Aside] | None = None
) -> Iterator[Call | Skipped]:
    """Each call, and each line that holds none. Ends after MOST_UNUSABLE of these in a row."""
    unusable = 0
    for item in _items(path, form, bar, [] if asides is None else asides):
        yield item
        unusable = unusable + 1 if isinstance(item, Skipped) else 0
        if isinstance(item, Skipped) and unusable == MOST_UNUSABLE:
            yield Skipped(path, item.line, f"{MOST_UNUSABLE:,} lines in a row hold no call; the rest is not read")
            return


def _items(path: Path, form: Form, bar: Bar | None, asides: list[Aside]) -> Iterator[Call | Skipped]:
    seen: Counter[str] = Counter()
    skipped: list[Skipped] = []
    line = 0

    def set_aside(aside: Aside) -> None:
        skipped.append(Skipped(path, line, aside.detail.rstrip(".") or f"it cannot be read ({aside.reason})"))
        if len(asides) < MOST_SKIPPED:
            asides.append(replace(aside, body=b"" if record is None else _masked(record)))

    record: dict[str, Any] | BadCall | None = None
    confinement = Confinement("import", set_aside)
    for line, document in json_files.documents(path, bar):
        if isinstance(document, json_files.Unreadable):
            yield Skipped(path, line, str(document))
            continue
        records: Iterator[dict[str, Any] | BadCall] = iter(())
        record = None
        with confinement.each(f"{path}:{line}"):
            records = _READERS[form](document)
        more = True
        while more:
            call, more, record = None, False, None
            with confinement.each(f"{path}:{line}"):
                record = next(records, None)
                more = record is not None
                if isinstance(record, BadCall):
                    raise record
                call = None if record is None else _call(record, seen)
            if call is not None:
                yield call
            yield from skipped
            skipped.clear()


def _masked(record: Any) -> bytes:
    """A record that could not be read, as a later version may read it; nothing of one that cannot be written."""
    try:
        rest = {name: value for name, value in record.items() if name not in ("attempts", "claims", "decision")}
        claims = [*(record.get("attempts") or ()), *(record.get("claims") or ())]
        return mask(orjson.dumps({**rest, "claims": claims} if claims else rest))
    except (AttributeError, TypeError, ValueError):
        return b""


def _call(record: Mapping[str, Any], seen: Counter[str]) -> Call:
    """The call of a record. What it says of specialists becomes a claim.

    seen: how often each content has come in this file so far, which alone tells a call without an id from its repeats.
    Its id must not depend on other lines: if they change, it must not become another call that calibration counts
    again.
    """
    payload = orjson.dumps(record)
    masked = mask(payload)
    if masked is not payload:
        record = orjson.loads(masked)
    default_id = None
    if record.get("id") is None:
        content = content_hash(record)[:32]
        seen[content] += 1
        default_id = f"{content}-{seen[content]}"
    call = Call.from_record(record, default_id=default_id)
    return priced(replace(call, attempts=(), claims=(*call.attempts, *call.claims), decision=None))
