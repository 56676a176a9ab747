"""Files of calls into the workspace: their form is recognised, secrets are masked, costs filled in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import orjson

from ..call import Call, content_hash
from ..common.prices import priced
from ..common.progress import Bar, Progress, Silent
from ..errors import BadCall, BadInput
from ..masking.masking import mask
from . import lines as files
from .formats import calls as jsonl
from .formats import openai as openai_finetune
from .formats import otlp

if TYPE_CHECKING:
    from ..workspace import Workspace

Form: TypeAlias = Literal["calls", "openai", "otlp"]
"""calls: JSON lines of calls. openai: a chat fine-tuning file. otlp: OpenTelemetry GenAI spans in OTLP JSON."""

_READERS: Mapping[Form, Callable[[Any], Iterator[dict[str, Any] | BadCall]]] = {
    "calls": jsonl.records,
    "openai": openai_finetune.records,
    "otlp": otlp.records,
}
_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Skipped:
    """A line that could not be used. reason: why, without the line's content."""

    file: Path
    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Collected:
    """read: calls found. added: those of them that the workspace did not have."""

    read: int
    added: int
    skipped: tuple[Skipped, ...]
    files: tuple[Path, ...]


def collect(
    workspace: Workspace,
    paths: Iterable[str | PathLike[str]],
    *,
    strict: bool = False,
    form: Form | None = None,
    progress: Progress | None = None,
) -> Collected:
    """Add the calls of these files to the workspace; those it has already, by id, are left as they are.

    Lines that cannot be used are skipped and named in the result. `form` says what all the files are; else it is seen
    from each file's first lines. Raises BadInput before anything is added: where a file is missing, a folder or empty,
    and, under `strict`, where any line of any file cannot be used (the files are read twice then).
    """
    found = [Path(path) for path in paths]
    for path in found:
        files.check(path)
    forms: dict[Path, Form] = {path: form or form_of(path) for path in found}
    if strict:
        for path in found:
            for item in _read(path, forms[path]):
                if isinstance(item, Skipped):
                    raise BadInput(f"{path}, line {item.line}: {item.reason}.", "Mend the line, or leave out --strict.")
    read = added = 0
    skipped: list[Skipped] = []
    total = sum(path.stat().st_size for path in found)
    with (progress or Silent()).step("collect", total) as bar:
        for path in found:
            items = _read(path, forms[path], bar)
            while batch := list(islice(items, _BATCH)):
                calls = [item for item in batch if isinstance(item, Call)]
                skipped += (item for item in batch if isinstance(item, Skipped))
                read += len(calls)
                added += workspace.add_calls(calls)
    return Collected(read, added, tuple(skipped), tuple(found))


def read(path: Path, form: Form | None = None) -> Iterator[Call]:
    """The calls of a file, without storing them; lines that cannot be used are left out. Raises BadInput."""
    files.check(path)
    return (item for item in _read(path, form or form_of(path)) if isinstance(item, Call))


def form_of(path: Path) -> Form:
    """What kind of file this is, seen from its first lines; "calls" where they do not tell."""
    heads: Sequence[Mapping[str, Any]] = [d for d in files.head(path) if isinstance(d, Mapping)]
    if any("resourceSpans" in head for head in heads):
        return "otlp"
    # A file of calls may begin with one that failed and has no response: all must look like fine-tuning lines.
    if heads and all("messages" in head and openai_finetune.FIELDS.issuperset(head) for head in heads):
        return "openai"
    return "calls"


def _read(path: Path, form: Form, bar: Bar | None = None) -> Iterator[Call | Skipped]:
    seen: Counter[str] = Counter()
    for line, document in files.documents(path, bar):
        if isinstance(document, files.Unreadable):
            yield Skipped(path, line, str(document))
            continue
        try:
            for record in _READERS[form](document):
                if isinstance(record, BadCall):
                    yield Skipped(path, line, record.fact.rstrip("."))
                else:
                    yield _call(record, seen)
        except BadCall as error:
            yield Skipped(path, line, error.fact.rstrip("."))


def _call(record: Mapping[str, Any], seen: Counter[str]) -> Call:
    """seen: how often each content has come in this file. A call without an id is told from its repeats by that alone:
    lines that came before or are gone must not make it another call, that calibration would count again."""
    payload = orjson.dumps(record)
    masked = mask(payload)
    if masked is not payload:
        record = orjson.loads(masked)
    default_id = None
    if record.get("id") is None:
        content = content_hash(record)[:32]
        seen[content] += 1
        default_id = f"{content}-{seen[content]}"
    return priced(Call.from_record(record, default_id=default_id))
