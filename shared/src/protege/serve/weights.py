"""The files that are served: those that were tuned, and no others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..common.digest import sha256_of
from ..errors import BaseModelError
from ..specialist import Specialist

if TYPE_CHECKING:
    from ..workspace import Workspace


def weights(workspace: Workspace, specialist: Specialist, kind: str) -> Path:
    """A specialist's file of this kind ("gguf", "lora_gguf"), if it is the one that was tuned.

    Raises BaseModelError if there is none, it is damaged, or it is another.
    """
    if kind not in specialist.files:
        remedy = "Tune it from a GGUF base; what was tuned as DoRA is served merged."
        raise BaseModelError(f"{specialist.name} has no weights of the kind {kind}.", remedy)
    path = workspace.specialist_folder(specialist) / specialist.files[kind]
    return checked_file(path, specialist.digests.get(kind), f"{specialist.name}'s {path.name}")


def checked_file(path: Path, expected: str | None, what: str) -> Path:
    """The file, absolute, if it is GGUF and its SHA-256 the expected one: a threshold says nothing of another file.

    what: names it in messages. Raises BaseModelError.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise BaseModelError(f"{what} cannot be read: {error.strerror}, {path}.", "`protege improve` again.") from None
    if magic != b"GGUF":
        raise BaseModelError(f"{what} is not a GGUF file: {path}.", "`protege improve` again.")
    if expected is not None and sha256_of(path) != expected:
        raise BaseModelError(f"{what} is not the file that was tuned: {path}.", "`protege improve` again.")
    return path.absolute()
