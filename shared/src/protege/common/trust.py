"""Which homes are this user's own.

A home in the working folder, `.protege`, may have come along with a checkout or an archive. It is used only if Protégé
made it here, or the user trusted it once. The record of these is in the user's configuration folder, a file for each
home. It holds the home's real path and an id that is in the home too: a copy lies elsewhere, and a home that is put in
the place of another has another id. A home that the user names is trusted by being named. Light to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from pathlib import Path

import orjson

from .configuration import configuration, is_private, private_bytes, private_folder
from .files import DEFAULT_HOME, is_named, made_once, write_private

ID_FILE = "home-id"
FOLDER = "homes"


def make_home(home: Path) -> None:
    """Make the folder of a home, for its owner only, and remember that it was made here. One that is there is left as
    it is. Raises OSError if it cannot be made."""
    try:
        home.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return
    if home.name == DEFAULT_HOME:  # others are never found by chance
        with contextlib.suppress(OSError):  # then it has to be named or trusted
            trust(home)


def trust(home: Path) -> None:
    """Remember a home as this user's. Raises OSError if it or the configuration folder cannot be written."""
    folder = private_folder(FOLDER)
    identity = made_once(home / ID_FILE, secrets.token_hex(16).encode()).decode(errors="replace")
    record = {"home": str(home.resolve()), "id": identity}
    write_private(folder / _name(home), orjson.dumps(record))


def distrust(home: Path) -> bool:
    """Forget a home, which may be gone; whether it was known. Raises OSError if the record cannot be changed."""
    file = private_folder(FOLDER) / _name(home)
    known = file.exists()
    file.unlink(missing_ok=True)
    return known


def is_trusted(home: Path) -> bool:
    """Whether a home may be used: named by the user, made here, or trusted. Never raises."""
    if is_named(home):
        return True
    try:
        identity = (home / ID_FILE).read_bytes().decode(errors="replace")
        recorded = orjson.loads(private_bytes(FOLDER, _name(home)) or b"{}")
    except (OSError, RuntimeError, orjson.JSONDecodeError):
        return False
    return recorded == {"home": str(home.resolve()), "id": identity}


def trusted_homes() -> list[Path]:
    """The homes that are remembered, in the order of their paths, those that are gone among them."""
    try:
        folder = configuration() / FOLDER
        files = sorted(folder.glob("*.json")) if is_private(folder) else []
    except OSError:
        return []
    homes: list[Path] = []
    for file in files:
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError):
            homes.append(Path(orjson.loads(private_bytes(FOLDER, file.name) or b"")["home"]))
    return sorted(homes)


def _name(home: Path) -> str:
    return f"{hashlib.blake2b(str(home.resolve()).encode(errors='surrogateescape'), digest_size=12).hexdigest()}.json"
