"""The server that runs the gateway: one process, or several workers on one port."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import uvicorn
from uvicorn.supervisors import Multiprocess

from ..common.files import write_private
from ..common.loopback import is_loopback
from ..common.trust import make_home
from ..errors import BadInput, ResourceError
from .app import VARIABLE
from .connection import Connection
from .keys import keys_of
from .settings import FILE, Settings

END_S = 10
"""At its end the gateway waits this long for answers that are on their way."""


def run(settings: Settings, workers: int = 1, ready: Callable[[str], object] | None = None) -> None:
    """Serve until interrupted. ready: called with the address once it can be asked.

    Raises BadInput if others could ask without a key, ResourceError if the port cannot be bound.
    """
    if not is_loopback(settings.host) and not keys_of(settings.home):
        raise BadInput(
            f"Anyone who reaches {settings.host} could ask this gateway.",
            "Make a key, which is then asked for: protege keys --new NAME",
        )
    make_home(settings.home)
    with _bound(settings) as listening, _told(settings, _address(listening)) as address:
        config = uvicorn.Config(
            "protege.gateway.app:from_environment",
            factory=True,
            workers=workers,
            http=Connection,
            ws="none",
            log_config=None,  # it would set handlers of its own; its access log would hold keys in paths
            access_log=False,
            server_header=False,
            date_header=False,  # the upstream's goes through
            proxy_headers=False,
            timeout_graceful_shutdown=END_S,
            timeout_keep_alive=75,  # longer than clients keep theirs, lest both end a connection at once
        )
        if ready is not None:
            ready(address)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn raises it once more when it has ended
        with contextlib.suppress(KeyboardInterrupt):
            if workers > 1:
                Multiprocess(config, [listening]).run()
            else:
                uvicorn.Server(config).run([listening])


@contextmanager
def _bound(settings: Settings) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((settings.host, settings.port))
        except OSError as error:
            fact = f"{settings.host}:{settings.port} cannot be listened on: {error.strerror}."
            raise ResourceError(fact, "Name another port: --port 8485") from None
        listening.listen(1024)
        listening.set_inheritable(True)
        yield listening


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _told(settings: Settings, address: str) -> Iterator[str]:
    """The workers are told their settings, and the home that a gateway runs on it."""
    figures = Path(tempfile.mkdtemp(prefix="protege-gateway-"))
    os.environ[VARIABLE] = orjson.dumps({"settings": settings.to_record(), "figures": str(figures)}).decode()
    file = settings.home / FILE
    write_private(file, orjson.dumps({"address": address, "pid": os.getpid()}))
    try:
        yield address
    finally:
        file.unlink(missing_ok=True)
        shutil.rmtree(figures, ignore_errors=True)
        os.environ.pop(VARIABLE, None)
