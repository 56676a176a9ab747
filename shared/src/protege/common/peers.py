"""Whose the other end of a connection is, where both ends are on this machine.

What a server says of itself proves nothing: any user may listen on a port that is free. The system knows whose a socket
is: of a Unix socket it tells the connected end, and Linux lists who listens on a port. Light to import.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""Linux's sockets, one a line: `sl local remote state … uid`. Addresses are hexadecimal words in the host's order."""
_LISTENING = "0A"
_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES = 0, 1, 76
"""What macOS calls SO_PEERCRED; Python does not name them."""


def own_uids() -> frozenset[int]:
    """Those of which nothing is to be feared: this user, and root."""
    return frozenset({os.geteuid(), 0})


def is_here(connection: socket.socket) -> bool:
    """Whether a TCP connection leads to this machine itself: to loopback, or to the address that it comes from."""
    peer = _address(connection.getpeername()[0])
    return peer.is_loopback or peer == _address(connection.getsockname()[0])


def owners(connection: socket.socket) -> frozenset[int]:
    """The uids of those who may be at the other end of a connection on this machine; none if the system does not tell.

    Of a port these are all who listen there on an address that leads to it, and who accepted the connection: whoever
    closed his ears meanwhile is found too.
    """
    if connection.family == socket.AF_UNIX:
        return _unix_owner(connection)
    peer, own = connection.getpeername(), connection.getsockname()
    theirs = _ends(_names(_address(peer[0])), peer[1])
    listening = theirs | _ends(("0" * 8, "0" * 32), peer[1])
    ours = _ends(_names(_address(own[0])), own[1])
    return frozenset(
        uid
        for local, remote, state, uid in _sockets(peer[1])
        if (local in listening and state == _LISTENING) or (local in theirs and remote in ours)
    )


def _unix_owner(connection: socket.socket) -> frozenset[int]:
    """Who made the socket that was connected to, as it was when it began to listen."""
    try:
        if hasattr(socket, "SO_PEERCRED"):
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return frozenset({struct.unpack("3i", credentials)[1]})
        credentials = connection.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES)
        return frozenset({struct.unpack_from("II", credentials)[1]})
    except (OSError, struct.error):
        return frozenset()


def _sockets(port: int) -> Iterator[tuple[str, str, str, int]]:
    """Local address, remote address, state and uid of each TCP socket with this port at one of its ends."""
    named = f":{port:04X} "
    for table in TABLES:
        try:
            lines = table.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if named in line:  # of thousands of lines a few are taken apart
                fields = line.split(None, 8)
                yield fields[1], fields[2], fields[3], int(fields[7])


def _ends(names: Iterable[str], port: int) -> set[str]:
    return {f"{name}:{port:04X}" for name in names}


def _address(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def _names(address: IPv4Address | IPv6Address) -> tuple[str, ...]:
    """How an address stands in the tables: an IPv4 one also as a socket has it that takes both kinds."""
    if address.version == 4:
        return _words(address.packed), _words(b"\0" * 10 + b"\xff\xff" + address.packed)
    return (_words(address.packed),)


def _words(packed: bytes) -> str:
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))
