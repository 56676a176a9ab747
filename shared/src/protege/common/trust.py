"""Which homes are this user's own.

A home may have come along with a checkout or an archive. Agents are answered only from one that Protégé made for this
user, or that the user trusted once; only there are routes signed and engines started. Two things tell such a home:

A record in the user's configuration folder, a file for each home, with its real path and an id that is in the home too:
a copy lies elsewhere, and a home that is put in the place of another has another id. It tells a home that was found in
the working folder.

A proof in the home itself, an HMAC of that id under a secret in the configuration folder. Nobody else can make one, and
it goes along where the user moves or copies the home. It tells a home that the user names. Light to import.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import re
import secrets
from pathlib import Path

import orjson

from ..errors import WorkspaceError
from .configuration import configuration, is_private, private_bytes, private_folder
from .files import is_named, made_once, write_private

ID_FILE = "home-id"
PROOF_FILE = "home-proof"
SECRET_FILE = "homes-key"
FOLDER = "homes"
_ID = re.compile("[0-9a-f]{32}")


def make_home(home: Path) -> None:
    """Make the folder of a home, for its owner only, and remember it as this user's, as is one that is still empty.
    One that holds anything is left as it is. Raises OSError if it cannot be made."""
    try:
        home.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        if not _is_empty(home):
            return
    with contextlib.suppress(OSError):  # then it has to be trusted
        trust(home)


def _is_empty(home: Path) -> bool:
    try:
        return next(home.iterdir(), None) is None
    except OSError:  # no folder, or one that cannot be read
        return False


def trust(home: Path) -> None:
    """Remember a home as this user's. Raises OSError if it or the configuration folder cannot be written."""
    folder = private_folder(FOLDER)
    fresh = secrets.token_hex(16).encode()
    if not _ID.fullmatch(made_once(home / ID_FILE, fresh).decode(errors="replace")):
        write_private(home / ID_FILE, fresh)
    record = {"home": str(home.resolve()), "id": identity_of(home)}
    secret = made_once(private_folder() / SECRET_FILE, secrets.token_bytes(32))
    write_private(home / PROOF_FILE, _proof(secret, identity_of(home)))
    write_private(folder / _name(home), orjson.dumps(record))


def distrust(home: Path) -> bool:
    """Forget a home, which may be gone; whether it was known. Raises OSError if the record cannot be changed."""
    file = private_folder(FOLDER) / _name(home)
    known = file.exists() or _is_proven(home)
    (home / PROOF_FILE).unlink(missing_ok=True)
    file.unlink(missing_ok=True)
    return known


def is_trusted(home: Path) -> bool:
    """Whether a home was made for this user, or trusted. Never raises."""
    try:
        recorded = orjson.loads(private_bytes(FOLDER, _name(home)) or b"{}")
        return recorded == {"home": str(home.resolve()), "id": identity_of(home)} or (
            is_named(home) and _is_proven(home)
        )
    except (OSError, RuntimeError, orjson.JSONDecodeError):
        return False


def _is_proven(home: Path) -> bool:
    """Whether the home holds the proof that this user made or trusted it, here or where it was copied from."""
    try:
        secret = private_bytes(SECRET_FILE)
        return secret is not None and hmac.compare_digest(
            (home / PROOF_FILE).read_bytes(), _proof(secret, identity_of(home))
        )
    except OSError:
        return False


def _proof(secret: bytes, identity: str) -> bytes:
    return hmac.new(secret, b"protege home\0" + identity.encode(), hashlib.sha256).hexdigest().encode()


def check_trusted(home: Path) -> None:
    """Raise WorkspaceError if a home was neither made for this user nor trusted."""
    if not is_trusted(home):
        fact, remedy = untrusted(home)
        raise WorkspaceError(f"{fact}.", remedy)


def untrusted(home: Path) -> tuple[str, str]:
    """The fact and the remedy for a home that is not known as this user's."""
    fact = f"{home} may have come along with other files: nobody made or trusted it here"
    return fact, f"If it is yours: protege trust {home}"


def identity_of(home: Path) -> str:
    """The id in a home, 32 hexadecimal digits. Raises OSError if it has none."""
    identity = (home / ID_FILE).read_bytes().decode(errors="replace")
    if not _ID.fullmatch(identity):
        raise FileNotFoundError(f"{home / ID_FILE} holds no id")
    return identity


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
