"""The GGUF file of the same model as a folder, by which the folder's tuned model is written as GGUF."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..errors import BaseModelError, MissingDependency
from ..specialist import Base
from .models import gguf_writable
from .ways import family_of

log = logging.getLogger(__name__)


def paired(base: Base, others: Iterable[Base]) -> Base:
    """A folder with the first of these GGUF files that holds the same model; any other base as it is."""
    family = family_of(base) if base.format == "huggingface" else None
    if family is None or not gguf_writable(family.gguf):
        return base
    for other in others:
        if other.format == "gguf" and other.architecture == family.gguf and _holds_the_same(other, base):
            return replace(base, gguf=other.path, gguf_sha256=other.sha256)
    return base


def _holds_the_same(other: Base, base: Base) -> bool:
    try:
        found = _difference(other.path, other.sha256, base.path, base.sha256)
    except BaseModelError as error:
        log.info("%s and %s cannot be compared: %s", other.path, base.path, error)
        return False
    if found is not None:
        log.info("%s is not the model in %s: %s", other.path, base.path, found)
    return found is None


@functools.lru_cache(maxsize=64)
def _difference(path: str, _sha256: str, folder: str, _folder_sha256: str) -> str | None:
    """The digests: so that changed files are compared anew."""
    try:
        from ..gguf.same import difference  # numpy and gguf: an extra, which finding bases does not need otherwise
    except ImportError as error:
        raise MissingDependency(str(error.name), "tune") from None
    return difference(Path(path), Path(folder))
