"""A gateway and an upstream, each a real server on a port of this machine."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from protege.collect import drain
from protege.gateway.app import app
from protege.gateway.connection import Connection
from protege.gateway.settings import Settings, Upstream
from protege.workspace import Workspace

CLIENT = httpx.Client(timeout=20, verify=False)
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@contextmanager
def served(application: Any, http: Any = "auto") -> Iterator[str]:
    """The address at which an application answers. http: uvicorn's protocol; a gateway has its own."""
    config = uvicorn.Config(
        application,
        port=0,
        http=http,
        ws="none",
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def gateway(settings: Settings, figures: Path, router: Any = None) -> AbstractContextManager[str]:
    """The address of a gateway, served as `protege gateway` does."""
    return served(app(settings, figures, router), Connection)


@dataclass
class Fake:
    """An upstream that answers what it is told to: a status, headers, and the parts of a body.

    A part may be a number: seconds to wait. `breaks`: it breaks off after them.
    """

    status: int = 200
    headers: list[tuple[bytes, bytes]] = field(default_factory=lambda: [(b"content-type", b"application/json")])
    parts: list[bytes | float] = field(default_factory=lambda: [chat("Hello")])
    breaks: bool = False
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, path with query, headers and body of each request."""
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when a client left before its answer had ended."""

    async def __call__(self, scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return await lifespan(receive, send)
        body = await body_of(receive)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        self.asked.append((scope["method"], scope["raw_path"].decode() + (f"?{query}" if query else ""), headers, body))
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        for part in self.parts:
            if isinstance(part, bytes):
                await send({"type": "http.response.body", "body": part, "more_body": True})
            elif await left(receive, part):
                self.gone.set()
                return
        if not self.breaks:
            await send({"type": "http.response.body", "body": b""})


async def body_of(receive: Any) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    return body


async def lifespan(receive: Any, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def left(receive: Any, seconds: float) -> bool:
    """Whether the client leaves within so many seconds."""
    try:
        return (await asyncio.wait_for(receive(), seconds))["type"] == "http.disconnect"
    except TimeoutError:
        return False


def chat(text: str) -> bytes:
    """A whole answer of OpenAI's."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "model": "m-1", "choices": [choice], "usage": usage}
    ).encode()


@dataclass
class Stand:
    """A gateway that is running, its upstream and its home."""

    url: str
    upstream: Fake
    home: Path

    def calls(self, least: int = 1) -> list[Any]:
        """What was recorded, in order, once there are so many calls: they are written after the answer has left."""
        until_s = time.monotonic() + 10
        while True:
            workspace = Workspace(self.home)
            drain(workspace)
            found = sorted(workspace.calls(), key=lambda call: call.time or 0)
            if len(found) >= least or time.monotonic() > until_s:
                return found
            time.sleep(0.01)


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Callable[..., Stand]]:
    """Makes gateways: `stand(fake, router=…, **settings)`."""
    with ExitStack() as stack:

        def made(fake: Fake | None = None, *, router: Any = None, **others: Any) -> Stand:
            upstream = fake or Fake()
            at = stack.enter_context(served(upstream))
            fronts = ("openai", "azure", "anthropic", "gemini", "ollama")
            home = others.pop("home", tmp_path / "home")
            others.setdefault("upstreams", tuple(Upstream(front, "", at) for front in fronts))
            figures = tmp_path / "figures"
            figures.mkdir(exist_ok=True)
            url = stack.enter_context(gateway(Settings(home, **others), figures, router))
            return Stand(url, upstream, home)

        yield made
