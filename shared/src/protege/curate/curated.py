"""`Curated`, the data set of one task: made only by `curate`, or loaded from what it saved."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Any

import datasets
import orjson

from ..common.files import write_private
from ..errors import BadInput, WorkspaceError
from ..task import Example
from .rows import Row

PARTS = ("train", "validation", "calibration", "test")
COLUMNS = ("id", "run", "request", "answer", "signature", "group")
_MADE_HERE = object()


@dataclass(frozen=True)
class Curated:
    """Four parts of one task's calls, and their provenance.

    Each part has the columns id, run, request (a call's record as JSON, without its answer), answer (text), signature
    (of the template) and group (of calls that depend on each other), all strings, in shuffled order. Calibration and
    test are uniform samples of what the teacher was asked, repeats included.
    """

    train: datasets.Dataset
    validation: datasets.Dataset
    calibration: datasets.Dataset
    test: datasets.Dataset
    provenance: Mapping[str, Any]
    """`task`; `counts` of the calls given, usable, in each part, `oversized` (they train because their groups are too
    large to be held out) and `divided`; `groups` in each part; `dropped`, counts by reason, for "all" parts and for
    "train" alone; `rejected`, the reason by call id; `hashes` of each part; `inputs`, a hash; `settings`;
    `versions`."""
    hash: str
    """Over the parts' contents and the task's id; equal if the same calls are curated again in any order."""
    token: InitVar[object] = None

    def __post_init__(self, token: object) -> None:
        if token is not _MADE_HERE:
            raise TypeError("A data set is made by protege.curate.curate, or read by Curated.load.")

    def examples(self, part: str) -> list[Example]:
        """The calls of a part ("train", "validation", "calibration", "test"), in its order, read anew each time."""
        return [Example.from_row(row) for row in self.parts[part].to_list()]

    @property
    def parts(self) -> dict[str, datasets.Dataset]:
        """The four parts by name."""
        return {name: getattr(self, name) for name in PARTS}

    def save(self, folder: Path) -> Path:
        """Write the data set completely or not at all, readable only by its owner.

        A folder that already holds this data set stays as it is. Raises WorkspaceError if the folder cannot be written
        or holds another data set, and BadInput if it holds no complete one.
        """
        folder = Path(folder)
        if folder.exists():
            if Curated.load(folder).hash == self.hash:
                return folder
            raise WorkspaceError(f"{folder} holds another data set.", "Choose a folder that does not exist.")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
            try:
                for name, body in self._files().items():
                    write_private(temporary / name, body)
                temporary.rename(folder)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        except OSError as error:
            raise WorkspaceError(
                f"The data set {folder} cannot be written: {error.strerror}.", "Check the disk and its permissions."
            ) from error
        return folder

    def held_out(self, ids: Collection[str]) -> Curated:
        """The same data set with only these of its held-out calls. It has a hash of its own."""
        held_out = {name: part.to_list() for name, part in self.parts.items() if name != "train"}
        return self._with({name: [row for row in part if row["id"] in ids] for name, part in held_out.items()})

    def since(self, time: float) -> Curated:
        """The same data set without the training rows of calls from before this time. It has a hash of its own."""
        later = {example.id for example in self.examples("train") if (example.call.time or 0.0) >= time}
        return self._with({"train": [row for row in self.train.to_list() if row["id"] in later]})

    def _with(self, changed: Mapping[str, list[dict[str, str]]]) -> Curated:
        rows = {name: changed[name] if name in changed else part.to_list() for name, part in self.parts.items()}
        counts = {**self.provenance["counts"], **{name: len(part) for name, part in rows.items()}}
        bodies = {name: _lines(part) for name, part in rows.items()}
        whole = _hash(self.provenance["task"], bodies)
        provenance = {**self.provenance, "counts": counts}
        return Curated(**_datasets(rows), provenance=provenance, hash=whole, token=_MADE_HERE)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Curated:
        """Read what `save` wrote.

        Raises BadInput if the folder is not a complete data set, or if its contents were changed.
        """
        folder = Path(folder)
        try:
            head = orjson.loads((folder / "curated.json").read_bytes())
            bodies = {name: (folder / f"{name}.jsonl").read_bytes() for name in PARTS}
            provenance, saved = head["provenance"], (head["hash"], head["provenance_sha256"])
            rows = {name: [_row(orjson.loads(line)) for line in body.splitlines()] for name, body in bodies.items()}
            unchanged = saved == (_hash(provenance["task"], bodies), _sha256(_dump(provenance)))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BadInput(f"{folder} is no complete data set ({type(error).__name__}).", _AGAIN) from None
        if not unchanged:
            raise BadInput(f"The data set {folder} was changed after it was made.", _AGAIN)
        return cls(**_datasets(rows), provenance=provenance, hash=head["hash"], token=_MADE_HERE)

    def _files(self) -> dict[str, bytes]:
        head = {"hash": self.hash, "provenance_sha256": _sha256(_dump(self.provenance)), "provenance": self.provenance}
        bodies = {f"{name}.jsonl": _lines(part.to_list()) for name, part in self.parts.items()}
        return {**bodies, "curated.json": orjson.dumps(head, option=orjson.OPT_INDENT_2)}


_AGAIN = "Remove the folder; the next `protege improve` makes it again from the recorded calls."


def made(task_id: str, parts: Mapping[str, Sequence[Row]], provenance: Mapping[str, Any]) -> Curated:
    """The data set of these rows. Only for `curate`, which has filtered, masked and split them."""
    rows = {name: [{column: getattr(row, column) for column in COLUMNS} for row in parts[name]] for name in PARTS}
    bodies = {name: _lines(part) for name, part in rows.items()}
    hashes = {name: {"ids_sha256": _ids_hash(rows[name]), "sha256": _sha256(bodies[name])} for name in PARTS}
    whole = {**provenance, "hashes": hashes}
    return Curated(**_datasets(rows), provenance=whole, hash=_hash(task_id, bodies), token=_MADE_HERE)


def _row(record: dict[str, str]) -> dict[str, str]:
    """A row as it is now. Those of 0.1.0 do not name groups: there a run is one, or else the call."""
    return {**record, "group": record.get("group") or record["run"] or record["id"]}


def _datasets(rows: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, datasets.Dataset]:
    """The parts as data sets in memory: from columns, `datasets` makes them without a cache file or a progress bar."""
    features = datasets.Features({column: datasets.Value("string") for column in COLUMNS})
    return {
        name: datasets.Dataset.from_dict({c: [row[c] for row in part] for c in COLUMNS}, features=features)
        for name, part in rows.items()
    }


def _lines(rows: Sequence[Mapping[str, str]]) -> bytes:
    return b"".join(orjson.dumps({c: row[c] for c in COLUMNS}, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


def _ids_hash(rows: Sequence[Mapping[str, str]]) -> str:
    return _sha256("\n".join(sorted(row["id"] for row in rows)).encode())


def _hash(task_id: str, bodies: Mapping[str, bytes]) -> str:
    return _sha256(_dump([task_id, *(_sha256(bodies[name]) for name in PARTS)]))


def _dump(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
