"""A teacher from a script behind every API that the gateway stands in front of, so that an agent runs to its end
without a key. What it says comes from the study's own `answer`; it knows nothing that a model would."""

from __future__ import annotations

import base64
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import uvicorn
from protege import Request
from protege.call import Message, Reply, request_from
from protege.dialects import dialect_at
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Answer: TypeAlias = Callable[[Request], "str | Mapping[str, Any]"]
"""Takes what was asked; returns a text, or the arguments of the one tool that is offered."""
More: TypeAlias = Mapping[str, Callable[[str], Any]]
"""By the beginning of a path, what is answered there as JSON, besides the models. It takes the path."""


class Teacher:
    """The server. `calls` counts what was asked of it."""

    def __init__(self, answer: Answer, more: More | None = None) -> None:
        self.calls = 0
        self._answer = answer
        self._more = dict(more or {})
        self._lock = threading.Lock()
        self.app = Starlette(routes=[Route("/{path:path}", self._answered, methods=["GET", "POST"])])

    async def _answered(self, asked: Asked) -> Response:
        path = asked.url.path
        for begins, told in self._more.items():
            if path.startswith(begins):
                return JSONResponse(told(path))
        body = await asked.json()
        if path.endswith("/embeddings"):
            return JSONResponse(embeddings(body))
        dialect = dialect_at(asked.method, path).dialect
        if dialect is None:
            return JSONResponse({"error": {"message": f"The scripted teacher has no {path}."}}, 404)
        read = dialect.asked(path, dict(asked.query_params), body)
        with self._lock:
            self.calls += 1
            said = message(request_from(read.record), self._answer)
        reply = Reply(said, "tool_calls" if "tool_calls" in said else "stop", read.model, 100, 20)
        return Response(b"".join(dialect.parts(reply, read)), media_type=dialect.content_type(read))


def message(request: Request, answer: Answer) -> Message:
    """The script's answer as an assistant message."""
    said = answer(request)
    if isinstance(said, str):
        return {"role": "assistant", "content": said}
    function = {"name": request.tool_names[0], "arguments": said}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }


def embeddings(body: Mapping[str, Any]) -> dict[str, Any]:
    """A vector for each input, the same for the same input, in the form that was asked for."""
    given = body["input"]
    inputs = given if isinstance(given, list) and given and not isinstance(given[0], int) else [given]
    data: list[dict[str, Any]] = []
    for index, text in enumerate(inputs):
        seed = sum(str(text).encode()) % 1000
        vector = [((seed * (k + 1)) % 97) / 97 for k in range(1536)]
        packed = base64.b64encode(struct.pack("<1536f", *vector)).decode()
        held = packed if body.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": held})
    return {
        "object": "list",
        "data": data,
        "model": body.get("model"),
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


@contextmanager
def served(app: Any) -> Iterator[str]:
    """The application on a free port of this machine; its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        thread.join(0.01)
        if not thread.is_alive():
            raise SystemExit("The server could not start; above is why.")
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
