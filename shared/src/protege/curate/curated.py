"""Curated: the data set of one task, which only `curate` makes and only what it saved gives back."""

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
COLUMNS = ("id", "run", "request", "answer", "signature")
_MADE_HERE = object()


@dataclass(frozen=True)
class Curated:
    """Four parts of one task's calls, and where they come from.

    Each part has the columns id, run, request (a call's record as JSON, without its answer), answer (text) and
    signature (of the wording), all strings, in an order that is a shuffle. Calibration and test are a uniform sample of
    what the teacher was asked; repeats are kept there.

    provenance: `task`; `counts` of calls given, usable, in each part, and `oversized` (they train because they stand in
    groups too large to be held out); `groups` in each part; `dropped`, counts by reason, apart for "all" parts and for
    "train" alone; `rejected`, the reason by call id; `hashes` of each part; `inputs`, a hash; `settings`; `versions`.
    hash: of the parts' contents and the task's id; equal when the same calls are curated again in any order.
    """

    train: datasets.Dataset
    validation: datasets.Dataset
    calibration: datasets.Dataset
    test: datasets.Dataset
    provenance: Mapping[str, Any]
    hash: str
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
        """Write the data set whole or not at all, readable by its owner only; a folder that holds it already stays.

        Raises WorkspaceError where the folder cannot be written or holds something else.
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
        """The same data set, of whose held-out calls only these are left. It has a hash of its own."""
        rows = {
            name: [row for row in part.to_list() if name == "train" or row["id"] in ids]
            for name, part in self.parts.items()
        }
        counts = {**self.provenance["counts"], **{name: len(part) for name, part in rows.items()}}
        bodies = {name: _lines(part) for name, part in rows.items()}
        whole = _hash(self.provenance["task"], bodies)
        provenance = {**self.provenance, "counts": counts}
        return Curated(**_datasets(rows), provenance=provenance, hash=whole, token=_MADE_HERE)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Curated:
        """Read what `save` wrote.

        Raises BadInput where the folder is no data set, or its contents are not what was saved.
        """
        folder = Path(folder)
        try:
            head = orjson.loads((folder / "curated.json").read_bytes())
            bodies = {name: (folder / f"{name}.jsonl").read_bytes() for name in PARTS}
            provenance, kept = head["provenance"], (head["hash"], head["provenance_sha256"])
            rows = {name: [orjson.loads(line) for line in body.splitlines()] for name, body in bodies.items()}
            whole = kept == (_hash(provenance["task"], bodies), _sha256(_dump(provenance)))
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BadInput(f"{folder} is no complete data set ({type(error).__name__}).", _AGAIN) from None
        if not whole:
            raise BadInput(f"The data set {folder} was changed after it was made.", _AGAIN)
        return cls(**_datasets(rows), provenance=provenance, hash=head["hash"], token=_MADE_HERE)

    def _files(self) -> dict[str, bytes]:
        head = {"hash": self.hash, "provenance_sha256": _sha256(_dump(self.provenance)), "provenance": self.provenance}
        bodies = {f"{name}.jsonl": _lines(part.to_list()) for name, part in self.parts.items()}
        return {**bodies, "curated.json": orjson.dumps(head, option=orjson.OPT_INDENT_2)}


_AGAIN = "Remove the folder; the next `protege improve` makes it again from the recorded calls."


def made(task_id: str, parts: Mapping[str, Sequence[Row]], provenance: Mapping[str, Any]) -> Curated:
    """The data set of these rows. For `curate` alone: it has filtered, masked and split them."""
    rows = {name: [{column: getattr(row, column) for column in COLUMNS} for row in parts[name]] for name in PARTS}
    bodies = {name: _lines(part) for name, part in rows.items()}
    hashes = {name: {"ids_sha256": _ids_hash(rows[name]), "sha256": _sha256(bodies[name])} for name in PARTS}
    whole = {**provenance, "hashes": hashes}
    return Curated(**_datasets(rows), provenance=whole, hash=_hash(task_id, bodies), token=_MADE_HERE)


def _datasets(rows: Mapping[str, Sequence[Mapping[str, str]]]) -> dict[str, datasets.Dataset]:
    """In memory: `datasets` writes no cache and shows no bar for what it is given as columns."""
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
