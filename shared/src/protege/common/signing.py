"""The key that says who answers: whoever decides holds it, and agents know its public half alone.

Ed25519 (RFC 8032), by the library `cryptography`, which is loaded at first use. Both halves are in the user's
configuration folder, never in a home, which can come along with a checkout. Light to import.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import secrets
import sys
from importlib import import_module
from pathlib import Path

from ..errors import WorkspaceError
from .configuration import configuration, private_bytes, private_folder
from .files import distrusted, made_once, write_private
from .forks import importing

KEY_FILE_VAR = "PROTEGE_SIGNING_KEY_FILE"
"""Where the private key is, if not in the configuration folder."""
PUBLIC_KEY_VAR = "PROTEGE_ROUTES_KEY"
"""The public key that agents believe, in base64, in place of the one in the configuration folder."""
PRIVATE, PUBLIC = "signing-key", "signing-key.pub"
"""The files of the two halves: 32 bytes each, in base64."""
KEY_BYTES, SIGNATURE_BYTES = 32, 64
_LIBRARY = "cryptography.hazmat.primitives.asymmetric.ed25519"


def sign(message: bytes) -> bytes:
    """The signature of a message by this user's key, which is made at first use.

    Raises WorkspaceError if the key cannot be made or read, if others may read or write it, or without `cryptography`.
    """
    _load()
    # Here, because agents load this module, and most of them have no routes.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.from_private_bytes(_private_key())
    _tell_agents(key.public_key().public_bytes_raw())
    return key.sign(message)


def is_signed(message: bytes, signature: bytes) -> bool:
    """Whether this is a signature of the message by the key that agents believe.

    Raises WorkspaceError if no key is known, or without `cryptography`.
    """
    _load()
    # Here, as in `sign`.
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(believed_key()).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def believed_key() -> bytes:
    """The public key that agents believe, 32 bytes. Raises WorkspaceError if none is known."""
    if is_named():
        try:
            return _decoded(os.environ[PUBLIC_KEY_VAR].encode())
        except ValueError:
            raise WorkspaceError(f"{PUBLIC_KEY_VAR} is no public key.", f"It is what {PUBLIC} holds.") from None
    try:
        return _decoded(private_bytes(PUBLIC) or b"")
    except ValueError:
        raise WorkspaceError(
            "This user has no key to check signatures with.",
            f"`protege trust HOME` makes one, or {PUBLIC_KEY_VAR} gives that of whoever decides.",
        ) from None


def is_named() -> bool:
    """Whether the environment names the key that agents believe."""
    return bool(os.environ.get(PUBLIC_KEY_VAR))


def _load() -> None:
    """Load the library, which takes 10 ms, and no fork happens in between. Raises WorkspaceError if it is missing."""
    if sys.modules.get(_LIBRARY) is None:
        try:
            with importing():
                import_module(_LIBRARY)
        except ImportError:
            raise WorkspaceError("The library cryptography is missing.", "pip install cryptography") from None


def _private_key() -> bytes:
    named = os.environ.get(KEY_FILE_VAR)
    path = Path(named or PRIVATE)
    try:
        path = Path(named) if named else private_folder() / PRIVATE
        known = private_bytes(PUBLIC) is not None  # it is written after the private half, so look at it first
        if known and not path.exists():
            raise FileNotFoundError(errno.ENOENT, f"it is gone, and agents believe {configuration() / PUBLIC}")
        if distrusted(path.parent):
            raise PermissionError(errno.EACCES, "others may write its folder")
        body = made_once(path, base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
        if distrusted(path) or path.stat().st_mode & 0o077:
            raise PermissionError(errno.EACCES, "others may read or write it")
        return _decoded(body)
    except OSError as error:
        trouble = error.strerror or type(error).__name__
    except ValueError:
        trouble = "it is damaged"
    raise WorkspaceError(f"The key that signs routes, {path}, cannot be used: {trouble}.", _remedy(named)) from None


def _remedy(named: str | None) -> str:
    if named:
        return f"{KEY_FILE_VAR} names it: a file of yours with mode 600, in a folder that only you can write."
    return (
        "Put it back with mode 600, or remove signing-key.pub beside it: then a new one is made, and `protege trust` "
        f"signs each home anew. If the folder cannot be written, set {KEY_FILE_VAR} or XDG_CONFIG_HOME."
    )


def _tell_agents(public: bytes) -> None:
    """Keep the public half where agents of this user find it. Raises WorkspaceError if it cannot be written."""
    body = base64.b64encode(public) + b"\n"
    if private_bytes(PUBLIC) == body or (is_named() and believed_key() == public):
        return
    try:
        write_private(private_folder() / PUBLIC, body)
    except OSError as error:
        raise WorkspaceError(
            f"The key by which agents know your routes cannot be written: {error.strerror}.",
            f"Make {configuration()} writable, or set {PUBLIC_KEY_VAR}={body.decode().strip()} here and for agents.",
        ) from None


def _decoded(text: bytes) -> bytes:
    """The key in a text. Raises ValueError if it is none."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError("another length")
    return key
