"""HTTP over connections that are looked at before anything is sent on them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import httpx

_CONNECTED = ("connection.connect_tcp.complete", "connection.connect_unix_socket.complete")


class CheckedTransport(httpx.HTTPTransport):
    """Shows each new connection to `check`, which raises what the caller gets if it is not to be used.

    That is once a connection, and again for each one after it: a server that went away may have another in its place.
    socket_path: of a Unix socket, to which everything goes; None for TCP. Proxies and certificates that the environment
    names have no part in it.
    """

    def __init__(
        self,
        check: Callable[[socket.socket], object],
        *,
        socket_path: str | None = None,
        limits: httpx.Limits,
    ) -> None:
        # A context for TLS takes 10 ms to make, which a Unix socket has no use for.
        super().__init__(uds=socket_path, verify=socket_path is None, trust_env=False, limits=limits)
        self._check = check

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As `httpx.HTTPTransport.handle_request`; raises what `check` raises as well."""
        request.extensions = {**request.extensions, "trace": self._see}
        return super().handle_request(request)

    def _see(self, event: str, information: Mapping[str, Any]) -> None:
        if event in _CONNECTED:
            stream = information["return_value"]
            try:
                self._check(stream.get_extra_info("socket"))
            except BaseException:
                stream.close()
                raise
