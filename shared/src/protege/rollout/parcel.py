"""The file in which a specialist travels: a zip archive that holds a manifest, a model card, and the files of weights.

    specialist.json     what it is, and the size and SHA-256 of each file
    README.md           a model card in the Hub's form
    files/…             the weights

An archive comes from somewhere else, so nothing in it is believed. It is read by its manifest alone, with bounds:
members are stored as they are (no compression, so no bomb), their names are plain and of known endings (no path that
leads out, nothing that Python would run when it is read), their sizes and digests are those of the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import orjson

from ..errors import BadInput, ResourceError

FORMAT = 1
MANIFEST, CARD, FILES = "specialist.json", "README.md", "files/"
MOST_FILES = 16
MOST_BYTES = 64 << 30
"""Of one file of weights. The largest models that are served here have a quarter of that."""
MOST_MANIFEST = 8 << 20
_WORD = "[A-Za-z0-9][A-Za-z0-9_-]{0,63}"
_PLAIN = re.compile(rf"(?:{_WORD}/)?{_WORD}\.(?:gguf|safetensors|json)")
_HEAD = "head.bin"
_CHUNK = 1 << 20
_AGAIN = "Have it exported again, and copy it whole."


def is_plain(path: str) -> bool:
    """Whether a file of this name may travel: no path out of the folder, and of a form that is only ever read."""
    return path == _HEAD or _PLAIN.fullmatch(path) is not None


def pack(target: Path, manifest: Mapping[str, Any], card: str, files: Mapping[str, Path]) -> None:
    """Write an archive, whole or not at all. files: by the names that `is_plain` allows.

    Raises BadInput where the target names no file, ResourceError where it cannot be written or a file not be read.
    """
    partial = target.parent / f".{target.name}.part"
    try:
        if target.is_dir():
            raise BadInput(f"{target} is a folder.", "Name a file: --to FILE.")
        listed = {name: {"bytes": path.stat().st_size, "sha256": _sha256(path)} for name, path in sorted(files.items())}
        document = {"format": FORMAT, **manifest, "files": listed}
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(_entry(MANIFEST), orjson.dumps(document, option=orjson.OPT_INDENT_2))
            archive.writestr(_entry(CARD), card)
            for name, path in sorted(files.items()):
                with path.open("rb") as read, archive.open(_entry(FILES + name), "w", force_zip64=True) as write:
                    while chunk := read.read(_CHUNK):
                        write.write(chunk)
        partial.replace(target)
    except OSError as error:
        raise ResourceError(f"{target} cannot be written: {error.strerror}.", "Name another place: --to.") from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


class Parcel:
    """An archive that was opened and whose manifest was checked against its members."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> None:
        self._archive = archive
        self.manifest = manifest

    @property
    def files(self) -> dict[str, int]:
        """The bytes of each file, by its name."""
        return {name: int(file["bytes"]) for name, file in self.manifest["files"].items()}

    def unpack(self, folder: Path) -> None:
        """Write the files into a folder that is there.

        Raises BadInput where one is not what the manifest says, ResourceError where it cannot be written.
        """
        for name, size in self.files.items():
            target = folder / name
            try:
                target.parent.mkdir(mode=0o700, exist_ok=True)
                whole = self._write(name, target, size)
            except _DAMAGED:
                whole = False
            except OSError as error:
                raise ResourceError(
                    f"{target} cannot be written: {error.strerror}.", "Free disk, or repair it."
                ) from None
            if not whole:
                raise BadInput(f"{name} in the archive is damaged.", _AGAIN)

    def _write(self, name: str, target: Path, left: int) -> bool:
        """Whether the file is as long as it should be, and of the digest that the manifest names."""
        digest = hashlib.sha256()
        with self._archive.open(FILES + name) as read, target.open("xb") as write:
            while chunk := read.read(min(_CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    break
                digest.update(chunk)
                write.write(chunk)
        return left == 0 and digest.hexdigest() == self.manifest["files"][name]["sha256"]


_DAMAGED = (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError, ValueError)
"""What zipfile raises of a damaged archive, and (the fourth) of an encrypted one."""


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Parcel]:
    """An archive, for reading. Raises BadInput if it is none, is damaged, or holds what no specialist has."""
    with contextlib.ExitStack() as stack:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
            parcel = Parcel(archive, _checked(path, archive))
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None
        except _DAMAGED:
            raise BadInput(f"{path} is no archive of a specialist, or is damaged.", _AGAIN) from None
        yield parcel


def _checked(path: Path, archive: zipfile.ZipFile) -> Mapping[str, Any]:
    members = archive.infolist()
    names = [member.filename for member in members]
    odd = len(names) != len(set(names)) or len(names) > MOST_FILES + 2 or MANIFEST not in names
    if odd or any(m.compress_type != zipfile.ZIP_STORED or m.file_size != m.compress_size for m in members):
        raise BadInput(f"{path} is no archive of a specialist.", "`protege export NAME` makes one.")
    manifest = _manifest(path, archive.open(MANIFEST), archive.getinfo(MANIFEST).file_size)
    listed: dict[str, Any] = manifest["files"]
    sizes = {member.filename: member.file_size for member in members}
    if set(names) - {MANIFEST, CARD} != {FILES + name for name in listed}:
        raise BadInput(f"{path} holds other files than its manifest names.", _AGAIN)
    for name, file in listed.items():
        if not is_plain(name):
            raise BadInput(f"{path} holds a file that no specialist has: {name[:80]!r}.", "Do not trust its source.")
        if sizes[FILES + name] != file["bytes"] or not 0 < file["bytes"] <= MOST_BYTES:
            raise BadInput(f"{name} in {path} is not as long as its manifest says.", _AGAIN)
    return manifest


def _manifest(path: Path, file: IO[bytes], size: int) -> Mapping[str, Any]:
    body = file.read(MOST_MANIFEST + 1) if size <= MOST_MANIFEST else b""
    try:
        manifest = orjson.loads(body)
        files = manifest["files"]
        known = all(isinstance(f["bytes"], int) and re.fullmatch("[0-9a-f]{64}", f["sha256"]) for f in files.values())
        version = manifest["format"]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise BadInput(f"{path} holds no manifest that can be read.", _AGAIN) from None
    if not isinstance(version, int) or version > FORMAT:
        raise BadInput(f"{path} was written by a newer Protégé.", "pip install --upgrade protege")
    if not known or not all(isinstance(name, str) for name in files):
        raise BadInput(f"{path} holds no manifest that can be read.", _AGAIN)
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    """With a date of its own, so that the same specialist gives the same bytes."""
    entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    entry.external_attr = 0o600 << 16
    return entry


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
