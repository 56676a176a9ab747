"""The gateway as an ASGI application."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..capture import Answerer
from .address import address_of
from .figures import CONTENT_TYPE, Figures
from .guard import Guard
from .proxy import Proxy
from .refusals import Refusal, written
from .request import Incoming
from .settings import Settings
from .upstream import Upstreams

VARIABLE = "PROTEGE_GATEWAY"
"""The environment variable that tells a worker its settings, and where to count."""


def from_environment() -> ASGIApp:
    """The application of a worker."""
    told = orjson.loads(os.environ[VARIABLE])
    return app(Settings.from_record(told["settings"]), Path(told["figures"]))


def app(settings: Settings, figures: Path, router: Answerer | None = None) -> ASGIApp:
    """A gateway with these settings. figures: the folder in which its workers count. router: see `Proxy`."""
    counts, guard = Figures(figures), Guard(settings)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Proxy]]:
        upstreams = Upstreams(settings)
        proxy = Proxy(settings, upstreams, counts, router)
        try:
            yield {"proxy": proxy}
        finally:
            await upstreams.close()
            proxy.close()

    async def health(_: Request) -> Response:
        return JSONResponse({"ok": True})

    async def metrics(asked: Request) -> Response:
        incoming = Incoming(asked.scope, asked.receive)
        try:
            guard.admit(incoming, address_of("GET", incoming.path, incoming.headers))
        except Refusal as refusal:
            return Response(written(refusal, None), refusal.status, media_type="application/json")
        return Response(counts.exposition(), headers={"content-type": CONTENT_TYPE})

    routes = [Route("/protege/health", health), Route("/protege/metrics", metrics)]
    own = Starlette(routes=routes, lifespan=lifespan)

    async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
        """Requests of others go past Starlette, whose layers would wrap each part of an answer."""
        if scope["type"] == "http" and not scope["path"].startswith("/protege/"):
            await scope["state"]["proxy"](scope, receive, send)
        else:
            await own(scope, receive, send)

    return dispatch
