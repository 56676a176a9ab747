"""Whose the Ollama on a port of this machine is. Any user may listen on a port while Ollama is down."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket

from ..common.peers import is_here, own_uids, owners
from ..errors import BadInput, EngineError
from .address import address

ACCOUNT = "ollama"
"""The account that Ollama's installer makes for its service. Only root can make accounts."""
USER_VAR = "PROTEGE_OLLAMA_USER"
"""Environment variable: the name of another account whose Ollama is used."""


def check_owner(connection: socket.socket, url: str) -> None:
    """Raise EngineError unless a connection leads to an Ollama that may be asked.

    On this machine that is one of this user, of root, of the account `ollama`, or of the one that PROTEGE_OLLAMA_USER
    names. If the system does not tell whose it is (no /proc, or root leads the port out of this container), it is one
    that OLLAMA_HOST names. On other machines it is whatever the user named.
    """
    if not is_here(connection):
        return
    found = owners(connection)
    if not found:
        if not _is_named(url):
            raise EngineError(f"This system does not tell who listens at {url}.", f"Vouch for it: OLLAMA_HOST={url}")
    elif strangers := found - _believed():
        raise EngineError(
            f"What listens at {url} belongs to {_name(min(strangers))}: it is not asked.",
            f"Your own Ollama, root's and that of the account {ACCOUNT} are; {USER_VAR} names another account.",
        )


def _believed() -> frozenset[int]:
    uids = set(own_uids())
    for name in (ACCOUNT, os.environ.get(USER_VAR, "")):
        with contextlib.suppress(KeyError, ValueError):
            uids.add(pwd.getpwnam(name).pw_uid)
    return frozenset(uids)


def _is_named(url: str) -> bool:
    try:
        return bool(os.environ.get("OLLAMA_HOST")) and url == address()
    except BadInput:
        return False


def _name(uid: int) -> str:
    try:
        return f"the user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"the user {uid}"
