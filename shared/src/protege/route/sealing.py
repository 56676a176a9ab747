"""The signature of routes.json: by the key of whoever decides (`common.signing`), for one home alone.

It is the last field of the file, so that both are replaced in one write. What is signed are the bytes of the file
without it, after the home's id: what was signed for one home is nothing in another.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import orjson

from ..common.signing import PUBLIC_KEY_VAR, SIGNATURE_BYTES, is_named, is_signed, sign
from ..common.trust import ID_FILE, check_trusted, identity_of
from ..errors import WorkspaceError

CONTEXT = b"protege routes.json\0"
"""Begins what is signed, so that a signature under anything else is none of routes."""
_FIELD, _END = b',"signature":"', b'"}'
_TAIL = len(_FIELD) + len(base64.b64encode(bytes(SIGNATURE_BYTES))) + len(_END)


def seal(home: Path, document: bytes) -> bytes:
    """A JSON object, as `route.table.to_bytes` writes it, with its signature.

    Raises WorkspaceError if the home is not known as this user's, and as `sign`.
    """
    check_trusted(home)
    signature = base64.b64encode(sign(_message(home, document)))
    return document.removesuffix(b"}") + _FIELD + signature + _END


def unseal(home: Path, body: bytes) -> bytes:
    """What a file of this home says, without its signature.

    Only what lets nobody answer needs no signature. Raises WorkspaceError if anything else has none that is believed.
    """
    document, signature = parted(body)
    if signature is None and not _has_routes(document):
        return document
    file = home / "routes.json"
    if signature is None:
        raise WorkspaceError(f"{file} is not signed.", f"If it is yours: protege trust {home}")
    try:
        message = _message(home, document)
    except OSError:
        raise WorkspaceError(f"{home / ID_FILE} cannot be read, for which {file} is signed.", _remedy(home)) from None
    if not is_signed(message, signature):
        fact = f"{file} was changed, or is signed for another home or by another key than the one known here."
        raise WorkspaceError(fact, _remedy(home))
    return document


def parted(body: bytes) -> tuple[bytes, bytes | None]:
    """What a file says, and its signature; None if it has none."""
    tail = body[-_TAIL:]
    if not (tail.startswith(_FIELD) and tail.endswith(_END)):
        return body, None
    try:
        signature = base64.b64decode(tail[len(_FIELD) : -len(_END)], validate=True)
    except binascii.Error:
        return body, None
    return body[:-_TAIL] + b"}", signature


def _message(home: Path, document: bytes) -> bytes:
    return CONTEXT + identity_of(home).encode() + document


def _has_routes(document: bytes) -> bool:
    """Whether anybody may answer by it. Not by what cannot be read."""
    try:
        return bool(orjson.loads(document)["routes"])
    except (ValueError, KeyError, TypeError):
        return False


def _remedy(home: Path) -> str:
    if is_named():
        return f"{PUBLIC_KEY_VAR} must be the public key of whoever decides in {home}."
    return f"If it is yours: protege trust {home}"
