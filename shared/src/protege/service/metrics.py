"""Serves the workspace's figures to Prometheus over HTTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from ..collect import drain
from ..common.loopback import is_loopback
from ..errors import ProtegeError, ResourceError
from ..report.exposition import exposition
from ..workspace import Workspace

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PORT = 9464
"""The default port of OpenTelemetry's Prometheus exporters."""

log = logging.getLogger("protege.metrics")


def serve_metrics(
    workspace: Workspace, host: str = "127.0.0.1", port: int = PORT, ready: Callable[[str], None] | None = None
) -> None:
    """Answer Prometheus at http://host:port/metrics until interrupted. `ready` is called with that address.

    Raises ResourceError if the port cannot be bound.
    """
    with metrics_server(workspace, host, port) as server:
        if ready:
            ready(f"http://{host}:{server.server_port}/metrics")
        server.serve_forever()


def metrics_server(workspace: Workspace, host: str = "127.0.0.1", port: int = PORT) -> ThreadingHTTPServer:
    """The server, with its port bound. Each scrape first takes what recorders wrote into the store.

    Raises ResourceError if the port cannot be bound.
    """
    alone = threading.Lock()

    def scrape() -> bytes:
        with alone:
            drain(workspace)
            return exposition(workspace).encode(errors="replace")

    class Handler(BaseHTTPRequestHandler):
        timeout = 30  # seconds, after which an idle connection is closed

        def do_GET(self) -> None:
            if is_loopback(host) and not is_loopback(_host_in(self.headers.get("Host", ""))):
                return self.send_error(403)  # DNS rebinding: a web page resolved its own name to this machine
            if self.path.partition("?")[0] != "/metrics":
                return self.send_error(404)
            try:
                body = scrape()
            except ProtegeError as error:
                log.warning("No figures: %s", error)
                return self.send_error(503)
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            log.debug(format, *args)

    try:
        return ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ResourceError(
            f"Metrics cannot be served on {host}:{port}: {error.strerror}.", "Choose another port with --port."
        ) from error


def _host_in(address: str) -> str:
    """The host of a `Host` header; empty if the header is malformed."""
    try:
        return urlsplit(f"//{address}").hostname or ""
    except ValueError:
        return ""
