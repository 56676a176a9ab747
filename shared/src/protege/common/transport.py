"""HTTP over connections that are looked at before anything is sent on them, with answers that come in time or not."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx

_CONNECTED = ("connection.connect_tcp.complete", "connection.connect_unix_socket.complete")
_STREAMS = (*_CONNECTED, "connection.start_tls.complete")
_UNTIL = "protege.until"


def until(until_s: float) -> dict[str, Any]:
    """A request's `extensions`: its answer is whole by then (`time.perf_counter`), or httpx.ReadTimeout is raised.

    httpx's own time-outs are for each read: a server that drips, its headers too, could hold the caller for ever. For
    an answer that the thread reads which asked.
    """
    return {_UNTIL: until_s}


class _Ends(threading.local):
    """When the answer that a thread waits for must be whole."""

    at: float | None = None


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
        self._ends = _Ends()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As `httpx.HTTPTransport.handle_request`; raises what `check` raises as well."""
        self._ends.at = request.extensions.get(_UNTIL)
        request.extensions = {**request.extensions, "trace": self._see}
        return super().handle_request(request)

    def _see(self, event: str, information: Mapping[str, Any]) -> None:
        if event not in _STREAMS:
            return
        stream = information["return_value"]
        if event in _CONNECTED:
            try:
                self._check(stream.get_extra_info("socket"))
            except BaseException:
                stream.close()
                raise
        stream.read = self._in_time(stream.read)  # httpx lets no backend of one's own in

    def _in_time(self, read: Callable[..., bytes]) -> Callable[..., bytes]:
        def bounded(max_bytes: int, timeout: float | None = None) -> bytes:
            if (at := self._ends.at) is not None:
                left_s = at - time.perf_counter()
                if left_s <= 0:
                    raise httpx.ReadTimeout("The answer is not whole in time.")
                timeout = left_s if timeout is None else min(timeout, left_s)
            return read(max_bytes, timeout=timeout)

        return bounded
