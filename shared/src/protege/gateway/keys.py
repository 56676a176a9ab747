"""Keys of ours: who may use a gateway, and for which nodes. Only their digests are kept, a file for each key.

A key is 256 random bits, so a plain digest of it cannot be searched for. The folder is looked at again at most each
LOOK_S: a key that was revoked is refused within a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from ..common.files import made_once
from ..common.trust import make_home
from ..errors import BadInput, WorkspaceError

FOLDER = "gateway-keys"
"""Where a home holds them. Once it is there, a key is asked for."""
MARK = "protege-"
"""What each key begins with, so that it is known for one of ours, and found by scanners for secrets."""
LOOK_S = 0.25
_NAME = re.compile(r"[\w-][\w.-]{0,60}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key, without the key."""

    name: str
    """What its owner calls it."""
    digest: str
    """SHA-256 of the key."""
    nodes: tuple[str, ...]
    """The nodes that it may be used for, each by the beginning of its path ("researcher/model"); empty for all."""
    made: float
    """When it was made: seconds since 1970, UTC."""

    def allows(self, node: Sequence[str]) -> bool:
        """Whether it may be used for this node."""
        return not self.nodes or begins_so(node, self.nodes)


def begins_so(node: Sequence[str], beginnings: Sequence[str]) -> bool:
    """Whether the path of a node begins with one of these."""
    path = "/".join(node)
    return any(path == each or path.startswith(f"{each}/") for each in beginnings)


def keys_of(home: Path) -> tuple[Key, ...]:
    """The keys of a home, by name. Raises WorkspaceError if one cannot be read."""
    return tuple(_read(home / FOLDER / name) for name in sorted(_names(home) or ()))


def new_key(home: Path, name: str, nodes: Sequence[str] = ()) -> str:
    """Make a key and return it; it cannot be told again. Raises BadInput if the name is taken or is not one."""
    if not _NAME.fullmatch(name):
        raise BadInput("A key's name is made of letters, digits, dots, dashes and underscores.", "Take another name.")
    key = f"{MARK}{secrets.token_urlsafe(32)}"
    make_home(home)
    (home / FOLDER).mkdir(mode=0o700, exist_ok=True)
    paths = [path for node in nodes if (path := node.strip("/"))]
    record = orjson.dumps({"digest": _digest(key), "nodes": paths, "made": time.time()})
    if made_once(home / FOLDER / name, record) != record:
        raise BadInput(f"There is a key named {name!r}.", "Revoke it, or take another name.")
    return key


def revoke(home: Path, name: str) -> None:
    """Take a key back: it is refused within a second. Raises BadInput if there is none of this name."""
    if name not in (_names(home) or ()):
        raise BadInput(f"There is no key named {name!r}.", "`protege keys` lists them.")
    (home / FOLDER / name).unlink(missing_ok=True)


def _names(home: Path) -> list[str] | None:
    """The names of the keys; None if no key was ever made."""
    try:
        return [each.name for each in (home / FOLDER).iterdir() if not each.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return None


def _read(path: Path) -> Key:
    try:
        record = orjson.loads(path.read_bytes())
        return Key(path.name, str(record["digest"]), tuple(map(str, record["nodes"])), float(record["made"]))
    except (OSError, ValueError, TypeError, KeyError):
        fact = f"The key {path.name!r} of the gateway cannot be read."
        raise WorkspaceError(fact, f"Delete {path} and make a new key.") from None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


class Keys:
    """The keys of a home as they are now. For one thread."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._known: dict[tuple[str, int], Key] = {}
        """By name and by when the file was written: a name may be given anew."""
        self._needed = False
        self._looked_s = float("-inf")

    @property
    def needed(self) -> bool:
        """Whether a key must be shown: the home has, or had, keys."""
        self._look()
        return self._needed

    def of(self, key: str) -> Key | None:
        """What is known of a key; None if it is none of this home's. Raises WorkspaceError."""
        self._look()
        digest = _digest(key)
        return next((each for each in self._known.values() if each.digest == digest), None)

    def _looked_at(self, names: list[str]) -> Iterator[tuple[tuple[str, int], Key]]:
        for name in names:
            path = self._home / FOLDER / name
            with contextlib.suppress(FileNotFoundError):  # revoked just now
                at = (name, path.stat().st_mtime_ns)
                yield at, self._known.get(at) or _read(path)

    def _look(self) -> None:
        if time.monotonic() - self._looked_s < LOOK_S:
            return
        try:
            names = _names(self._home)
        except OSError:  # a disk in trouble: what was known holds
            return
        self._needed = names is not None
        self._known = dict(self._looked_at(names or []))
        self._looked_s = time.monotonic()
