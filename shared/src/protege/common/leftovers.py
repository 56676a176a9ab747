"""Temporaries of processes that were killed while they wrote: `.name.…` beside the file that they would have become."""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

OLD_S = 3600.0
"""A file is written within moments, a model within minutes, and its temporary changes all the while."""
_IN_HOME = re.compile(
    r"\.{1,2}(workspace\.json|routes\.json|engine\.json|home-id|switch|key|store\.db|store\.tables|repair)\.[\w.-]+"
)
_IN_FOLDERS = re.compile(r"\.{1,2}\w.*\.\w+")
_FOLDERS = ("datasets", "specialists/*", "reports")


def leftovers(home: Path) -> Iterator[Path]:
    """Temporaries in a home that nobody has written to for OLD_S. Files of other names are not Protégé's."""
    before_s = time.time() - OLD_S
    folders = [folder for pattern in _FOLDERS for folder in home.glob(pattern)]
    inside = (path for folder in folders for path in _named(folder, _IN_FOLDERS))
    for path in (*_named(home, _IN_HOME), *inside):
        with contextlib.suppress(OSError):  # it has become what it was to become
            if _changed_s(path) < before_s:
                yield path


def remove_leftovers(home: Path) -> int:
    """Remove them. Returns how many there were."""
    number = 0
    for path in leftovers(home):
        with contextlib.suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            number += 1
    return number


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    with contextlib.suppress(OSError):
        return [path for path in folder.iterdir() if pattern.fullmatch(path.name)]
    return []


def _changed_s(path: Path) -> float:
    """When it or a file in it was last written, in seconds since 1970."""
    inside = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
    return max(p.lstat().st_mtime for p in (path, *inside))
